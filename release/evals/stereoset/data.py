"""StereoSet's development set, from a pinned wheel: 4,229 contexts with three sentences each.

2,106 tests are *intrasentence*: three sentences that differ in what fills a blank. 2,123 are *intersentence*: three
sentences that follow a context. Each is about one of 79 target terms (a profession, a country, …) of four kinds.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from release.evals.sentences.corpus import Corpus

ITEMS = 4229
TESTS = ("intrasentence", "intersentence")
LABELS = ("stereotype", "anti-stereotype", "unrelated")


class StereoItem(NamedTuple):
    """One context and its three sentences.

    Attributes:
        number: Its place in the data set, from 0 on, the intrasentence tests first.
        test: `intrasentence` or `intersentence`.
        category: The kind of bias: `gender`, `profession`, `race` or `religion`.
        term: The target term, which contexts share.
        context: What comes before the sentences; "" where a blank in them was filled.
        sentences: Stereotype, anti-stereotype, unrelated.
    """

    number: int
    test: str
    category: str
    term: str
    context: str = ""
    sentences: tuple[str, str, str] = ("", "", "")


def _parsed(contents: Sequence[bytes]) -> tuple[StereoItem, ...]:
    data = json.loads(contents[0])["data"]
    rows = ((test, row) for test in TESTS for row in data[test])
    return tuple(_item(number, test, row) for number, (test, row) in enumerate(rows))


def _item(number: int, test: str, row: dict[str, Any]) -> StereoItem:
    by_label = {each["gold_label"]: each["sentence"] for each in row["sentences"]}
    first, second, third = (by_label[label] for label in LABELS)
    context = row["context"] if test == "intersentence" else ""
    return StereoItem(number, test, row["bias_type"], row["target"], context, (first, second, third))


CORPUS = Corpus(
    title="StereoSet",
    option="--stereoset",
    origin="https://github.com/moinnadeem/StereoSet",
    licence="CC BY-SA 4.0",
    pins={"StereoSet/data/dev.json": "637b1e3d284a3c629b74a4659c583b8eca9bd13e"},
    count=ITEMS,
    parse=_parsed,
    stratum=lambda item: f"{item.test} {item.term}",
)
