"""Which BBQ items are asked."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest

from release.errors import BadOption
from release.evals.bbq.categories import require_categories
from release.evals.bbq.items import Item

STUDY = ("Age", "Gender_identity", "Race_ethnicity", "Religion", "SES")
"""Categories of arXiv 2605.08137, which asked their ambiguous items."""
LADDER = (200, 400, 800, 1600, 3200, 6400, 12_800, 25_600)
"""Amounts to choose from, each twice the one before; then all. A busy moment seldom changes the choice."""
CELLS = 4

Group = list[Item]
"""Four questions about one pair of answers: ambiguous or not, negative or not."""


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

    A number takes the first items of `order`, so a smaller sample is a part of every larger one. Categories have equal
    shares, which serves the mean over categories, the study's headline; the item-weighted scores weight them back.

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
    drawn = order(items, seed)[: int(amount)]
    return Sample(tuple(sorted(drawn, key=lambda i: (i.category, i.example_id))), _sizes(items), seed)


def of_categories(items: Sequence[Item], categories: Sequence[str]) -> tuple[Item, ...]:
    """Keep the items of some categories; of all, where none is named.

    Raises:
        UnknownName: There is no such category.
    """
    require_categories(categories, {item.category for item in items})
    return tuple(item for item in items if item.category in categories) if categories else tuple(items)


def order(items: Sequence[Item], seed: int) -> list[Item]:
    """Put all items into the one order that samples are the beginnings of.

    BBQ writes each pair of answers into four questions, one for each condition and polarity; such groups stay whole.
    The categories take turns, the largest first, until each is used up. Within a category the first groups come from
    as many question templates, since answers to one template resemble each other and a second group of it tells less.
    The order is by a hash, so it is the same in every version of every library.

    Laws: of any beginning, two categories' groups differ by more than one only where the smaller is used up; a
    category's templates are min(its groups there, all its templates); the same seed gives the same order.
    """
    return list(_ordered(tuple(items), seed))


@lru_cache(maxsize=2)
def _ordered(items: tuple[Item, ...], seed: int) -> tuple[Item, ...]:
    """The same, once for all that samples are drawn for: BBQ, what is timed, and what is said of both beforehand."""
    groups: dict[str, dict[int, Group]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        groups[item.category][item.example_id // CELLS].append(item)
    largest_first = sorted(groups, key=lambda name: (-len(groups[name]), name))
    turns = zip_longest(*(_of_category(groups[name], f"{seed} {name}") for name in largest_first), fillvalue=[])
    return tuple(item for turn in turns for group in turn for item in sorted(group, key=lambda item: item.example_id))


def _of_category(groups: dict[int, Group], salt: str) -> Iterator[Group]:
    """Yield one group of every template, then all the others.

    Templates come by weighted sampling without replacement (Efraimidis and Spirakis 2006): the keys −ln(u) / size,
    the smallest first. So a template of ten times the size is about ten times as likely to be among few, and the mean
    over a small sample aims at the whole set's mean, not at that of its templates.
    """
    by_chance = sorted(groups, key=lambda key: (_uniform(f"{salt} {key}"), key))
    templates: dict[str, list[int]] = defaultdict(list)
    for key in by_chance:
        templates[groups[key][0].question_index].append(key)
    keys = {name: -math.log(_uniform(f"{salt} template {name}")) / len(own) for name, own in templates.items()}
    first = [templates[name][0] for name in sorted(keys, key=lambda name: (keys[name], name))]
    taken = set(first)
    yield from (groups[key] for key in [*first, *(key for key in by_chance if key not in taken)])


def _uniform(text: str) -> float:
    """Turn a text into a number in (0, 1], uniform over texts."""
    return (int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) + 1) / 2**48


def _sizes(items: Sequence[Item]) -> dict[str, int]:
    sizes: dict[str, int] = defaultdict(int)
    for item in items:
        sizes[item.category] += 1
    return dict(sizes)
