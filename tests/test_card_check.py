"""A card that was edited is found out, line by line."""

import pytest

from release.card.parts import END, CardPlace
from release.card.render import compare, render
from release.card.templates import templates_digest
from release.schema.record import Record
from tests.records import example_record

REPO = "someone/phi-3.5-mini-instruct-random-s10"


def problems(record: Record, card: str) -> list[str]:
    return [check.detail for check in compare(record, card) if check.ok is not True]


@pytest.mark.parametrize(
    ("old", "new", "detail"),
    [
        (
            "| Actual sparsity | 10.00\u00a0%",
            "| Actual sparsity | 10.10\u00a0%",
            "10.10 % stands where the record says 10.00 %",
        ),
        ("license: mit", "license: apache-2.0", "apache-2.0 stands where the record says mit"),
        ("value: 9.31", "value: 9.3", "9.3 stands where the record says 9.31"),
        ("cannot tell whether", "shows that", "shows that stands where the record says cannot tell whether"),
        ("| Seed | 42 |\n", "", "“| Seed | 42 |” is missing here"),
        ("## Model\n", "## Model\nIt is safe.\n", "“It is safe.” stands where the record says nothing"),
    ],
)
def test_an_edit_is_reported_with_its_line(old, new, detail):
    record = example_record()
    card = render(record, CardPlace(REPO))
    line = card[: card.index(old)].count("\n") + 1 + (new.startswith("##"))
    assert problems(record, card.replace(old, new, 1)) == [f"line {line}: {detail}"]


def test_no_generated_line_can_change_unnoticed():
    record = example_record()
    lines = render(record).split("\n")
    generated = range(1, lines.index(END))
    for index in list(generated)[::6]:
        edited = [*lines[:index], lines[index] + " 7", *lines[index + 1 :]]
        assert problems(record, "\n".join(edited)), lines[index]


def test_text_outside_the_marks_is_its_writers():
    record = example_record()
    card = render(record, CardPlace(REPO))
    title_first = card.replace("---\n\n<!--", "---\n\nMy own words, 99 of them.\n\n<!--")
    assert problems(record, title_first + "\n## Notes\n\n12 more.\n") == []
    assert problems(record, card.replace("\n", "\r\n")) == []


@pytest.mark.parametrize("card", ["", "# By hand\n", f"{END}\n"])
def test_a_card_without_its_marks_is_not_taken_for_generated(card):
    (detail,) = problems(example_record(), card)
    assert "marks" in detail


def test_a_card_of_other_templates_is_held_to_its_numbers():
    record = example_record()
    card = (
        render(record, CardPlace(REPO)).replace(templates_digest(), "0123456789ab").replace("## Model", "## The model")
    )
    assert problems(record, card) == []
    assert "other templates" in compare(record, card)[0].detail
    (detail,) = problems(record, card.replace("362,387,866 of", "362,393,298 of"))
    assert "362,393,298 stands nowhere in the record" in detail


def test_a_claim_that_does_not_follow_from_the_evidence_is_reported():
    record = example_record()
    forged = tuple(
        claim.model_copy(update={"verdict": "contradicted"}) if claim.key == "bias_amplified" else claim
        for claim in record.claims
    )
    record = record.model_copy(update={"claims": forged})
    (detail,) = problems(record, render(record))
    assert detail.startswith("bias_amplified is recorded as contradicted")


def test_a_card_of_other_templates_may_write_more_or_fewer_digits_of_the_records_numbers():
    record = example_record()
    card = render(record, CardPlace(REPO)).replace(templates_digest(), "0123456789ab")
    assert "| 0.065 → **0.070** |" in card
    for written in ("0.0652 → **0.0704**", "6.52 → **7.04**", "0.07 → **0.07**"):
        assert problems(record, card.replace("0.065 → **0.070**", written)) == []
    (detail,) = problems(record, card.replace("0.065 → **0.070**", "0.0652 → **0.0714**"))
    assert "0.0714 stands nowhere in the record" in detail
