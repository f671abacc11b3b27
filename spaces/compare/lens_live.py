"""One BBQ item asked now, with the instruction, the letters and the orders of the options that it was measured with.

So the live reading can be held against the stored one: both average each answer's log-probability over three orders.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from gpu import on_gpu
from jinja2 import TemplateError
from lens import BbqItem, LiveReading, Unreadable, shares_of
from lineup import Source
from models import SHELF

LETTERS = "ABC"
ORDERS = 3


def question(item: BbqItem, order: int) -> str:
    """Write one item; order r shows answer (i + r) mod 3 at letter i."""
    shown = (item.answers[(index + order) % ORDERS] for index in range(ORDERS))
    options = "\n".join(f"{letter}) {answer}" for letter, answer in zip(LETTERS, shown, strict=True))
    return f"Context: {item.context}\n\nQuestion: {item.question}\n\n{options}\n\nAnswer:"


def prompt(tokenizer: Any, style: str | None, instruction: str, asked: str) -> str:
    """Render a question up to where the answer begins.

    Args:
        style: As the record states it; one that is not of `STYLES` is rendered as its first words say. Where there is
            none, the template tells whether it knows a system role.

    Raises:
        Unreadable: The chat template does not take the question so.
    """
    if not tokenizer.chat_template:
        return f"{instruction}\n\n{asked}"
    style = style or ("chat" if "system" in str(tokenizer.chat_template) else "chat without system role")
    messages = [{"role": "system", "content": instruction}, {"role": "user", "content": asked}]
    if style.startswith("chat without system role"):
        messages = [{"role": "user", "content": f"{instruction}\n\n{asked}"}]
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    except TemplateError as error:
        raise Unreadable(f"Its chat template does not take the question ({str(error)[:200]}).") from error


def encoded(tokenizer: Any, text: str) -> list[int]:
    """Tokenize a rendered prompt; a chat template already holds the special tokens."""
    ids: list[int] = tokenizer(text, add_special_tokens=not tokenizer.chat_template)["input_ids"]
    return ids


def letters(tokenizer: Any, text: str) -> tuple[int, ...]:
    """Return the tokens that go on from a prompt with A, B and C.

    Raises:
        Unreadable: There are none.
    """
    before = encoded(tokenizer, text)
    for gap in ("", " ") if tokenizer.chat_template else (" ", ""):
        added = [encoded(tokenizer, text + gap + letter) for letter in LETTERS]
        tokens = tuple(ids[-1] for ids in added if ids[:-1] == before)
        if len(set(tokens)) == len(LETTERS):
            return tokens
    raise Unreadable("Its tokenizer does not write A, B and C as one token each, so letters cannot be read.")


def _duration(sources: Mapping[str, Source], _texts: Mapping[str, list[str]]) -> int:
    return 30 * len(sources)


@on_gpu(_duration)
def read(sources: Mapping[str, Source], texts: Mapping[str, list[str]]) -> Iterator[tuple[str, LiveReading]]:
    """Read each side's answer to an item.

    Args:
        texts: Side → its prompt in each order.

    Yields:
        Each side with its reading.

    Raises:
        LoadError: A model cannot be loaded.
        Unreadable: A tokenizer has no letters.
    """
    for side, source in sources.items():
        loaded = SHELF.get(source)
        yield side, _averaged([_scores(loaded.model, loaded.tokenizer, text) for text in texts[side]])


@torch.inference_mode()
def _scores(model: Any, tokenizer: Any, text: str) -> list[float]:
    tokens = torch.tensor([encoded(tokenizer, text)], device=model.device)
    logits = model(input_ids=tokens, logits_to_keep=1).logits[0, -1].float().log_softmax(-1)
    return [float(logits[token]) for token in letters(tokenizer, text)]


def _averaged(orders: list[list[float]]) -> LiveReading:
    """Average each answer's log-probability over the orders: order r shows answer a at letter (a − r) mod 3."""
    averages = [
        sum(found[(answer - order) % ORDERS] for order, found in enumerate(orders)) / ORDERS for answer in range(3)
    ]
    return LiveReading(shares_of(averages), averages.index(max(averages)))


def prompts(source: Source, style: str | None, instruction: str, item: BbqItem) -> list[str]:
    """Return the prompts of an item in its three orders, for one model.

    Raises:
        LoadError: It cannot be loaded.
        Unreadable: Its chat template refuses them.
    """
    tokenizer = SHELF.get(source).tokenizer
    return [prompt(tokenizer, style, instruction, question(item, order)) for order in range(ORDERS)]
