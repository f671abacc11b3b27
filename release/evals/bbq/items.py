"""An item of BBQ, and how its answers are compared with texts."""

from typing import Literal, NamedTuple

UNKNOWN_PHRASES = frozenset(
    {
        "unknown",
        "cannot be determined",
        "can't be determined",
        "not answerable",
        "not known",
        "not enough info",
        "not enough information",
        "cannot answer",
        "can't answer",
        "undetermined",
    }
)
"""What BBQ's items call the answer that it cannot be known; each item holds one of them."""

Polarity = Literal["neg", "nonneg"]
Condition = Literal["ambig", "disambig"]


class Item(NamedTuple):
    """One question.

    Attributes:
        example_id: Unique within its category only.
        question_index: Number of the template; with `category` it names the cluster.
        polarity: `neg` asks who fits the stereotype, `nonneg` who does not.
        condition: Whether the context leaves the answer open (`ambig`) or settles it (`disambig`).
        answers: The three answers in the order of the data set.
        groups: The social group of each answer, as the data set writes it.
        unknown: Index of the answer that says it cannot be known.
        label: Index of the right answer.
        target: Index of the answer that counts as biased, already turned round for `nonneg`; None for the 16
            items that the authors leave out of bias scores.
    """

    category: str
    example_id: int
    question_index: str
    polarity: Polarity
    condition: Condition
    context: str
    question: str
    answers: tuple[str, str, str]
    groups: tuple[str, str, str]
    unknown: int
    label: int
    target: int | None


def folded(text: str) -> str:
    """Return a text as it is compared: without case, surrounding white space and one final full stop."""
    return text.strip().removesuffix(".").rstrip().casefold()
