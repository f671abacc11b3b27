"""Two models answer at the same time, token by token, with the same decoding.

Greedy unless a temperature is given. Sampling is by the Gumbel-max trick (Gumbel 1954; Maddison et al. 2014): the
largest of logits / temperature + Gumbel noise is an exact draw from the softmax. The noise comes from a generator
of each answer's own, seeded alike: answers repeat, and differ between the models through their weights alone.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from gpu import on_gpu
from models import SHELF, Loaded, Source
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList, TextStreamer

CONTEXT = 4096
"""Tokens of conversation and answer together, at most; fewer where a model was made for fewer."""

Message = dict[str, str]


class AnswerError(Exception):
    """There can be no answer; says what was seen and what to do."""


@dataclass(frozen=True)
class Decoding:
    """How both models pick their tokens.

    Attributes:
        temperature: 0 for greedy decoding.
        max_new_tokens: Length of one answer at most.
        seed: Of the noise; without effect where the temperature is 0.
    """

    temperature: float = 0.0
    max_new_tokens: int = 128
    seed: int = 42


def plain(history: Sequence[Mapping[str, Any]] | None) -> list[Message]:
    """Reduce what a Chatbot hands over to messages of plain text; what is not text, and empty ones, fall away."""
    messages = [{"role": str(message.get("role")), "content": _flat(message)} for message in history or []]
    return [each for each in messages if each["role"] in ("user", "assistant") and each["content"]]


def _flat(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    parts = [content] if isinstance(content, str) else [part.get("text") or "" for part in content]
    return "\n".join(parts).strip()


def conversation(messages: Sequence[Message]) -> list[Message]:
    """Make user and assistant speak by turns, as chat templates want it: neighbours of one role become one message."""
    turns: list[Message] = []
    for message in messages:
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1] = {**message, "content": f"{turns[-1]['content']}\n\n{message['content']}"}
        elif turns or message["role"] == "user":
            turns.append(message)
    return turns


def encode(loaded: Loaded, messages: list[Message], max_new_tokens: int) -> list[int]:
    """Tokenise a conversation by the model's chat template; without one, as its texts line by line.

    Raises:
        AnswerError: The conversation and its answer would exceed what the model can read.
    """
    tokenizer = loaded.tokenizer
    if tokenizer.chat_template:
        encoded = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
    else:
        encoded = tokenizer("\n".join(message["content"] for message in messages))
    tokens: list[int] = encoded["input_ids"]
    room = min(CONTEXT, getattr(loaded.model.config, "max_position_embeddings", CONTEXT))
    if len(tokens) + max_new_tokens > room:
        raise AnswerError(
            f"The conversation is {len(tokens)} tokens long and the answer may take {max_new_tokens} more; "
            f"the limit is {room}. Press Clear, or ask for fewer new tokens."
        )
    return tokens


def _duration(_sources: Mapping[str, Source], _prompts: Mapping[str, list[int]], decoding: Decoding) -> int:
    return 30 + decoding.max_new_tokens // 8


@on_gpu(_duration)
def stream(
    sources: Mapping[str, Source], prompts: Mapping[str, list[int]], decoding: Decoding
) -> Iterator[dict[str, str]]:
    """Answer on every side at once.

    Args:
        sources: The model of each side.
        prompts: The token ids that each side goes on from.
        decoding: How all sides decode.

    Yields:
        The text of each side so far, whenever one has grown.

    Raises:
        LoadError: A model cannot be loaded.
        AnswerError: The memory does not suffice.
    """
    loaded = {side: SHELF.get(source) for side, source in sources.items()}
    news: queue.Queue[tuple[str, str]] = queue.Queue()
    halt = threading.Event()
    with ThreadPoolExecutor(len(sources)) as pool:
        work = {
            side: pool.submit(_generate, loaded[side], prompts[side], decoding, partial(_tell, news, side), halt)
            for side in sources
        }
        for side, future in work.items():
            future.add_done_callback(lambda _, side=side: news.put((side, "")))
        try:
            yield from _collect(news, work)
        except torch.OutOfMemoryError as error:
            raise AnswerError("The GPU's memory does not suffice. Press Clear and ask something shorter.") from error
        finally:
            halt.set()


def _tell(news: "queue.Queue[tuple[str, str]]", side: str, text: str) -> None:
    if text:
        news.put((side, text))


def _collect(news: "queue.Queue[tuple[str, str]]", work: Mapping[str, "Future[None]"]) -> Iterator[dict[str, str]]:
    """Yield the texts so far until all work is done; an empty piece says that a side has ended."""
    texts = dict.fromkeys(work, "")
    running = set(work)
    while running:
        pieces = [news.get()]
        while not news.empty():
            pieces.append(news.get())
        for side, text in pieces:
            texts[side] += text
            if not text:
                running.discard(side)
                work[side].result()
        yield dict(texts)


def _generate(
    loaded: Loaded, prompt: list[int], decoding: Decoding, tell: Callable[[str], None], halt: threading.Event
) -> None:
    tokens = torch.tensor([prompt], device=loaded.model.device)
    with torch.inference_mode():
        loaded.model.generate(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            do_sample=False,
            max_new_tokens=decoding.max_new_tokens,
            logits_processor=LogitsProcessorList([Gumbel(decoding)] if decoding.temperature > 0 else []),
            stopping_criteria=StoppingCriteriaList([Halt(halt)]),
            streamer=Teller(loaded.tokenizer, tell),
        )


class Teller(TextStreamer):
    """Tells each finished word to a function instead of printing it."""

    def __init__(self, tokenizer: Any, tell: Callable[[str], None]) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._tell = tell

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:  # noqa: ARG002, the base class's signature
        """Pass on what the streamer has just completed."""
        self._tell(text)


class Halt(StoppingCriteria):
    """Ends an answer when somebody pressed Stop."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:  # noqa: ARG002
        """Return (batch,) booleans."""
        return torch.full((input_ids.shape[0],), self._event.is_set(), device=input_ids.device)


class Gumbel(LogitsProcessor):
    """Makes the largest score an exact draw at the given temperature."""

    def __init__(self, decoding: Decoding) -> None:
        self._temperature = decoding.temperature
        self._generator = torch.Generator().manual_seed(decoding.seed)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Return scores / temperature + noise, (batch, vocabulary), in fp32."""
        # Exponential(1) noise is drawn on the CPU, so that a seed means the same on every device.
        exponential = torch.empty(scores.shape, dtype=torch.float32).exponential_(generator=self._generator)
        return scores.float() / self._temperature - exponential.log().to(scores.device)
