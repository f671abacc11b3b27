"""Run in a copy of the source that an evaluation and a method were added to: prints what shows them, as JSON."""

import json
import sys
import tempfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import typer
from release.evals.repetition import row

from release.card.metadata import front_matter
from release.card.render import render
from release.checkpoint.files import Folder
from release.cli import app
from release.evals.claims import decide
from release.evals.figures import draw
from release.evals.spread import published, spread_of
from release.evals.work import Sides
from release.progress import Console
from release.report import show_measurements
from release.schema.measurements import Measurements
from release.schema.record import Record, schema
from release.settings.measuring import Measuring
from release.verification import recompute
from tests.records import example_measurements, example_pruning, example_record


def shown() -> dict[str, object]:
    """What a record, a card, a screen, a front matter and a check say of both."""
    result = row.RepetitionTask(()).compare(-1.0, -3.0)
    measured = example_measurements(repetition=result, bbq=None, perplexity=None, latency=None)
    record = example_record(measurements=measured, pruning=example_pruning(method="largest"))
    screen = StringIO()
    with redirect_stdout(screen):
        show_measurements(measured, as_json=False)
    return {
        "record": Record.model_validate_json(record.to_json()).measurements.get("repetition") == result,
        "schema": "repetition" in schema()["$defs"]["Measurements"]["properties"],
        "without": render(example_record(measurements=example_measurements(bbq=None), pruning=record.pruning)),
        "figures": drawn(measured),
        "options": [each.opts[0] for each in typer.main.get_command(app).commands["publish"].params],
        "asked": [Measuring.of().repetition, Measuring.of(evals=("repetition",)).repetition],
        "others off": Measuring.of(evals=("repetition",)).bbq == "off",
        "masks": spread_of([published(measured, 42), published(measured, 43)]).get("log_repetition").mean,
        "claims": [claim.verdict for claim in decide(record.audit, measured) if claim.key == "repetition_lost"],
        "card": render(record),
        "front": front_matter(record)["model-index"],
        "screen": screen.getvalue(),
        "checks": [checked(record, numbers) for numbers in ([-1.0, -3.0], [-1.0, -1.0])],
        "without torch": "torch" not in sys.modules,
    }


def drawn(measured: Measurements) -> list[str]:
    """Draw what was measured and return the names of the files."""
    with tempfile.TemporaryDirectory() as folder:
        return [path.name for path in draw(measured, Path(folder), Path(folder))]


def checked(record: Record, numbers: list[float]) -> bool | None:
    """Compute the result again from a table that holds these numbers."""
    with tempfile.TemporaryDirectory() as folder:
        sides = Sides(Path(), Path(), Path(folder) / "evaluation", Path(), Console(quiet=True))
        row.RepetitionTask(()).write(*numbers, sides)
        found = {check.name: check.ok for check in recompute.checks(Folder(Path(folder)), record)}
    return found["repetition"]


if __name__ == "__main__":
    print(json.dumps(shown()))
