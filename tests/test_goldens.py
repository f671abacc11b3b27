"""The cards of real releases, kept as they are: a change of a template shows in them.

Those in `goldens` were measured by the evaluations that run by default, those in `goldens_wikitext2` on all of
WikiText-2 in windows of 2,048 tokens, CrowS-Pairs and StereoSet. Each folder holds the record of a measured release of
`demo`; `pytest tests/test_goldens.py --refresh` renders the cards anew.
"""

from pathlib import Path

import pytest

from release.card.render import compare, render
from release.publishing import leaks
from release.schema.record import Record
from tests.random_records import VOID_WORDS

GOLDENS = sorted(path.parent for path in Path(__file__).parent.glob("goldens*/*/release.json"))


@pytest.mark.parametrize("folder", GOLDENS, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_a_real_release_has_the_card_that_was_looked_at(folder, request):
    record = Record.read(folder)
    card, path = render(record), folder / "README.md"
    if request.config.getoption("--refresh"):
        path.write_text(card, encoding="utf-8", newline="\n")
    assert path.read_text(encoding="utf-8") == card
    assert VOID_WORDS.search(card) is None
    assert [check.detail for check in compare(record, card) if not check.ok] == []
    assert list(leaks.leaks(folder)) == []


@pytest.mark.parametrize("group", ["goldens", "goldens_wikitext2"])
def test_the_goldens_are_of_three_methods(group):
    found = {Record.read(folder).pruning.method for folder in GOLDENS if folder.parent.name == group}
    assert found == {"random", "magnitude", "wanda"}


@pytest.mark.parametrize(
    "folder",
    [each for each in GOLDENS if each.parent.name == "goldens_wikitext2"],
    ids=lambda folder: folder.name,
)
def test_what_papers_state_was_measured_whole(folder):
    found = Record.read(folder).measurements
    perplexity, divergence = found.get("perplexity"), found.get("divergence")
    assert (perplexity.preset, perplexity.window, perplexity.whole) == ("wikitext2", 2048, True)
    assert next(each for each in divergence.scores if each.name == "kl_divergence").difference.value > 0
    assert found.get("crows_pairs")
    assert found.get("stereoset")
