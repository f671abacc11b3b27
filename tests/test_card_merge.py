"""What people write around a card stays; what they write inside it is shown and never overwritten."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from release.card import file as card_file
from release.card.merge import Copy
from release.card.parts import BEGIN, END, NOWHERE, CardPlace, parse
from release.card.render import compare, render, renew
from release.errors import OutputConflict
from tests.records import example_pruning, example_record

REPO = CardPlace("someone/phi-3.5-mini-instruct-random-s10")
OLD = example_record()
NEW = example_record(pruning=example_pruning(seconds=19.5))
OLD_CARD, NEW_CARD = render(OLD, REPO), render(NEW, REPO)
HERE, THERE = "README.md", "README.md on the Hub"


def merged(current: str, record=NEW, target=REPO, **others):
    copies = [Copy(HERE, current)] if current is not None else []
    copies += [Copy(THERE, others["hub"])] if "hub" in others else []
    return renew(record, target, copies, others.get("published"))


def facts(card: str) -> dict[str, object]:
    return parse(card).facts


def with_field(card: str, line: str) -> str:
    return card.replace("---\n", f"---\n{line}\n", 1)


def with_tag(card: str, tag: str) -> str:
    return card.replace("tags:\n", f"tags:\n- {tag}\n", 1)


def around(card: str, above: str = "", below: str = "") -> str:
    first, rest = card.split("\n---\n", 1)
    return f"{first}\n---\n{above}{rest}{below}"


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_outside_the_marks_survives_to_the_letter(above, below):
    above, below = (each.replace("\r", "").replace("<!-- release", "") for each in (above, below))
    found = merged(around(OLD_CARD, f"\n{above}\n", f"\n{below}"))
    assert found.conflicts == ()
    assert found.text == around(NEW_CARD, f"\n{above}\n", f"\n{below}")
    assert compare(NEW, found.text)[0].ok


def test_what_was_not_edited_is_replaced_whatever_templates_made_it():
    old = OLD_CARD
    other = old.replace(parse(old).templates, "0123456789ab")
    assert merged(other).text == merged(old).text == NEW_CARD


def test_rendering_the_same_again_changes_nothing():
    card = around(with_tag(OLD_CARD, "mine"), "\nHello.\n", "\nBye.\n")
    once = merged(card, OLD).text
    assert merged(once, OLD).text == once


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        (
            "| Actual sparsity | 10.00\u00a0%",
            "| Actual sparsity | 50.00\u00a0%",
            "50.00 % stands where the record says 10.00 %",
        ),
        ("license: mit", "license: apache-2.0", "apache-2.0 stands where the record says mit"),
        ("## Model\n", "## Model\nIt is safe.\n", "“It is safe.” stands where the record says nothing"),
    ],
)
@pytest.mark.parametrize("place", [HERE, THERE])
def test_an_edit_inside_is_a_conflict_that_names_place_and_line(old, new, where, place):
    edited = OLD_CARD.replace(old, new, 1)
    found = merged(edited, OLD) if place == HERE else merged(OLD_CARD, OLD, hub=edited)
    assert [each.split(": ", 2)[0] for each in found.conflicts] == [place]
    assert where in found.conflicts[0]


@pytest.mark.parametrize("card", [OLD_CARD.replace(END, ""), "# By hand\n"])
def test_a_card_without_its_marks_is_a_conflict(card):
    assert "the marks around the generated text are missing" in merged(card).conflicts[0]


def test_tags_and_fields_that_a_person_added_survive():
    card = with_field(with_tag(OLD_CARD, "my-lab"), "thumbnail: https://example.org/a.png")
    found = merged(card)
    assert found.conflicts == ()
    assert facts(found.text)["tags"] == [*facts(NEW_CARD)["tags"], "my-lab"]
    assert facts(found.text)["thumbnail"] == "https://example.org/a.png"
    assert [check.detail for check in compare(NEW, found.text) if not check.ok] == []


def test_a_licence_that_the_base_does_not_state_may_be_added_by_hand():
    silent = OLD.base.model_copy(update={"licence": OLD.base.licence.model_copy(update={"id": None, "file": None})})
    record = example_record(base=silent)
    found = merged(with_field(render(record, REPO), "license: mit"), record)
    assert (found.conflicts, facts(found.text)["license"]) == ((), "mit")


def test_what_was_generated_before_and_is_no_longer_goes():
    silent = OLD.base.model_copy(update={"languages": ()})
    found = merged(with_tag(OLD_CARD, "mine"), example_record(base=silent))
    assert (found.conflicts, "language" in facts(found.text)) == ((), False)


SIDES = [
    # published, here, on the Hub -> what becomes of it; None: a conflict
    ("", "mine", "", "mine"),
    ("", "", "theirs", "theirs"),
    ("", "same", "same", "same"),
    ("", "mine", "theirs", None),
    ("old", "old", "theirs", "theirs"),
    ("old", "mine", "old", "mine"),
    ("old", "", "old", ""),
    ("old", "mine", "theirs", None),
    ("old", "old", "old", "old"),
]


@pytest.mark.parametrize(("published", "here", "there", "becomes"), SIDES)
@pytest.mark.parametrize("place", ["above", "below"])
def test_of_two_copies_the_one_that_somebody_wrote_in_wins(place, published, here, there, becomes):
    cards = [around(OLD_CARD, **{place: f"\n{words}" if words else ""}) for words in (published, here, there)]
    found = merged(cards[1], NEW, hub=cards[2], published=cards[0])
    if becomes is None:
        assert f"text {place} the marks differs" in found.conflicts[0]
    else:
        assert found.conflicts == ()
        assert found.text == around(NEW_CARD, **{place: f"\n{becomes}" if becomes else ""})


@pytest.mark.parametrize("gated", [True, False])
def test_the_form_before_a_gate_stands_only_there_and_is_a_persons_own(gated):
    target = CardPlace(REPO.repo_id, gated)
    assert ("extra_gated_fields" in facts(render(OLD, target))) == gated
    edited = render(OLD, CardPlace(REPO.repo_id, gated=True)).replace("Research use only", "Ask us first")
    found = merged(edited, NEW, target)
    assert (found.conflicts, facts(found.text).get("extra_gated_heading")) == ((), "Ask us first" if gated else None)


def test_the_words_of_a_card_on_disk_are_kept_and_a_conflict_leaves_it_as_it_was(tmp_path):
    path = card_file.write(tmp_path, card_file.renewed(tmp_path, OLD))
    path.write_text(path.read_text(encoding="utf-8") + "\n## Notes\n\nMine.\n", encoding="utf-8")
    card_file.write(tmp_path, card_file.renewed(tmp_path, NEW))
    kept = path.read_text(encoding="utf-8")
    assert "19.5\u00a0s" in kept
    assert kept.endswith("\n## Notes\n\nMine.\n")
    assert card_file.changes(card_file.renewed(tmp_path, NEW), kept) == ""
    assert "-Pruned in 19.5\u00a0s on 2 threads." in card_file.changes(card_file.renewed(tmp_path, OLD), kept)
    edited = kept.replace("10.00\u00a0%", "12.00\u00a0%")
    path.write_text(edited, encoding="utf-8")
    with pytest.raises(OutputConflict, match=r"(?s)12\.00 % stands where.*comment mark"):
        card_file.write(tmp_path, card_file.renewed(tmp_path, NEW))
    with pytest.raises(OutputConflict, match=r"12\.00 %"):
        card_file.require_intact(tmp_path, NEW)
    assert path.read_text(encoding="utf-8") == edited


def test_a_mark_reads_back_as_it_was_written():
    for target in (NOWHERE, REPO, CardPlace(REPO.repo_id, gated=True)):
        card = render(OLD, target)
        assert parse(card).text == card
        assert parse(card).target == target
    assert BEGIN.format(templates="a", seals="b c", target="").startswith("<!-- release: generated card;")
    assert yaml.safe_load("\n".join(parse(card).front.lines)) == facts(card)
