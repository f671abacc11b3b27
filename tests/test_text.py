"""Numbers are written for people, and strings cannot break out."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release import format as text


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (text.count(3_623_878_656), "3,623,878,656"),
        (text.fixed(-0.00001, 4), "0.0000"),
        (text.fixed(12_345.678, 2), "12,345.68"),
        (text.fixed(-1.5e12, 2), "−1.50e+12"),
        (text.signed(0.0061, 4), "+0.0061"),
        (text.signed(-0.0061, 4), "−0.0061"),
        (text.signed(0.00001, 4), "0.0000"),
        (text.percent(0.1), "10.00 %"),
        (text.percent(None), "n/a"),
        (text.signed_percent(13.10 / 8.94 - 1), "+46.5 %"),
        (text.exact_percent(Decimal("0.1")), "10 %"),
        (text.exact_percent(Decimal("0.125")), "12.5 %"),
        (text.size(7_642_159_104), "7.64 GB"),
        (text.size(-999), "-999 B"),
        (text.seconds(0.158), "0.158 s"),
        (text.seconds(14.23), "14.2 s"),
        (text.seconds(0.0002), "0.00020 s"),
        (text.seconds(250), "4 min 10 s"),
        (text.seconds(3_600), "1 h 0 min"),
        (text.fence("a ``` b", "bash"), "````bash\na ``` b\n````"),
    ],
)
def test_numbers_are_written_for_people(written, expected):
    assert written == expected


@pytest.mark.parametrize("long", ["a" * 500, "x=1;" * 300, "é" * 90, f"see https://example.org/{'a' * 300} there"])
def test_first_words_hold_no_run_that_no_browser_breaks(long):
    first = text.first_words(long, 20)
    assert max(map(len, re.split(rf"[\s{text.MAY_BREAK}]+", first))) <= 16
    assert max(map(len, first.replace(text.MAY_BREAK, "").split())) <= 25


def test_a_long_word_of_first_words_is_whole():
    assert text.first_words("of internationalizations", 2).replace(text.MAY_BREAK, "") == "of internationalizations"


@given(st.text(), st.integers(1, 30))
def test_first_words_are_few_and_say_that_there_are_more(words, most):
    first = text.first_words(words, most).replace(text.MAY_BREAK, "")
    assert len(first.split()) <= most + 1
    assert len(first) <= 202
    assert "…" in first or first == text.one_line(words).replace(text.MAY_BREAK, "")
