"""The readers of outside bytes, one row each: how to run it, and inputs that it takes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz import readers, seeds
from tests.fuzz.mutate import mutate

CORPUS = Path(__file__).parent / "corpus"
LONGEST_INPUT = 64 << 10
"""Bytes of an input, at most."""
MILLION = 1_000_000
HUNDRED_THOUSAND = 100_000


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        run: Reads the bytes; ends in a value or a ReleaseError, or else something was found.
        seeds: Inputs that it takes.
        due: Runs of the full fuzzing.
        mend: Puts a changed input's outer form right, so that more of it gets past the first check.
    """

    name: str
    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    due: int = HUNDRED_THOUSAND
    mend: Callable[[bytes, Random], bytes] | None = None

    @property
    def corpus(self) -> Path:
        """Where inputs are kept that once broke it."""
        return CORPUS / self.name

    def inputs(self) -> list[bytes]:
        """The seeds, and what is kept."""
        return [*self.seeds(), *(path.read_bytes() for path in sorted(self.corpus.glob("*")))]

    def mutated(self, data: bytes, other: bytes, random: Random) -> bytes:
        """Make another input."""
        data = mutate(data, other, random)
        return (self.mend(data, random) if self.mend else data)[:LONGEST_INPUT]


TARGETS = {
    target.name: target
    for target in (
        Target("header", readers.header, seeds.headers, MILLION, seeds.with_length),
        Target("index", readers.index, seeds.indexes),
        Target("config", readers.config, seeds.configs),
        Target("record", readers.record, seeds.records),
        Target("table", readers.table, seeds.tables),
        Target("foreign card", readers.foreign, seeds.foreign_cards),
        Target("card", readers.card, seeds.cards),
        Target("own words", readers.own_words, seeds.own_words),
        Target("study", readers.study, seeds.studies),
        Target("plan", readers.plan, seeds.plans),
        Target("answers", readers.answers, seeds.answer_tables),
        Target("losses", readers.losses, seeds.loss_tables),
        Target("signature", readers.signature, seeds.signatures),
    )
}
