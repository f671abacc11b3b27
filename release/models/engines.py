"""What can run a checkpoint: a row each, its packages imported where it is asked for and no earlier.

A further engine is one more row, and a module that holds what `Engine` asks.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from release.errors import MissingSource
from release.evals.bbq.prompts import Prompter
from release.models.reader import ModelReader
from release.outside import Unfit, foreign
from release.progress import Console
from release.values import EngineName, Package

Take = Callable[[int], Any]
"""Returns the model that answers for a side, with that side's weights: 0 dense, 1 pruned. It is not timed."""


class TimedAnswer(NamedTuple):
    """One greedy answer of `timings.NEW_TOKENS` tokens.

    Attributes:
        seconds: To tokenise the prompt, read it and find the first new token; for the others.
        tokens: The new tokens.
    """

    seconds: tuple[float, float]
    tokens: tuple[int, ...]


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

    def beside(self, dense: Path, pruned: Path, device: torch.device, /) -> AbstractContextManager[Take]:
        """Hold two models of different shapes or types, as stored, each in memory of its own."""

    def answer(self, model: Any, prompter: Prompter, text: str, /) -> TimedAnswer:
        """Answer a rendered prompt; always `timings.NEW_TOKENS` tokens, past an end of text too."""

    def opened(
        self, folder: Path, device: torch.device, dtype: torch.dtype, console: Console, /
    ) -> AbstractContextManager[ModelReader]:
        """Hold a model whose log-probabilities are asked for, from which answers are generated, too."""


@dataclass(frozen=True)
class EngineRow:
    """One engine.

    Attributes:
        packages: What it is made of; their versions are recorded.
        extra: Extra of this package that installs it; None where it is always there.
        load: Imports its module.
    """

    name: EngineName
    packages: tuple[str, ...]
    extra: str | None
    load: Callable[[], Engine]


def _transformers() -> Engine:
    from release.models import transformers_engine

    return transformers_engine


def _mlx() -> Engine:
    from release.models import mlx_engine

    return mlx_engine


ENGINES: dict[EngineName, EngineRow] = {
    row.name: row
    for row in (
        EngineRow("transformers", ("transformers", "torch"), None, _transformers),
        EngineRow("mlx", ("mlx", "mlx-lm"), "mlx", _mlx),
    )
}


def engine(name: EngineName) -> Engine:
    """Return an engine, its packages imported.

    Raises:
        MissingSource: They are not installed, or cannot be imported here.
    """
    row = ENGINES[name]
    try:
        with foreign(f"Engine {name} cannot be used here"):
            return row.load()
    except Unfit as why:
        raise MissingSource(
            f"{why}.", f"Install it with `pip install 'release[{row.extra}]'`, or leave the engine out."
        ) from None


def packages(name: EngineName) -> tuple[Package, ...]:
    """Return what an engine is made of, with versions."""
    return tuple(Package(name=package, version=version(package)) for package in ENGINES[name].packages)
