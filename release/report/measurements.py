"""What was measured, and what may be said of it."""

from collections.abc import Iterable, Iterator, Mapping

from rich.table import Table

from release.evals.claims import CLAIMS, decide
from release.evals.forms import ends, number, on_screen
from release.evals.metrics import VARYING, phrase
from release.evals.registry import EVALS
from release.report.display import NOTHING, display, listing
from release.schema.measurements import Measurements
from release.schema.record import ClaimRecord
from release.values import Estimate


def show_measurements(measurements: Measurements, as_json: bool, following: Mapping[str, str] = NOTHING) -> None:
    """Show what was measured on a pair of models, and what may be said of it."""
    claims = decide(None, measurements)
    facts = measurements.model_dump(mode="json") | {"claims": [claim.model_dump(mode="json") for claim in claims]}
    display(facts, as_json, [measured(measurements), "", verdicts(claims)], following)


def verdicts(claims: Iterable[ClaimRecord]) -> str:
    """List every claim with its verdict, but for those of an evaluation that nobody expects and nobody measured."""
    silent = {claim.key for row in EVALS if not (row.expected or row.always) for claim in row.claims}
    told = (claim for claim in claims if claim.verdict != "not measured" or claim.key not in silent)
    titles = {claim.key: claim.title for claim in CLAIMS}
    found = {titles.get(claim.key, claim.key.replace("_", " ")): claim.verdict for claim in told}
    return listing("What this evidence says (the reasons are on the card)", found)


def measured(measurements: Measurements) -> Table:
    """Return the table of every metric that has a name on screen."""
    table = Table(title="Measured", title_justify="left", box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for column in ("dense", "pruned", "change", "95 % interval", "n"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in _rows(measurements):
        table.add_row(*row)
    return table


def _rows(measurements: Measurements) -> Iterator[tuple[str, ...]]:
    for row in EVALS:
        for found in row.results(measurements):
            yield from (on_screen(line) for line in row.lines(found) if line.metric.screen)
    yield from _between_masks(measurements)


def _between_masks(measurements: Measurements) -> Iterator[tuple[str, ...]]:
    if found := measurements.masks:
        for name in VARYING:
            deviation: Estimate = found.get(name).deviation
            cells = (number(deviation.value, ".4f"), ends(deviation, ".4f"))
            yield f"SD between masks, {phrase(name)}", "", "", *cells, f"{len(found.masks)}"
