"""Wall time of single answers, dense and pruned in turns; knows nothing about what the times are put to."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from transformers import StoppingCriteriaList

from release.device import device_name
from release.measure.busy import LoadMeter
from release.measure.exchange import exchanged, own_memory
from release.measure.model import loaded, read_tokenizer
from release.measure.prompts import Prompter
from release.measure.timings import NEW_TOKENS, Timings, turns
from release.progress import Console
from release.sources.bbq import Item

Take = Callable[[int], Any]
"""Returns the model that answers for a side: 0 dense, 1 pruned."""


def time_exchanged(dense: Path, pruned: Path, items: Sequence[Item], device: torch.device, console: Console) -> Timings:
    """Time one resident model that takes the weights of the side whose turn it is; copying them is not timed.

    Raises:
        UnusableBase: A model cannot be loaded or does not fit into memory.
    """
    with exchanged(dense, pruned, device) as resident:
        return _timed(resident.take, dense, items, device, console)


def time_beside(dense: Path, pruned: Path, items: Sequence[Item], device: torch.device, console: Console) -> Timings:
    """Time two models of different shapes or types beside each other, each in memory of its own.

    Raises:
        UnusableBase: A model cannot be loaded, or they do not fit into memory.
    """
    with loaded(dense, device, None) as first, loaded(pruned, device, None) as second:
        models = (first, second)
        for model in models:
            own_memory(model)
        return _timed(models.__getitem__, dense, items, device, console)


def _timed(take: Take, tokenizer: Path, items: Sequence[Item], device: torch.device, console: Console) -> Timings:
    prompter = Prompter(read_tokenizer(tokenizer))
    seconds, meter = np.empty((len(items), 2, 2)), LoadMeter()
    with console.step("Latency, dense and pruned in turns", len(items)) as advance:
        for index, item in enumerate(items):
            text = prompter.text(item, rotation=0)
            for side in turns(index):
                model = take(side)
                with meter.timing():
                    seconds[index, side] = answer_seconds(model, prompter, text)
            advance(1)
    dtype = str(take(0).dtype).removeprefix("torch.")
    return Timings(seconds, device_name(device), dtype, torch.get_num_threads(), meter.load())


@torch.inference_mode()
def answer_seconds(model: Any, prompter: Prompter, text: str) -> tuple[float, float]:
    """Time one greedy answer to a rendered prompt.

    Always `NEW_TOKENS` tokens, past an end of text too: a model that stops early would otherwise look fast.

    Returns:
        Seconds to tokenise the prompt, read it and find the first new token; seconds for the other tokens.
    """
    laps = Laps(clock_of(model.device), model.device)
    ids = torch.tensor(prompter.encode([text]), device=model.device)
    model.generate(
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
    return laps.parts()


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
