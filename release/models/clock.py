"""Wall time of one answer of a model that torch runs."""

import time
from collections.abc import Callable
from typing import Any, Protocol

import torch
from transformers import StoppingCriteriaList

from release.models.timed_answer import NEW_TOKENS, PromptEncoder, TimedAnswer


@torch.inference_mode()
def answer(model: Any, prompter: PromptEncoder, text: str) -> TimedAnswer:
    """Time one greedy answer to a rendered prompt.

    Always `NEW_TOKENS` tokens, past an end of text too: a model that stops early would otherwise look fast.
    """
    laps = Laps(clock_of(model.device), model.device)
    ids = torch.tensor(prompter.encode([text]), device=model.device)
    said = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        num_beams=1,
        temperature=None,
        top_p=None,
        top_k=None,
        min_new_tokens=NEW_TOKENS,
        max_new_tokens=NEW_TOKENS,
        pad_token_id=prompter.tokenizer.eos_token_id,
        stopping_criteria=StoppingCriteriaList([laps]),
    )
    return TimedAnswer(laps.parts(), tuple(said[0, ids.shape[1] :].tolist()))


class Laps:
    """Notes when each new token is there.

    `generate` asks it after every token whether to stop, and it never says so. A streamer would be told of tokens only
    once they are on the host, on some devices a token late.
    """

    def __init__(self, clock: "Clock", device: torch.device) -> None:
        self._clock = clock
        self._go_on = torch.zeros(1, dtype=torch.bool, device=device)
        self._marks = [clock.now()]

    def __call__(self, *_: object, **__: object) -> torch.Tensor:
        """Note the moment."""
        self._marks.append(self._clock.now())
        return self._go_on

    def parts(self) -> tuple[float, float]:
        """Return the seconds up to the first token, and from there to now."""
        start, first, end = self._marks[0], self._marks[1], self._clock.now()
        rest = self._clock.seconds(first, end)
        return self._clock.seconds(start, first), rest


class Clock(Protocol):
    """Marks moments in a device's work, and tells the time between two."""

    def now(self) -> Any:
        """Mark this moment."""

    def seconds(self, start: Any, end: Any) -> float:
        """Return the time between two marks."""


class HostClock:
    """Reads the time where the device has done all it was given: a CPU always has."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def now(self) -> float:
        """Mark this moment."""
        if self._device.type != "cpu":
            torch.accelerator.synchronize(self._device)
        return time.perf_counter()

    def seconds(self, start: float, end: float) -> float:
        """Return the time between two marks."""
        return end - start


class GpuClock:
    """Lets the GPU mark the moments in its own stream, so that no mark makes the answer wait."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.current_stream(device)
        self._event: Callable[..., torch.cuda.Event] = torch.cuda.Event

    def now(self) -> torch.cuda.Event:
        """Mark this moment."""
        event = self._event(enable_timing=True)
        event.record(self._stream)
        return event

    def seconds(self, start: torch.cuda.Event, end: torch.cuda.Event) -> float:
        """Return the time between two marks."""
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000


def clock_of(device: torch.device) -> Clock:
    """Return the clock for a device."""
    return GpuClock(device) if device.type == "cuda" else HostClock(device)
