"""What a measurement looks like on screen."""

import json
import re

import pytest

from release.report import show_measurements
from release.schema.measurements import Measurements
from tests.records import (
    dense_against_dense,
    example_bbq,
    example_measurements,
    example_perplexity,
    example_record,
    rate,
    score,
)

WIDTH = 90


def shown(capsys: pytest.CaptureFixture[str], measured: Measurements) -> dict[str, str]:
    """The table's rows by the words they begin with."""
    show_measurements(measured, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) < WIDTH
    return {line.split("  ")[0]: " ".join(line.split()) for line in lines}


def test_changes_stand_with_their_share_and_interval(capsys):
    rows = shown(capsys, example_measurements())
    assert rows["answers changed"] == "answers changed 13 6.5% 3.5% … 9.5% 200"
    assert rows["newly biased (guess 33%)"] == "newly biased (guess 33%) 3 3.2% 0.2% … 6.2% 93"


def test_rounding_has_a_row_where_it_was_asked(capsys):
    floor = example_measurements(bbq=example_bbq(rounding=rate(20, 60)))
    assert shown(capsys, floor)["changed by rounding"] == "changed by rounding 20 33.3% 30.3% … 36.3% 60"
    assert "changed by rounding" not in shown(capsys, example_measurements())


@pytest.mark.parametrize(
    ("reading", "share", "there"),
    [("letters", 0.0, False), ("answers", 0.0, False), ("generate", 0.0, True), ("generate", 0.1, True)],
)
def test_unparsed_answers_have_a_row_where_texts_are_generated(capsys, reading, share, there):
    found = example_bbq(reading=reading, scores=(score("unparsed", "macro", share, share),))
    assert ("unparsed" in shown(capsys, example_measurements(bbq=found))) == there


@pytest.mark.parametrize(
    "measured",
    [
        dense_against_dense(),
        example_measurements(bbq=None),
        example_measurements(bbq=example_bbq(scores=(score("s_dis", "macro", None, None),), newly_biased=rate(0, 0))),
        example_measurements(
            bbq=example_bbq(guessing_level=1 - (2 / 3) ** 5, changed_answers=rate(58_000, 58_492), items=58_492),
            perplexity=example_perplexity((1e5, 3.4e7)),
        ),
    ],
    ids=["the same", "no bias", "undefined", "large"],
)
def test_the_table_stays_narrow_whatever_it_holds(capsys, measured):
    assert shown(capsys, measured)["Measured"] == "Measured"


def test_no_number_is_cut_short_however_large(capsys):
    measured = example_measurements(perplexity=example_perplexity((32.13, 38_102_460.5)))
    rows = shown(capsys, measured)
    assert "32.13 3.81e+07 × 1.186e+06" in rows["perplexity"]
    assert not [row for row in rows.values() if re.search(r"\S…|…\S", row)]


def test_measurements_carry_the_claims_as_a_record_does(capsys):
    measured = example_measurements()
    show_measurements(measured, as_json=True)
    found = {claim["key"]: claim for claim in json.loads(capsys.readouterr().out)["claims"]}
    for claim in example_record(measurements=measured).claims:
        if claim.key == "counts_as_targeted":
            assert found[claim.key]["verdict"] == "not measured"  # nothing was counted
        else:
            assert found[claim.key] == claim.model_dump(mode="json")
