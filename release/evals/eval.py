"""What an evaluation is: one folder, and one row that says what it is called, what it records and what it may claim.

The runner, the record, the card, the screen, the front matter and the check of a release loop over the rows of
`registry`, so that a further evaluation is a folder and a row there, and no other file names it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from release.evals.metric import Metric
from release.frozen import Frozen
from release.values import DataSource

if TYPE_CHECKING:
    from release.evals.claim import Claim

Result = TypeVar("Result", bound=Frozen)


def nothing(_: Any) -> tuple[()]:
    """Say that a result rests on no data set and no paper."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Eval(Generic[Result]):
    """One evaluation.

    Attributes:
        key: Its name in the record, what its options begin with, and the name of its template.
        title: What it is called in a heading.
        result: The record that comparing both models gives.
        metrics: Its metrics, in the order in which they are shown.
        module: The module that holds its claims, as `CLAIMS`; imported when they are asked for, since to decide one
            takes numpy, and a record is read without.
        sources: Returns the data that a result rests on: licence, digests and citations come from here.
        bibliography: Returns the names of the files under `templates/citation` that a result cites.
        always: Whether every release has a result, since no option switches it off.
        further: Key under which further results of the same kind stand as a list; None where there is one at most.
    """

    key: str
    title: str
    result: type[Result]
    metrics: tuple[Metric, ...] = ()
    module: str | None = None
    sources: Callable[[Result], Iterable[DataSource]] = nothing
    bibliography: Callable[[Result], Iterable[str]] = nothing
    always: bool = False
    further: str | None = None

    @property
    def claims(self) -> "tuple[Claim, ...]":
        """What a card may say by this evaluation alone."""
        found: tuple[Claim, ...] = import_module(self.module).CLAIMS if self.module else ()
        return found

    @property
    def fragment(self) -> str:
        """Its part of the card, below `templates`."""
        return f"card/{self.key}.md.j2"
