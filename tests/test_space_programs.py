"""The Space for programs: what is documented, and what is remembered."""

import inspect
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records import example_record
from tests.space_fixtures import module

NAMES = ("compare", "decoding", "lineup", "memo", "reading")
compare, decoding, lineup, memo, reading = map(module, NAMES)

ASKED = {"pruned": [{"role": "user", "content": "why"}]}
SOURCES = {"pruned": lineup.Source("me/pruned")}


def key(temperature: float = 0.0, question: str = "why") -> Any:
    histories = {"pruned": [{"role": "user", "content": question}]}
    return memo.key_of(SOURCES, histories, decoding.Decoding(temperature, 1.0, 8, 42))


@given(st.lists(st.integers(0, 9)), st.integers(1, 5))
def test_the_last_answers_are_kept_and_never_more_than_there_is_room_for(asked: list[int], most: int) -> None:
    kept = memo.Memo(most)
    for each in asked:
        assert list(kept.through(each, iter([f"begun {each}", f"done {each}"])))[-1] == f"done {each}"
    last = list(dict.fromkeys(reversed(asked)))[:most]
    assert all(list(kept.through(each, iter(["new"]))) == [f"done {each}"] for each in reversed(last))
    assert len(kept._kept) == len(last)


def test_a_greedy_answer_is_remembered_a_drawn_one_and_one_that_was_broken_off_are_not() -> None:
    kept = memo.Memo()
    assert key() == key() != key(question="how")
    assert key(temperature=0.5) is None
    list(kept.through(key(temperature=0.5), iter(["drawn"])))
    begun = kept.through(key(), iter(["begun", "done"]))
    assert next(begun) == "begun"
    begun.close()
    assert list(kept.through(key(), iter(["again"]))) == ["again"]


@pytest.mark.parametrize("name", ["compare", "items", "variants"])
def test_every_argument_of_a_tool_is_documented(name: str) -> None:
    tool = getattr(compare.SideBySide, name)
    stated = set(re.findall(r"(?m)^ {4}(\w+): ", inspect.getdoc(tool) or ""))
    assert stated == set(inspect.signature(tool).parameters) - {"self"}


def test_variants_are_told_with_the_numbers_of_the_page(tmp_path: Any) -> None:
    (tmp_path / "release.json").write_text(example_record().to_json())
    source = lineup.Source("me/pruned", str(tmp_path))
    told = compare.SideBySide(lineup.Lineup(None, (source,)), True).variants()
    (variant,) = told["variants"]
    found = reading.facts(source)
    assert (told["original"], variant["id"], variant["method"]) == (None, "me/pruned", found.method)
    assert variant["measured"]["srs"]["pruned"] == found.numbers["srs"].pruned
    assert variant["measured"].keys() == found.numbers.keys()
