"""The cards of real releases, kept as they are: a change of a template shows in them.

Each folder holds the record of a measured release of `demo`; `pytest tests/test_goldens.py --refresh` renders the
cards anew.
"""

from pathlib import Path

import pytest

from release.card.render import compare, render
from release.publishing import leaks
from release.schema.record import Record
from tests.random_records import VOID_WORDS

GOLDENS = sorted(path.parent for path in (Path(__file__).parent / "goldens").glob("*/release.json"))


@pytest.mark.parametrize("folder", GOLDENS, ids=lambda folder: folder.name)
def test_a_real_release_has_the_card_that_was_looked_at(folder, request):
    record = Record.read(folder)
    card, path = render(record), folder / "README.md"
    if request.config.getoption("--refresh"):
        path.write_text(card, encoding="utf-8", newline="\n")
    assert path.read_text(encoding="utf-8") == card
    assert VOID_WORDS.search(card) is None
    assert [check.detail for check in compare(record, card) if not check.ok] == []
    assert list(leaks.leaks(folder)) == []


def test_the_goldens_are_of_three_methods():
    assert {Record.read(folder).pruning.method for folder in GOLDENS} == {"random", "magnitude", "wanda"}
