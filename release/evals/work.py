"""What an evaluation does: it lays out what both models are asked, reads each of them, and puts the readings together.

A row names the module that holds its `prepare(asked)`, which gives a `ModelTask`, where one model at a time is read, a
`PairTask`, where both are needed at once, or None, where the evaluation is switched off. All that may be refused is
refused there: `prepare` raises what `release.evals.run.prepare` does.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from release.digests import FileDigest
from release.errors import BadOption
from release.frozen import Frozen

if TYPE_CHECKING:
    import torch

    from release.evals.engine.likelihood import PassObserver
    from release.evals.engine.subject import EvaluatedModel
    from release.progress import Console
    from release.settings.measuring import Measuring

Found = TypeVar("Found")
Result = TypeVar("Result", bound=Frozen)

SIDES = ("dense", "pruned")

Opened = Callable[[str], "AbstractContextManager[EvaluatedModel]"]
"""Opens the model of a side; it is loaded when something has to be computed."""


@dataclass(frozen=True)
class EvalContext:
    """What is known before any work.

    Attributes:
        dense: A checkpoint folder; only its configuration and tokenizer are read.
        plan: What shall be measured.
        others: The evaluations that are laid out already, by their key.
        brief: Whether nothing is measured after: a dry run, for which what is refused is enough.
    """

    dense: Path
    plan: "Measuring"
    device: "torch.device"
    tokenizer: Any
    console: "Console"
    others: "Mapping[str, ModelTask[Any, Any] | PairTask[Any]]" = field(default_factory=dict)
    brief: bool = False


@dataclass(frozen=True)
class ModelPair:
    """Both models on disk.

    Attributes:
        dense: Folder of the dense model (config, tokenizer, safetensors).
        pruned: Folder of the pruned model; its own tokenizer is not used.
        files: The weight files of both; without them they are read for their digests.
    """

    dense: Path
    pruned: Path
    files: Mapping[str, Sequence[FileDigest]] = field(default_factory=dict)

    @property
    def folders(self) -> Mapping[str, Path]:
        """Both folders, by their side."""
        return dict(zip(SIDES, (self.dense, self.pruned), strict=True))


@dataclass(frozen=True)
class Sides:
    """Both models on disk, and where what was read of them is kept.

    Attributes:
        evaluation: Folder that receives the tables, item by item.
        logs: Folder that receives further logs, which may hold texts of data sets.
    """

    dense: Path
    pruned: Path
    evaluation: Path
    logs: Path
    console: "Console"


class ModelTask(ABC, Generic[Found, Result]):
    """An evaluation that is laid out and reads one model at a time."""

    @property
    def prompts(self) -> Iterable[Sequence[int]]:
        """The token ids that both models will read, so that ids which a model does not know are refused."""
        return ()

    def settle(self, _: Opened, /) -> Self:
        """Settle what only the models themselves can tell, such as how many items are asked."""
        return self

    def watched_by(self, _: "PassObserver", /) -> Self:
        """Let another evaluation see the passes; only of one that another watches."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what was kept from one pair of models to the next."""

    @abstractmethod
    def read(self, model: "EvaluatedModel") -> Found:
        """Read one model, `dense` or `pruned` by its name."""

    @abstractmethod
    def compare(self, dense: Found, pruned: Found) -> Result | None:
        """Put both readings side by side; None where they say nothing."""

    def write(self, dense: Found, pruned: Found, sides: Sides) -> None:
        """Write the table that the result is computed from."""


class WatchingTask(ModelTask[Found, Result]):
    """An evaluation that sees the passes of another one, in place of any of its own; see `likelihood.PassObserver`.

    Attributes:
        watches: Key of the other, which is laid out and read before it.
    """

    watches: ClassVar[str]

    @abstractmethod
    def wanted(self, subject: "EvaluatedModel") -> Collection[int]:
        """Return the asks that it must see, by their number."""

    @abstractmethod
    def see(self, subject: "EvaluatedModel", ask: int, rows: "torch.Tensor") -> None:
        """Look at the log-probabilities that an ask's tokens were read from, (tokens, V)."""


class PairTask(ABC, Generic[Result]):
    """An evaluation that is laid out and needs both models at once."""

    @property
    def prompts(self) -> Iterable[Sequence[int]]:
        """The token ids that both models will read."""
        return ()

    @abstractmethod
    def measure(self, sides: Sides) -> tuple[Result, ...]:
        """Measure both models, and write the table that the result is computed from; the first result comes first."""


def count_of(option: str, text: str) -> int:
    """Return an amount that was asked for, of which at least 2 are needed.

    Raises:
        BadOption: It is no such number.
    """
    if not text.isdecimal() or int(text) < 2:
        raise BadOption(f"--{option} {text!r} is not understood.", "Give a whole number of at least 2, or off.")
    return int(text)
