"""One run of a target, and many: what is done with an input, and what came of it."""

import time
from collections import Counter
from random import Random

from release.errors import ReleaseError
from tests.fuzz.targets import Target

LONGEST = 5.0
"""Seconds of the processor that one run may take; the largest input has a few kilobytes."""


class TooSlow(Exception):
    """A run took longer than `LONGEST`."""


def outcome(target: Target, data: bytes) -> str:
    """Run a target once: `value` or `refused`; whatever else it raises is a finding and goes on up."""
    begun, came = time.process_time(), "value"
    try:
        target.run(data)
    except ReleaseError:
        came = "refused"
    if time.process_time() - begun > LONGEST:
        raise TooSlow(f"more than {LONGEST} s")
    return came


def runs(target: Target, count: int, seed: int) -> Counter[str]:
    """Run a target on `count` inputs made from its seeds and corpus.

    Raises:
        Exception: What an input brought about, with the input as a note.
    """
    random, known = Random(seed), target.inputs()
    seen: Counter[str] = Counter()
    for _ in range(count):
        data = target.mutated(random.choice(known), random.choice(known), random)
        try:
            seen[outcome(target, data)] += 1
        except BaseException as error:
            error.add_note(f"input of {target.name} ({len(data)} bytes, the first of them): {data[:400]!r}")
            raise
    return seen
