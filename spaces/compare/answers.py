"""Two models answer at the same time, step by step in one thread, and where their answers first differ is found.

The models take turns, a token each. So neither disturbs the other's clock, both are at the same place, and the scores
of that place alone are needed to say how likely each model found the other's token.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from decoding import Decoding, Sampler
from gpu import on_gpu
from lineup import Source
from models import SHELF, LoadedModel

CONTEXT = 4096
"""Tokens of conversation and answer together, at most; fewer where a model was made for fewer."""

EVERY = 0.05
"""Seconds between two steps that are shown."""

Message = dict[str, str]


class AnswerError(Exception):
    """There can be no answer; says what was seen and what to do."""


@dataclass(frozen=True)
class Token:
    """What one model said at the place where the answers part.

    Attributes:
        text: Its token; empty for the end of the answer.
        probabilities: Side → how likely that side's model found it, 0 to 1, at temperature 1.
    """

    text: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class Difference:
    """The first token that the answers do not share.

    Attributes:
        position: Tokens that they share before it.
        tokens: Side → what it said there.
    """

    position: int
    tokens: Mapping[str, Token]


@dataclass(frozen=True)
class Answer:
    """One side's answer so far.

    Attributes:
        text: What it said.
        tokens: How many tokens that took, the end of the answer included.
        first_seconds: Seconds of this model's own work up to its first token.
        seconds: Seconds of its work on all further tokens.
        ended: Whether the model ended by itself.
        differing: Where in the text the first differing token stands; None before, and where it is no text.
    """

    text: str
    tokens: int = 0
    first_seconds: float | None = None
    seconds: float = 0.0
    ended: bool = False
    differing: tuple[int, int] | None = None

    @property
    def speed(self) -> float | None:
        """Tokens per second after the first one."""
        return (self.tokens - 1) / self.seconds if self.tokens > 1 and self.seconds > 0 else None


@dataclass(frozen=True)
class Progress:
    """Both answers so far.

    Attributes:
        answers: By side.
        difference: Where they first differ; None as long as they do not.
        comparable: Whether both models write in the same tokens.
        done: Whether nothing more comes.
    """

    answers: Mapping[str, Answer]
    difference: Difference | None = None
    comparable: bool = True
    done: bool = False


def plain(history: Sequence[Mapping[str, Any]] | None) -> list[Message]:
    """Reduce a conversation to messages of plain text; what is not text, and empty ones, fall away."""
    messages = [{"role": str(message.get("role")), "content": _flat(message)} for message in history or []]
    return [each for each in messages if each["role"] in ("user", "assistant") and each["content"]]


def _flat(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str)).strip()


def conversation(messages: Sequence[Message]) -> list[Message]:
    """Make user and assistant speak by turns, as chat templates want it: neighbours of one role become one message."""
    turns: list[Message] = []
    for message in messages:
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1] = {**message, "content": f"{turns[-1]['content']}\n\n{message['content']}"}
        elif turns or message["role"] == "user":
            turns.append(message)
    return turns


def encode(loaded: LoadedModel, messages: list[Message], max_new_tokens: int) -> list[int]:
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
def stream(sources: Mapping[str, Source], prompts: Mapping[str, list[int]], decoding: Decoding) -> Iterator[Progress]:
    """Answer on every side at once; whoever closes the iterator ends the answers.

    Args:
        sources: The model of each side.
        prompts: The token ids that each side goes on from.
        decoding: How all sides decode.

    Yields:
        The answers so far, after each side's first token and then every `EVERY` seconds.

    Raises:
        LoadError: A model cannot be loaded.
        AnswerError: The memory does not suffice.
    """
    speakers = {side: Speaker(SHELF.get(source), prompts[side], decoding) for side, source in sources.items()}
    try:
        yield from _take_turns(speakers, decoding.max_new_tokens)
    except torch.OutOfMemoryError as error:
        raise AnswerError("The GPU's memory does not suffice. Press Clear and ask something shorter.") from error


def _take_turns(speakers: Mapping[str, "Speaker"], most: int) -> Iterator[Progress]:
    comparable = len({id(speaker.tokenizer) for speaker in speakers.values()}) == 1
    difference, told = None, 0.0
    for step in range(most):
        for speaker in speakers.values():
            speaker.speak()
            if time.monotonic() - told > EVERY or step == 0:
                yield _progress(speakers, difference, comparable)
                told = time.monotonic()
        if difference is None and comparable:
            difference = _parted(speakers, step)
        if all(speaker.ended for speaker in speakers.values()):
            break
    yield _progress(speakers, difference, comparable, done=True)


def _progress(
    speakers: Mapping[str, "Speaker"], difference: Difference | None, comparable: bool, done: bool = False
) -> Progress:
    position = difference.position if difference else None
    answers = {side: speaker.answer(position) for side, speaker in speakers.items()}
    return Progress(answers, difference, comparable, done)


def _parted(speakers: Mapping[str, "Speaker"], step: int) -> Difference | None:
    """Compare the tokens of this step; until it finds a difference, all sides are at the same step."""
    said = {side: speaker.tokens[step] for side, speaker in speakers.items() if step < len(speaker.tokens)}
    if len(set(said.values())) < 2:
        return None
    shares = {side: speaker.scores.softmax(-1).nan_to_num() for side, speaker in speakers.items()}
    tokens = {
        side: Token(speakers[side].text_of(token), {other: float(found[token]) for other, found in shares.items()})
        for side, token in said.items()
    }
    return Difference(step, tokens)


@dataclass
class Speaker:
    """One model in the middle of an answer.

    Attributes:
        tokens: What it said so far.
        scores: The logits its last token was picked from, (vocabulary,), fp32.
    """

    loaded: LoadedModel
    prompt: list[int]
    decoding: Decoding
    tokens: list[int] = field(default_factory=list)
    scores: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    ended: bool = False
    first_seconds: float | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self._pick = Sampler(self.decoding)
        self._cache: Any = None
        self._ends = _ends(self.loaded.model.generation_config.eos_token_id)

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of its model."""
        return self.loaded.tokenizer

    @torch.inference_mode()
    def speak(self) -> None:
        """Say one token more, unless the answer has ended."""
        if self.ended:
            return
        started = time.perf_counter()
        model = self.loaded.model
        read = torch.tensor([self.tokens[-1:] or self.prompt], device=model.device)
        result = model(input_ids=read, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        self._cache = result.past_key_values
        self.scores = result.logits[0, -1].float()
        self.tokens.append(int(self._pick(self.scores)))
        self.ended = self.tokens[-1] in self._ends
        self._clock(time.perf_counter() - started)

    def _clock(self, seconds: float) -> None:
        if self.first_seconds is None:
            self.first_seconds = seconds
        else:
            self.seconds += seconds

    def answer(self, position: int | None) -> Answer:
        """Return the answer so far; `position` is the place of its first differing token."""
        text = self._text(len(self.tokens))
        at = None if position is None else (len(self._text(position)), len(self._text(position + 1)))
        differing = at if at and at[0] < at[1] else None
        return Answer(text, len(self.tokens), self.first_seconds, self.seconds, self.ended, differing)

    def text_of(self, token: int) -> str:
        """Return a token as text; empty where it ends the answer."""
        return "" if token in self._ends else str(self.tokenizer.decode([token]))

    def _text(self, count: int) -> str:
        """Return the first tokens as text, without a character that is not whole yet."""
        text: str = self.tokenizer.decode(
            self.tokens[:count], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text if self.ended and count >= len(self.tokens) else text.rstrip("\ufffd")


def _ends(stated: int | Sequence[int] | None) -> frozenset[int]:
    return frozenset([stated] if isinstance(stated, int) else stated or [])
