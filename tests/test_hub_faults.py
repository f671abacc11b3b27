"""Whatever goes wrong: nothing is visible early, the user is told, and the same command again ends whole."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.hub_faults import CREATE, ROWS, Row, page
from tests.pushing import KINDS, Bench, bench

PAGE = Path(__file__).parent.parent / "docs" / "hub-faults.md"


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Bench]:
    with bench(tmp_path, monkeypatch, caplog) as made:
        yield made


def cases() -> Iterator[Any]:
    """All of the table; the Space's requests are made by the model's code, and most of its rows take the long suite."""
    for row, kind, run in product(ROWS, KINDS, ("first", "rerun")):
        quick = run == "first" and (kind == "model" or row.request in ("create", "show"))
        name = f"{row.name.replace(' ', '_')}-{kind}-{run}"
        yield pytest.param(row, kind, run, id=name, marks=() if quick else pytest.mark.long)


@pytest.mark.quick_rows(8)
@pytest.mark.parametrize(("row", "kind", "run"), list(cases()))
def test_a_fault_shows_nothing_early_and_the_rerun_ends_whole(at: Bench, row: Row, kind: str, run: str) -> None:
    if run == "rerun":
        method, path = row.stopped_at
        at.fault(
            method, row.at(path, kind), action=403, after=row.skips.get((kind, "first"), 0) if path == CREATE else 0
        )
        assert "may not write" in at.outcome()
    at.fault(row.method, row.at(row.path, kind), **row.fault(at, kind, run))
    (fault,) = (each for each in at.hub.faults if each.times)
    before = fault.times
    said = at.outcome()
    assert fault.times < before, "the fault never struck"
    assert (row.says in said) if row.says else not said
    assert at.is_complete() == (not row.says)
    at.hub.faults.clear()
    if row.says:
        assert at.push().changed
    assert at.is_complete(row.commits, KINDS[kind])
    if run == "first" or not row.says:
        done = at.written()
        assert not at.push().changed
        assert at.written() == done
    assert not at.early


def test_the_page_of_faults_is_in_step_with_the_table(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--refresh"):
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page()
