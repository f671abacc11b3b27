"""One model under measurement: its files, what is known of it, and itself once something has to be computed."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from release.measure.reader import Reader, name_of, opened
from release.measure.store import Store, model_digest
from release.progress import Console
from release.record import FileDigest


class Subject:
    """A model that is loaded when it is first needed, and not at all where every reading is known.

    Args:
        name: What messages call it: `dense` or `pruned`.
        folder: A checkpoint folder.
        files: Its weight files, where their digests are known.
        readings: The file of earlier readings; by default the one for all models.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        files: Sequence[FileDigest] | None,
        device: torch.device,
        dtype: torch.dtype,
        console: Console,
        readings: Path | None = None,
    ) -> None:
        self.name, self.folder, self.device, self.dtype, self.console = name, folder, device, dtype, console
        self._files, self._readings = files, readings
        self._held = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.__exit__(kind, error, trace)

    @cached_property
    def store(self) -> Store:
        """What is known of this model under this arithmetic."""
        arithmetic = f"{name_of(self.dtype)} {self.device.type}"
        digest = model_digest(self.folder, self._files)
        return self._held.enter_context(Store(digest, arithmetic, self.console, self._readings))

    @cached_property
    def reader(self) -> Reader:
        """The model itself."""
        return self._held.enter_context(opened(self.folder, self.device, self.dtype, self.console))
