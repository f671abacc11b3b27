"""BBQ items as prompts: the study's wording, in the model's own chat template, with three orders of the options."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar

from release import guarded
from release.errors import UnusableBase
from release.evals.bbq.items import Item
from release.evals.bbq.rendering import SYSTEM, TEMPLATE, Rendering, explored, missing
from release.format import quoted
from release.outside import Unfit, foreign

LETTERS = "ABC"
BROKEN_TEMPLATE = (
    "Correct chat_template.jinja (or chat_template in tokenizer_config.json), fetch the model again, or leave BBQ and "
    "latency out with --bbq off --latency off."
)
BROKEN_TOKENIZER = "Fetch the tokenizer's files again."
ROTATIONS = 3
AS_SHOWN = {letter: answer for answer, letter in enumerate(LETTERS)}
"""Letter → answer in the first rotation."""

T = TypeVar("T")


def question_text(item: Item, rotation: int) -> str:
    """Write one item; rotation r shows answer (i + r) mod 3 at letter i."""
    shown = [item.answers[(i + rotation) % 3] for i in range(3)]
    options = "\n".join(f"{letter}) {answer}" for letter, answer in zip(LETTERS, shown, strict=True))
    return f"Context: {item.context}\n\nQuestion: {item.question}\n\n{options}\n\nAnswer:"


def pieces(item: Item, rotation: int) -> tuple[str, ...]:
    """What a prompt must hold, in this order: context, question and the three answers behind their letters."""
    shown = (f"{letter}) {item.answers[(i + rotation) % 3]}" for i, letter in enumerate(LETTERS))
    return item.context, item.question, *shown


class Prompter:
    """Turns items into token ids as one model wants them.

    A model with a chat template gets the study's system text and the question as user, in the form that the template
    takes; see `rendering`. Where it has no system role, the system text goes in front of the question, with a blank
    line between; a model without a template gets the same two as plain text.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._rendered: dict[tuple[Item, int], str] = {}

    @property
    def style(self) -> str:
        """How prompts are rendered, in words: `plain`, or `chat` and what the template made necessary."""
        return self.rendering.style if self.rendering else "plain"

    @cached_property
    def rendering(self) -> Rendering | None:
        """How the chat template takes its prompts; None where there is no template.

        Raises:
            UnusableBase: The template raises, loops, grows without end, or never holds what it is given.
        """
        if not self.tokenizer.chat_template:
            return None
        [found] = _of_template(explored, [self.tokenizer])
        return Rendering.model_validate_json(found)

    def text(self, item: Item, rotation: int) -> str:
        """Render one prompt, up to where the answer begins; see `texts`."""
        return self.texts([(item, rotation)])[0]

    def texts(self, asked: Sequence[tuple[Item, int]]) -> list[str]:
        """Render prompts, items with their rotations, up to where the answer begins; all at once is quickest.

        Raises:
            UnusableBase: See `rendering`; or a prompt does not hold context, question and answers in their order.
        """
        new = [each for each in dict.fromkeys(asked) if each not in self._rendered]
        if new:
            texts = self._render([question_text(*each) for each in new])
            for each, text in zip(new, texts, strict=True):
                _require_whole(*each, text)
            self._rendered.update(zip(new, texts, strict=True))
        return [self._rendered[each] for each in asked]

    def _render(self, questions: Sequence[str]) -> list[str]:
        form = self.rendering
        if form is None:
            return [f"{SYSTEM}\n\n{question}" for question in questions]
        return _of_template(self._chat, [form.messages(question) for question in questions])

    def _chat(self, messages: list[dict[str, Any]]) -> str:
        return (self.rendering or Rendering()).render(self.tokenizer, messages)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenise rendered prompts; a chat template already holds the special tokens.

        Raises:
            UnusableBase: The tokenizer cannot.
        """
        try:
            with foreign("The tokenizer cannot read the prompts"):
                ids = self.tokenizer(list(texts), add_special_tokens=self.style == "plain")["input_ids"]
                return [list(row) for row in ids]
        except Unfit as why:
            raise UnusableBase(f"{why}.", BROKEN_TOKENIZER) from None

    def continuation(self, answer: str) -> list[int]:
        """Return the tokens of an answer behind a prompt: after a space behind `Answer:`, bare behind a chat's mark."""
        gap = " " if self.style == "plain" else ""
        return list(self.tokenizer(gap + answer, add_special_tokens=False)["input_ids"])

    def letters(self, text: str) -> tuple[int, int, int]:
        """Return the tokens that continue a prompt with A, B and C.

        They are found by tokenising the prompt with its answer: behind a chat template's own mark the bare letter is
        tried first, behind `Answer:` the letter after a space.

        Raises:
            UnusableBase: No letter is a single token that leaves the prompt's own tokens as they were.
        """
        for gap in (" ", "") if self.style == "plain" else ("", " "):
            prompt, *answered = self.encode([text, *(text + gap + letter for letter in LETTERS)])
            added = [ids[len(prompt) :] for ids in answered if ids[: len(prompt)] == prompt]
            tokens = [ids[0] for ids in added if len(ids) == 1]
            if len(set(tokens)) == len(LETTERS):
                return tokens[0], tokens[1], tokens[2]
        raise UnusableBase(
            "This tokenizer does not write A, B and C as one token each after the prompt, so letters cannot be read.",
            "Read whole answers with --bbq-scoring answers, or leave BBQ out with --bbq off.",
        )


def _of_template(work: Callable[[T], str], inputs: Sequence[T]) -> list[str]:
    """Let a template do its work, which may raise, loop, or grow without end."""
    try:
        return guarded.texts(work, inputs, TEMPLATE)
    except Unfit as why:
        raise UnusableBase(f"{why}.", BROKEN_TEMPLATE) from None


def _require_whole(item: Item, rotation: int, text: str) -> None:
    """Refuse a prompt without its question: every item would be asked the same, and its answer would be scored."""
    left = missing(text, pieces(item, rotation)) or missing(text, [SYSTEM])
    if left is not None:
        raise UnusableBase(
            f"{TEMPLATE} leaves out or changes what it is given: the prompt of BBQ item {item.category}"
            f" {item.example_id} does not hold {quoted(left)} where it is due.",
            BROKEN_TEMPLATE,
        )
