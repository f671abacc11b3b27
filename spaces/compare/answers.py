"""Two models answer at the same time, step by step in one thread, and where their answers first differ is found.

The models take turns, a token each. So neither disturbs the other's clock, both are at the same place, and the scores
of that place alone are needed to say how likely each model found the other's token.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from decoding import Decoding
from gpu import on_gpu
from lineup import Source
from models import SHELF, LoadedModel
from sampling import Sampler
from turns import Answer, AnswerError, Difference, Message, Progress, Token, conversation

CONTEXT = 4096
"""Tokens of conversation and answer together, at most; fewer where a model was made for fewer."""

EVERY = 0.05
"""Seconds between two steps that are shown."""

Tell = Callable[[str], None]


def prompts_of(
    sources: Mapping[str, Source], histories: Mapping[str, list[Message]], decoding: Decoding, tell: Tell
) -> dict[str, list[int]]:
    """Load the models where necessary, and return the token ids that each side goes on from.

    Args:
        tell: Is told what is being loaded.

    Raises:
        LoadError: A model cannot be loaded.
        AnswerError: The conversation is too long.
    """
    loaded = {}
    for side, source in sources.items():
        if source not in SHELF:
            tell(f"Loading {source.id}")
        loaded[side] = SHELF.get(source)
    turns = {side: conversation(histories[side]) for side in sources}
    return {side: encode(loaded[side], turns[side], decoding.max_new_tokens) for side in sources}


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
