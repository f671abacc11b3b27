"""What the module of an engine holds: where it computes, one model for two checkpoints, timed answers, a reader."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from release.models.reader import ModelReader
from release.models.timed_answer import PromptEncoder, TimedAnswer
from release.progress import Console

Take = Callable[[int], Any]
"""Returns the model that answers for a side, with that side's weights: 0 dense, 1 pruned. It is not timed."""


@dataclass(frozen=True)
class EnginePlace:
    """Where an engine computes.

    Attributes:
        kind: Engines and kinds of device that round alike: readings are kept under it.
        name: What a reader should know of the device: a GPU's name, or its kind.
        free: Bytes of memory that are free there; None where nobody says.
        threads: Threads that one operation may use on a CPU; None where the engine does not say.
    """

    kind: str
    name: str
    free: int | None
    threads: int | None


class Engine(Protocol):
    """What the module of an engine holds. Folders are checkpoint folders; `UnusableBase` says what does not work."""

    def place(self, device: torch.device, /) -> EnginePlace:
        """Return where it computes, as far as possible where torch would."""

    def require(self, folder: Path, device: torch.device, /) -> None:
        """Refuse a checkpoint that it cannot run as stored, by its headers alone."""

    def exchanged(self, dense: Path, pruned: Path, device: torch.device, /) -> AbstractContextManager[Take]:
        """Hold one model, as stored, that takes the weights of either of two checkpoints of the same shapes."""

    def side_by_side(self, dense: Path, pruned: Path, device: torch.device, /) -> AbstractContextManager[Take]:
        """Hold two models of different shapes or types, as stored, each in memory of its own."""

    def answer(self, model: Any, prompter: PromptEncoder, text: str, /) -> TimedAnswer:
        """Answer a rendered prompt; always `NEW_TOKENS` tokens, past an end of text too."""

    def opened(
        self, folder: Path, device: torch.device, dtype: torch.dtype, console: Console, /
    ) -> AbstractContextManager[ModelReader]:
        """Hold a model whose log-probabilities are asked for, from which answers are generated, too."""
