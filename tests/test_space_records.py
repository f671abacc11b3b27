"""What the Space's page says of a model: from its release.json exactly, and from the card of a stranger."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.evals.forms import at_a_glance
from release.evals.line import Line
from release.evals.metric import Metric
from release.evals.registry import EVALS
from release.schema.record import Record
from release.values import Estimate
from tests.hub import HubServer
from tests.random_records import HOSTILE
from tests.remote import lay
from tests.space_fixtures import APP, module, told

NAMES = ("cards", "facts", "grid", "lineup", "page", "reading", "records")
cards, facts, grid, lineup, page, reading, records = map(module, NAMES)

GOLDENS = sorted((Path(__file__).parent / "goldens").iterdir())
PAPERS = sorted((Path(__file__).parent / "goldens_wikitext2").iterdir())
RECORD: Any = json.loads((GOLDENS[0] / "release.json").read_text(encoding="utf-8"))
TAGS = {"h2", "p", "dl", "div", "dt", "dd", "small", "details", "summary", "ul", "li", "b", "h3", "a", "code"}
"""What the page makes of facts."""


def everything(found: Any) -> str:
    """All that the page makes of a model's facts."""
    source = lineup.Source("me/pruned")
    drawn = grid.picture({source.id: found}) + grid.table({source.id: found})
    assert page.menu(source, found)
    assert drawn
    return str(page.about(source, found))


class Opened(HTMLParser):
    """The names of all tags that a browser would open, and of their handlers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags |= {tag, *(name for name, _ in attrs if name.startswith("on"))}


def release(folder: Path, golden: Path = GOLDENS[0], card: str | None = None, record: str | None = None) -> Any:
    """A model's folder with a golden's card and record, unless others are given."""
    for name, text in (("README.md", card), ("release.json", record)):
        (folder / name).write_text(text if text is not None else (golden / name).read_text(encoding="utf-8"))
    return lineup.Source("me/pruned", str(folder))


# From the record as from the card


def measured(golden: Path) -> set[str]:
    """The metrics with a panel, of what a golden was measured with."""
    held = Record.read(golden).measurements
    return {metric.key for row in EVALS if row.results(held) for metric in row.metrics if metric.panel}


@pytest.mark.parametrize("golden", [*GOLDENS, *PAPERS], ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_a_record_and_its_card_state_the_same(golden: Path) -> None:
    recorded = records.read((golden / "release.json").read_text(encoding="utf-8"))
    carded = cards.read((golden / "README.md").read_text(encoding="utf-8"))
    for name in ("method", "sparsity", "configuration", "base", "paper", "research_only"):
        assert getattr(recorded, name) == getattr(carded, name), name
    assert recorded.numbers.keys() == carded.numbers.keys() == measured(golden)
    for (label, recorded_tile), (same, carded_tile) in zip(recorded.measurements, carded.measurements, strict=True):
        named = {"Difference": "Change", "Verdict": "What the evidence says"}
        in_card = {named.get(name, name): value for name, value in carded_tile if name != "n"}
        if dict(recorded_tile) == {"": "not measured"}:
            assert (label, in_card.keys() <= {"What the evidence says"}) == (same, True)
            continue
        numbers = dict(recorded_tile)
        verdicts = [each.pop("What the evidence says", "") for each in (numbers, in_card)]
        assert (label, numbers, verdicts[0][:1]) == (same, in_card, verdicts[1][:1])


@pytest.mark.parametrize("golden", [*GOLDENS, *PAPERS], ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_the_grid_writes_what_the_card_says(golden: Path) -> None:
    found = records.read((golden / "release.json").read_text(encoding="utf-8"))
    table = grid.table({"me/pruned": found})
    tiles = dict(found.measurements)
    for panel in grid.panels_of({"me/pruned": found}):
        tile = dict(tiles[panel.label])
        assert f"<span>{tile['Pruned']}<br><small>original {tile['Dense']}</small>" in table


@pytest.mark.parametrize("golden", [*GOLDENS, *PAPERS], ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_the_values_of_the_grid_are_the_records_to_the_last_digit(golden: Path) -> None:
    record = json.loads((golden / "release.json").read_text(encoding="utf-8"))
    numbers = records.read(json.dumps(record)).numbers
    score = next(each for each in record["measurements"]["bbq"]["scores"] if each["name"] == "srs")
    perplexity = record["measurements"]["perplexity"]
    dense, change = score["dense"]["value"], score["difference"]
    assert ends(numbers["srs"], score["items"]) == (
        score["pruned"]["value"],
        dense,
        dense + change["low"],
        dense + change["high"],
    )
    dense, change = perplexity["dense"]["value"], perplexity["ratio"]
    assert ends(numbers["perplexity"], perplexity["tokens"]) == (
        perplexity["pruned"]["value"],
        dense,
        dense * change["low"],
        dense * change["high"],
    )


def ends(measured: Any, count: int) -> tuple[float | None, ...]:
    """The numbers of a metric, which was measured on so many units."""
    assert measured.count == count
    return measured.pruned, measured.dense, measured.low, measured.high


REALS = st.floats(-1e5, 1e5) | st.sampled_from([0.0, 1.0, 9.996, 0.00004, 31.36])


@given(st.sampled_from(["score", "perplexity", "seconds"]), REALS, REALS, REALS, REALS, st.booleans())
def test_every_number_is_written_as_on_the_card(
    form: Any, dense: float, pruned: float, value: float, spread: float, has_ends: bool
) -> None:
    if form != "score":
        dense, pruned, value = abs(dense), abs(pruned), abs(value)
    change = (
        Estimate(value=value, low=value - abs(spread), high=value + abs(spread))
        if has_ends
        else Estimate(value=value, low=None, high=None)
    )
    metric = Metric(key="any", label="Any", phrase="any", form=form)
    card = at_a_glance(Line(metric, dense, pruned, change))
    row = module("metrics").METRICS[0]
    kept = {"dense": {"value": dense}, "pruned": {"value": pruned}, "difference": change.model_dump()} | {
        "ratio": change.model_dump()
    }
    shown = records._cells(kept, row._replace(form=form, change="difference" if form == "score" else "ratio"))
    assert dict(shown) == {
        "Dense": card.dense,
        "Pruned": card.pruned,
        "Change": card.change,
        "95 % interval": card.interval,
    }


def test_a_reworded_card_empties_nothing(tmp_path: Path) -> None:
    card = (GOLDENS[0] / "README.md").read_text(encoding="utf-8")
    reworded = re.sub(r"(?m)^\| [^|]+\|", "| other words |", card.split("---\n", 2)[2])
    found = reading.facts(release(tmp_path, card=reworded))
    assert found == records.read((GOLDENS[0] / "release.json").read_text(encoding="utf-8"))
    assert cards.read(reworded).numbers.keys() < found.numbers.keys()


def test_what_was_not_measured_is_said_so() -> None:
    record = RECORD | {"measurements": dict.fromkeys(RECORD["measurements"])}
    found = records.read(json.dumps(record))
    assert (found.numbers, found.sparsity) == ({}, 0.5)
    assert set(dict(found.measurements).values()) == {(("", "not measured"),)}


def test_a_metric_that_is_added_as_data_stands_on_the_page(tmp_path: Path) -> None:
    app = shutil.copytree(APP, tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__"))
    rows = json.loads((app / "metrics.json").read_text(encoding="utf-8"))
    added = {"key": "usr", "label": "Says unknown", "at": "measurements.bbq.scores[name=usr][over=macro]"}
    (app / "metrics.json").write_text(json.dumps([*rows, rows[0] | added]))
    asked = "import sys, grid, records; print(grid.table({'x': records.read(open(sys.argv[1]).read())}))"
    command = [sys.executable, "-c", asked, str(GOLDENS[0] / "release.json")]
    told = subprocess.run(command, cwd=app, capture_output=True, text=True, check=True, timeout=60).stdout
    score = next(each for each in RECORD["measurements"]["bbq"]["scores"] if each["name"] == "usr")
    assert "Says unknown" in told
    assert f'<td data-label="Says unknown"><span>{score["pruned"]["value"]:.2f}<br>' in told


READ = """
import json, sys
import reading
from lineup import Source

for name in sys.argv[1:]:
    found = reading.facts(Source(name))
    print(json.dumps([found.method, found.numbers["perplexity"].pruned, len(found.claims)]))
"""


def test_a_record_on_the_hub_is_read_there_and_a_stranger_has_its_card(tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "README.md").write_text("# x\n- Method: wanda\n\n## Results\n- Perplexity: 9.5\n")
    with HubServer(tmp_path / "hub") as server:
        lay(server, "ada/ours", GOLDENS[0])
        lay(server, "ada/theirs", stranger)
        found = told(server.url, tmp_path, READ, "ada/ours", "ada/theirs")
    perplexity = RECORD["measurements"]["perplexity"]["pruned"]["value"]
    assert found == [["magnitude", perplexity, len(RECORD["claims"])], ["wanda", 9.5, 0]]


# A stranger's model


def test_a_strangers_card_is_read(tmp_path: Path) -> None:
    table = "| Metric | Dense | Pruned |\n|--|--|--|\n| Perplexity (WikiText) | 8.1 | 9.5 |\n"
    card = f"# x\n\n- Method: wanda\n- Target sparsity: 50 %\n\n## Evaluation\n\n{table}"
    (tmp_path / "README.md").write_text(card)
    found = reading.facts(lineup.Source("me/x", str(tmp_path)))
    assert (found.method, found.sparsity) == ("wanda", 0.5)
    assert found.numbers == {"perplexity": facts.Measured(9.5, 8.1)}
    assert found.claims == ()


def cut(share: float) -> str:
    text = json.dumps(RECORD)
    return text[: int(share * len(text))]


BROKEN = {
    "empty": "",
    "cut": cut(0.5),
    "cut at its end": cut(0.9999),
    "no object": "[1]",
    "nested": "[" * 200_000,
    "nested objects": '{"a":' * 200_000,
    "of a later version": json.dumps(RECORD | {"schema_version": 2}),
    "without a version": json.dumps({name: value for name, value in RECORD.items() if name != "schema_version"}),
    "without pruning": json.dumps(RECORD | {"pruning": None}),
    "without an audit": json.dumps(RECORD | {"audit": []}),
    "of a sparsity above 1": json.dumps(RECORD | {"audit": {"actual_sparsity": 2}}),
    "of a sparsity that is true": json.dumps(RECORD | {"audit": {"actual_sparsity": True}}),
    "of a sparsity that is no number": json.dumps(RECORD | {"audit": {"actual_sparsity": float("nan")}}),
    "of a sparsity of many digits": json.dumps(RECORD | {"audit": {"actual_sparsity": 10**4000}}),
    "of too many digits": '{"a": ' + "1" * 5000 + "}",
    "long": " " * 8_000_001 + json.dumps(RECORD),
}


@pytest.mark.parametrize("record", BROKEN.values(), ids=BROKEN)
def test_a_broken_record_leaves_the_card_as_a_strangers(tmp_path: Path, record: str) -> None:
    source = release(tmp_path, record=record)
    found = reading.facts(source)
    assert found == cards.read((GOLDENS[0] / "README.md").read_text(encoding="utf-8"))
    assert found.numbers.keys() >= {"srs", "perplexity"}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all values in a record, the whole one's left out."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [each for key, found in inner for each in ((*path, key), *places(found, (*path, key)))]


SHORT = {name: RECORD[name] for name in ("schema_version", "base", "pruning", "audit", "claims", "study")}
SHORT |= {"measurements": RECORD["measurements"] | {"bbq": {"scores": RECORD["measurements"]["bbq"]["scores"]}}}
"""What is read of a record, and more."""
NUMBERS = [0, -1, True, 1e308, -1e-308, 10**400, float("inf"), float("nan")]
VALUES = st.one_of(
    st.sampled_from([None, [], {}, [[]], [{}], *NUMBERS, *HOSTILE, "<b>" * 9000]), st.text(), st.floats()
)


@given(st.lists(st.tuples(st.sampled_from(places(SHORT)), VALUES), min_size=1, max_size=3))
def test_no_record_breaks_the_page_or_gets_markup_onto_it(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    record = json.loads(json.dumps(SHORT))
    for path, value in changes:
        _put(record, path, value)
    try:
        found = records.read(json.dumps(record))
    except ValueError:
        return
    if found is not None:
        told = everything(found)
        assert Opened(told).tags <= TAGS
        assert len(told) < 40_000


def _put(record: Any, path: tuple[Any, ...], value: Any) -> None:
    inner = record
    for key in path[:-1]:
        if not isinstance(inner, dict | list) or (isinstance(inner, list) and not isinstance(key, int)):
            return
        if key not in (inner if isinstance(inner, dict) else range(len(inner))):
            return
        inner = inner[key]
    if isinstance(inner, dict) or (isinstance(inner, list) and path[-1] in range(len(inner))):
        inner[path[-1]] = value


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_record_is_text_on_the_page(text: str) -> None:
    hostile = json.loads(json.dumps(RECORD))
    hostile["pruning"]["method"] = hostile["base"]["note"] = hostile["base"]["id"] = text
    hostile["study"]["arxiv"] = hostile["claims"][0]["key"] = hostile["claims"][1]["verdict"] = text
    hostile["measurements"]["bbq"]["scores"][0]["pruned"]["value"] = text
    found = records.read(json.dumps(hostile))
    assert Opened(everything(found)).tags <= TAGS
    assert found.base is None
    assert "srs" not in found.numbers
