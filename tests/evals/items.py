"""BBQ items made by hand, for tests of what is said of the answers to them."""

from collections import Counter
from typing import Any

from release.evals.bbq.items import Item
from release.evals.bbq.sample import Sample


def item_of(category: str, template: int, index: int, **others: Any) -> Item:
    """Return an ambiguous item whose target is its first answer, unless `others` says otherwise."""
    known = {
        "polarity": "neg",
        "condition": "ambig",
        "context": "",
        "question": "",
        "answers": ("a", "b", "c"),
        "groups": ("x", "y", "unknown"),
        "unknown": 2,
        "label": 2,
        "target": 0,
    }
    return Item(category=category, example_id=index, question_index=str(template), **known | others)


def sample_of(items: list[Item]) -> Sample:
    """Return a sample that is its own population."""
    return Sample(tuple(items), dict(Counter(item.category for item in items)), None)
