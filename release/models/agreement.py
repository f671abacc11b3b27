"""Whether an engine computes what transformers computes from the same files, tried before its answers are used.

A configuration is read by two libraries: mlx-lm's Qwen2 once took its own rotary base in place of the file's, and
answered fluently with other tokens.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from release.errors import UnusableBase
from release.models.engines import engine
from release.models.logprobs import read
from release.models.reader import name_of
from release.models.tree import Query
from release.progress import Console
from release.values import EngineName

TRIED = 3
"""Prompts that both read, of different lengths."""
ROUNDING = {torch.float32: 1e-3, torch.float16: 0.02, torch.bfloat16: 0.06}
"""Total variation between two engines' next tokens that is rounding, 0 to 1. Behind one prompt of 80 tokens that of
SmolLM2-135M was 8e-6 in float32 and 0.018 in bfloat16; with a tenth of the rotary base 0.085 and 0.091. Behind three
BBQ prompts of 96 to 107 tokens it was at most 8e-6 in float32 and 0.0047 in float16 (on a CPU)."""


def require_agreement(
    by: EngineName,
    folder: Path,
    prompts: Sequence[tuple[int, ...]],
    device: torch.device,
    dtype: torch.dtype,
    console: Console,
) -> None:
    """Refuse an engine that finds other next tokens likely than transformers does, by more than rounding.

    Args:
        prompts: Token ids; a few of them are read.

    Raises:
        MissingSource: The engine is not installed.
        UnusableBase: It cannot run this checkpoint, or computes something else.
    """
    if by == "transformers":
        return
    engine(by).require(folder, device)
    shared = sorted(set(prompts), key=len)
    asked = [Query(shared[index]) for index in sorted({0, len(shared) // 2, len(shared) - 1})[:TRIED]]
    with console.step(f"Whether {by} computes what transformers does", 1) as advance:
        first, second = (_read(name, folder, asked, device, dtype, console) for name in ("transformers", by))
        advance(1)
    worst = float((first.exp() - second.exp()).abs().sum(dim=1).max() / 2)
    if not worst <= ROUNDING[dtype]:
        raise UnusableBase(
            f"Engine {by} computes something else with {folder.name} than transformers: after the same prompts"
            f" {worst:.1%} of the next token's probability lies elsewhere ({ROUNDING[dtype]:.1%} is rounding in"
            f" {name_of(dtype)}).",
            "Its reading of config.json is another. Ask BBQ with --bbq-engine transformers.",
        )


def _read(
    by: EngineName, folder: Path, asked: Sequence[Query], device: torch.device, dtype: torch.dtype, console: Console
) -> torch.Tensor:
    """Return the log-probabilities after each sequence, (sequences, V), on the CPU."""
    with engine(by).opened(folder, device, dtype, console) as reader:
        found = {index: rows[-1].float().cpu() for index, rows in read(reader, asked, lambda _: None, alone=True)}
    return torch.stack([found[index] for index in range(len(asked))])
