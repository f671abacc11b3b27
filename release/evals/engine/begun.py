"""What a reading began with, so that one which was interrupted goes on in the same passes, and ends with the same bits.

How a processor rounds depends on what stands in a pass beside a sequence. Left to what is still missing, the passes
after an interruption would be others, and a probability another one in its seventh digit.
"""

import hashlib
from collections.abc import Collection, Sequence

import numpy as np

from release.evals.engine.store import Key, ReadingStore

EVERYTHING = -1
"""Stands for all of them."""


def begun_with(store: ReadingStore, question: str, keys: Sequence[Key], missing: Collection[Key]) -> list[Key]:
    """Return the readings that passes are laid out for: what was missing when a reading of just these began.

    It is kept before anything is read.

    Args:
        keys: All that is asked.
        missing: Those that are not known now.
    """
    each = list(dict.fromkeys(keys))
    mark = store.key(f"begun, {question}, {hashlib.sha256(b''.join(each)).hexdigest()}")
    if (before := store.recall([mark]).get(mark)) is not None:
        places = before.astype(int).tolist()
        found = each if places == [EVERYTHING] else [each[at] for at in places if 0 <= at < len(each)]
        if set(missing) <= set(found):
            return found
    found = [key for key in each if key in missing]
    places = [EVERYTHING] if len(found) == len(each) else [at for at, key in enumerate(each) if key in missing]
    store.put(mark, np.array(places, dtype=np.float32))
    store.keep()
    return found
