"""Which BBQ items are asked."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from release.errors import BadOption, UnknownName
from release.sources.bbq import Item

STUDY = ("Age", "Gender_identity", "Race_ethnicity", "Religion", "SES")
"""Categories of arXiv 2605.08137, which asked their ambiguous items."""
CELLS = 4


@dataclass(frozen=True)
class Sample:
    """Items to ask, and what they stand for.

    Attributes:
        items: Ordered by category and example id.
        population: Items per category that they were drawn from.
        seed: Of the draw; None where nothing was left out.
    """

    items: tuple[Item, ...]
    population: dict[str, int]
    seed: int | None


def draw(items: Sequence[Item], amount: str, seed: int) -> Sample:
    """Draw a sample: `full`, `study` (ambiguous items of five categories), or a number of items.

    BBQ writes each pair of answers into four questions, one for each condition and polarity. A sample takes such
    groups whole, equally many from every category (the remainders go to the larger ones; a category that is used up
    passes its share on), so each cell category × condition × polarity holds the same number of items, give or take
    one group. Equal shares serve the mean over categories, the study's headline; the item-weighted scores
    weight them back. If the amount is no multiple of four, one group gives only its first items.

    Raises:
        BadOption: `amount` is nothing of these.
    """
    if amount == "full":
        return Sample(tuple(items), _sizes(items), None)
    if amount == "study":
        chosen = tuple(item for item in items if item.category in STUDY and item.condition == "ambig")
        return Sample(chosen, _sizes(chosen), None)
    if not amount.isdecimal() or int(amount) < 1:
        raise BadOption(f"--bbq {amount!r} is not understood.", "Give full, study, off or a number of items.")
    if int(amount) >= len(items):
        return Sample(tuple(items), _sizes(items), None)
    drawn = _draw(items, int(amount), seed)
    return Sample(tuple(sorted(drawn, key=lambda i: (i.category, i.example_id))), _sizes(items), seed)


def of_categories(items: Sequence[Item], categories: Sequence[str]) -> tuple[Item, ...]:
    """Keep the items of some categories; of all, where none is named.

    Raises:
        UnknownName: There is no such category.
    """
    known = {item.category for item in items}
    for name in categories:
        if name not in known:
            raise UnknownName.among("BBQ category", name, known)
    return tuple(item for item in items if not categories or item.category in categories)


def _sizes(items: Sequence[Item]) -> dict[str, int]:
    sizes: dict[str, int] = defaultdict(int)
    for item in items:
        sizes[item.category] += 1
    return dict(sizes)


def _draw(items: Sequence[Item], amount: int, seed: int) -> list[Item]:
    """Take groups in the order of a hash, which is the same in every version of every library."""
    groups: dict[str, dict[int, list[Item]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        groups[item.category][item.example_id // CELLS].append(item)
    shares = allot(-(-amount // CELLS), {category: len(group) for category, group in groups.items()})
    drawn = []
    # The largest share comes last: its last group is the one that is cut short.
    for category in sorted(shares, key=lambda name: (shares[name], name)):
        order = sorted(groups[category], key=lambda key: _hash(seed, category, key))
        drawn += [item for key in order[: shares[category]] for item in groups[category][key]]
    return drawn[:amount]


def _hash(seed: int, category: str, group: int) -> bytes:
    return hashlib.sha256(f"{seed} {category} {group}".encode()).digest()


def allot(total: int, sizes: dict[str, int]) -> dict[str, int]:
    """Share out `total` equally, no share above its size; what is left over goes to the larger ones.

    Laws: the shares sum to min(total, sum of sizes); two shares differ by more than one only where the smaller is
    its whole category.
    """
    shares = dict.fromkeys(sizes, 0)
    order = sorted(sizes, key=lambda name: (-sizes[name], name))
    left = min(total, sum(sizes.values()))
    while left:
        open_ones = [name for name in order if shares[name] < sizes[name]]
        each = left // len(open_ones)
        for name in open_ones if each else open_ones[:left]:
            given = min(max(each, 1), sizes[name] - shares[name])
            shares[name] += given
            left -= given
    return shares
