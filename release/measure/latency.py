"""Wall time of one answer, dense and pruned in turns."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from release.measure.prompts import Prompter
from release.measure.statistics import REPLICATES, Floats, estimate, resampled_means
from release.progress import Console
from release.record import DataSource, Latency, LatencySide
from release.sources.bbq import Item

NEW_TOKENS = 5
WARMUP = 2
MARGIN = 0.05


@dataclass(frozen=True)
class Pair:
    """Both models in memory, in their stored type."""

    dense: Any
    pruned: Any


def compare(
    pair: Pair, tokenizer: Any, items: Sequence[Item], data: DataSource, seed: int, console: Console
) -> Latency:
    """Time both models on the same prompts, item by item, taking turns at who goes first.

    The first `WARMUP` items are asked and not counted.
    """
    started = time.perf_counter()
    prompter = Prompter(tokenizer)
    seconds = np.empty((len(items), 2))
    models = (pair.dense, pair.pruned)
    with console.step("Latency, dense and pruned in turns", len(items)) as advance:
        for index, item in enumerate(items):
            text = prompter.text(item, rotation=0)
            for side in (0, 1) if index % 2 == 0 else (1, 0):
                seconds[index, side] = answer_seconds(models[side], prompter, text)
            advance(1)
    counted = seconds[WARMUP:]
    return Latency(
        prompts=data,
        items=len(counted),
        warmup=WARMUP,
        new_tokens=NEW_TOKENS,
        device=device_name(pair.dense.device),
        dtype=str(pair.dense.dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        dense=_side(counted[:, 0]),
        pruned=_side(counted[:, 1]),
        ratio=estimate(np.exp(resampled_means(np.log(counted[:, 1] / counted[:, 0]), REPLICATES, seed))),
        margin=MARGIN,
        seconds=time.perf_counter() - started,
    )


@torch.inference_mode()
def answer_seconds(model: Any, prompter: Prompter, text: str) -> float:
    """Return the wall seconds to tokenise a prompt, read it and generate greedily.

    Always `NEW_TOKENS` tokens, past an end of text too: a model that stops early would otherwise look fast.
    """
    started = time.perf_counter()
    ids = torch.tensor(prompter.encode([text]), device=model.device)
    model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
        min_new_tokens=NEW_TOKENS,
        max_new_tokens=NEW_TOKENS,
        pad_token_id=prompter.tokenizer.eos_token_id,
    )
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    return time.perf_counter() - started


def device_name(device: torch.device) -> str:
    """Return what a reader should know of a device: a GPU's name, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _side(seconds: Floats) -> LatencySide:
    return LatencySide(
        mean=float(seconds.mean()), median=float(np.median(seconds)), p95=float(np.quantile(seconds, 0.95))
    )
