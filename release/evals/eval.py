"""What an evaluation is: one folder, and one row that says what it is called, what it records and what it may claim.

The runner, the record, the card, the screen, the front matter and the check of a release loop over the rows of
`registry`, so that a further evaluation is a folder and a row there, and no other file names it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from release.evals.line import Attribution, HubTask, Line
from release.evals.metric import Metric
from release.frozen import Frozen

if TYPE_CHECKING:
    from pathlib import Path

    from release.evals.again import Question, Spotted, Table
    from release.evals.claim import Claim
    from release.evals.drawing import Figures
    from release.evals.work import EvalContext, ModelTask, PairTask
    from release.schema.measurements import Measurements
    from release.schema.record import Record

Result = TypeVar("Result", bound=Frozen)


def nothing(_: Any) -> tuple[()]:
    """Say that a result has no lines, or rests on no data set or no paper."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Eval(Generic[Result]):
    """One evaluation.

    Attributes:
        key: Its name in the record, what its options begin with, and the name of its template.
        title: What it is called in a heading.
        result: The record that comparing both models gives.
        metrics: Its metrics, in the order in which they are shown.
        work_module: Holds its `prepare`; imported when something is measured (see `work`).
        check_module: Holds `tables(record, result)`, by which a check of a release computes its numbers again without a
            model; None where nothing can be.
        spot_module: Holds `question(spotted, result)`, by which it asks both models again.
        claims_module: Holds its claims, as `CLAIMS`; imported when they are asked for, since to decide one takes numpy,
            and a record is read without.
        figures_module: Holds `figures(results, evaluation)`, which draws what was measured, by the name of a file; None
            where nothing is drawn.
        lines: Returns what a result shows, dense beside pruned; the front matter, the glance and the screen read it.
        sources: Returns the data that a result rests on: their licence and their digests on the card come from here.
        bibliography: Returns the names, without an ending, of the `.bib` files that a result cites.
        changes: Returns what is put beside other masks' changes, by the names of `varying`; None for an evaluation that
            further masks are not asked.
        varying: Name of each of these changes → what it is called on the card.
        task: What a model is asked to do; None where the Hub has no word for it, and no front matter tells of it.
        always: Whether every release has a result, since no option switches it off.
        expected: Whether a card says so where it was not measured.
        further: Key under which further results of the same kind stand as a list; None where there is one at most.
    """

    key: str
    title: str
    result: type[Result]
    metrics: tuple[Metric, ...] = ()
    work_module: str
    check_module: str | None = None
    spot_module: str | None = None
    claims_module: str | None = None
    figures_module: str | None = None
    lines: Callable[[Result], Iterable[Line]] = nothing
    sources: Callable[[Result], Iterable[Attribution]] = nothing
    bibliography: Callable[[Result], Iterable[str]] = nothing
    changes: Callable[[Result], Mapping[str, float | None]] | None = None
    varying: Mapping[str, str] = field(default_factory=dict)
    task: HubTask | None = None
    always: bool = False
    expected: bool = False
    further: str | None = None

    @property
    def claims(self) -> "tuple[Claim, ...]":
        """What a card may say by this evaluation alone."""
        found: tuple[Claim, ...] = import_module(self.claims_module).CLAIMS if self.claims_module else ()
        return found

    def prepare(self, asked: "EvalContext") -> "ModelTask[Any, Result] | PairTask[Result] | None":
        """Lay out what both models are asked, and refuse what is missing or does not fit; None where it is off."""
        found: ModelTask[Any, Result] | PairTask[Result] | None = import_module(self.work_module).prepare(asked)
        return found

    def tables(self, record: "Record", result: Result) -> "Iterator[Table]":
        """Return the tables that a result of a release is computed from."""
        if self.check_module is not None:
            yield from import_module(self.check_module).tables(record, result)

    def question(self, spotted: "Spotted", result: Result) -> "Question":
        """Lay out what both models are asked again; only of a row that has a `spot_module`."""
        found: Question = import_module(str(self.spot_module)).question(spotted, result)
        return found

    def figures(self, results: Sequence[Result], evaluation: "Path") -> "Figures":
        """Draw its results, none where it was switched off; `evaluation` holds its tables.

        Returns:
            Every figure it may have, by the name of the file without its ending; None for one that has nothing to show.
        """
        if self.figures_module is None:
            return {}
        found: Figures = import_module(self.figures_module).figures(results, evaluation)
        return found

    @property
    def fragment(self) -> str:
        """The template of its part of the card: macros, each of which takes its results."""
        return f"evals/{self.key}/card.md.j2"

    @property
    def headlines(self) -> tuple[Metric, ...]:
        """Its metrics that stand at a glance."""
        return tuple(metric for metric in self.metrics if metric.headline)

    def results(self, measurements: "Measurements") -> tuple[Result, ...]:
        """Return its results in a record; none where it was switched off."""
        found: Result | None = getattr(measurements, self.key, None)
        further: tuple[Result, ...] = getattr(measurements, self.further, ()) if self.further else ()
        return (*([] if found is None else [found]), *further)
