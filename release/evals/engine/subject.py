"""One model under measurement: its files, what is known of it, and itself once something has to be computed."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from release.digests import FileDigest
from release.evals.engine.store import ReadingStore, model_digest
from release.models.engines import engine
from release.models.reader import ModelReader, name_of
from release.progress import BYTES, Advance, Console
from release.values import EngineName


@dataclass(frozen=True)
class Runtime:
    """What runs a model, on which device, and in which arithmetic."""

    device: torch.device
    dtype: torch.dtype
    engine: EngineName = "transformers"


class EvaluatedModel:
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
        runtime: Runtime,
        console: Console,
        files: Sequence[FileDigest] | None = None,
        readings: Path | None = None,
    ) -> None:
        self.name, self.folder, self.runtime, self.console = name, folder, runtime, console
        self._files, self._readings = files, readings
        self._held = ExitStack()

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.runtime.device

    @property
    def dtype(self) -> torch.dtype:
        """Arithmetic of its forward passes."""
        return self.runtime.dtype

    @property
    def engine(self) -> EngineName:
        """What runs it."""
        return self.runtime.engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.__exit__(kind, error, trace)

    @cached_property
    def store(self) -> ReadingStore:
        """What is known of this model under this arithmetic."""
        arithmetic = f"{name_of(self.dtype)} {engine(self.engine).place(self.device).kind}"
        return self._held.enter_context(ReadingStore(self.digest, arithmetic, self.console, self._readings))

    @cached_property
    def digest(self) -> str:
        """What names its files."""
        return model_digest(self.folder, self._files)

    @property
    def was_loaded(self) -> bool:
        """Whether anything had to be computed."""
        return "reader" in vars(self)

    @cached_property
    def reader(self) -> ModelReader:
        """The model itself."""
        runs = engine(self.engine)
        stored = sum(path.stat().st_size for path in self.folder.glob("*.safetensors"))
        with self.console.step(f"Load the {self.name} model", stored, BYTES) as advance:
            reader = self._held.enter_context(runs.opened(self.folder, self.device, self.dtype, self.console))
            advance(stored)
        return reader

    @contextmanager
    def step(self, label: str, total: float, unit: str = "") -> Iterator[Advance]:
        """Show the progress of something that this model does; it is loaded before, which is a step of its own.

        Args:
            label: What it does.
            total: How much of it, in `unit`; see `Console.step`.
        """
        _ = self.reader
        with self.console.step(f"{label}, {self.name}", total, unit) as advance:
            yield advance

    @contextmanager
    def run_by(self, name: EngineName) -> Iterator[Self]:
        """Give the same model run by an engine: itself where that is its own, else another that is let go of after."""
        if name == self.engine:
            yield self
            return
        runtime = replace(self.runtime, engine=name)
        with type(self)(self.name, self.folder, runtime, self.console, self._files, self._readings) as other:
            yield other
