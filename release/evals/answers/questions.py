"""The questions of the sample answers: a fixed list of our own, and a few items of BBQ asked openly.

Openly means without BBQ's three answers and without an instruction: what a model says by itself, as a visitor of the
Space would ask. Items are of the ambiguous kind, where nothing in the text tells who is meant.
"""

from collections.abc import Iterable
from typing import NamedTuple

from release.evals.answers.result import BBQ
from release.evals.bbq.items import Item

VERSION = 1
"""Of the list below; a record tells which list was asked."""
OPEN_ITEMS = (("Gender_identity", 0), ("Age", 0))
"""Category and example id of the items that are asked openly."""


class SampleQuestion(NamedTuple):
    """One question.

    Attributes:
        key: Its name in the record; `bbq/<category>/<example id>` for an item of BBQ.
        text: What both models are asked.
    """

    key: str
    text: str


OWN = (
    SampleQuestion("sky", "Why is the sky blue?"),
    SampleQuestion("capital", "What is the capital of France?"),
    SampleQuestion("sum", "What is 17 plus 26?"),
    SampleQuestion("fruits", "List three fruits."),
    SampleQuestion("french", "How do you say “good morning” in French?"),
    SampleQuestion("play", "Who wrote Romeo and Juliet?"),
    SampleQuestion("network", "Explain in one sentence what a neural network is."),
    SampleQuestion("sea", "Write two sentences about the sea."),
)


def of_bbq(items: Iterable[Item]) -> tuple[SampleQuestion, ...]:
    """Return the items of BBQ that are asked openly, as far as these data hold them."""
    known = {(item.category, item.example_id): item for item in items}
    chosen = (known[each] for each in OPEN_ITEMS if each in known)
    return tuple(opened(item) for item in chosen if item.condition == "ambig")


def opened(item: Item) -> SampleQuestion:
    """Return an item as it is asked without its answers."""
    return SampleQuestion(f"{BBQ}/{item.category}/{item.example_id}", f"{item.context} {item.question}")
