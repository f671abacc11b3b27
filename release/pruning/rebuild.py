"""Make pruned tensors again from base, recipe and seed, and compare: anyone can, without the model's class."""

import hashlib
import os
from collections.abc import Mapping

from release.checkpoint.count import Place, places
from release.checkpoint.folder import Checkpoint
from release.checkpoint.header import Raw
from release.checkpoint.rewrite import in_order, read_at, room_for
from release.progress import Console
from release.pruning.prune import Budgets, change_of
from release.pruning.recipe import Recipe


def differing(
    base: Checkpoint, recipe: Recipe, allowed: Budgets, sha256: Mapping[str, str], console: Console
) -> tuple[str, ...]:
    """Name the prunable tensors whose bytes are not what the recipe makes of the base.

    Args:
        sha256: Of each tensor's bytes as found, by name.
    """
    change, known = change_of(recipe, allowed), places(base)

    def work(name: str) -> tuple[str, int, str]:
        place = known[name]
        data = _bytes_of(place)
        change(place.tensor, data)
        return name, len(data), hashlib.sha256(data.data).hexdigest()

    names = [name for name in allowed.zeros if name in known]
    wrong = sorted(set(allowed.zeros) - set(names))
    total = sum(known[name].tensor.nbytes for name in names)
    with console.step("Rebuild every mask from base and seed", total) as advance:
        for name, nbytes, made in in_order(work, names, len(os.sched_getaffinity(0))):
            advance(nbytes)
            if made != sha256.get(name):
                wrong.append(name)
    return tuple(wrong)


def _bytes_of(place: Place) -> Raw:
    data = room_for(place.tensor.nbytes)
    with place.path.open("rb") as file:
        read_at(file, place.tensor.start, data)
    return data
