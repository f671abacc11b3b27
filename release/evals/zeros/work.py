"""Zeros counted before and after each treatment, one matrix of the pruned files at a time."""

from collections import Counter
from pathlib import Path

import torch
from safetensors import safe_open

from release.checkpoint.folder import open_checkpoint
from release.checkpoint.prunable import prunable
from release.evals.work import EvalContext, PairTask, Sides
from release.evals.zeros.result import TreatedZeros, Zeros
from release.evals.zeros.treat import TREATMENTS
from release.progress import Advance

SEED = 0
"""Draws the LoRA."""


class ZerosTask(PairTask[Zeros]):
    """The zeros of the pruned files, treated."""

    def measure(self, sides: Sides) -> tuple[Zeros, ...]:
        """Read every prunable matrix once."""
        size = sum(tensor.numel for tensor in open_checkpoint(sides.pruned).tensors())
        with sides.console.step("What happens to the zeros next", size, "weights") as advance:
            return (count(sides.pruned, advance),)


def prepare(asked: EvalContext) -> ZerosTask | None:
    """Lay it out where anything is asked of the models."""
    return ZerosTask() if asked.others else None


@torch.inference_mode()
def count(folder: Path, advance: Advance) -> Zeros:
    """Count the zeros of a folder's prunable weights, as they are and after each treatment."""
    checkpoint = open_checkpoint(folder)
    wanted, found = set(prunable(checkpoint)), Counter[str]()
    draws = torch.Generator().manual_seed(SEED)
    for header in checkpoint.headers:
        with safe_open(header.path, framework="pt", backend="pread") as file:
            for tensor in header.tensors:
                if tensor.name in wanted:
                    found += _of(file.get_tensor(tensor.name), draws)
                advance(tensor.numel)
    kept = (
        TreatedZeros(treatment=name, kept=found[f"{name} kept"], added=found[f"{name} added"]) for name in TREATMENTS
    )
    return Zeros(zeros=found["zeros"], others=found["others"], treatments=tuple(kept))


def _of(stored: torch.Tensor, draws: torch.Generator) -> Counter[str]:
    zero = stored == 0
    found = Counter(zeros=int(zero.sum()), others=int((~zero).sum()))
    weight = stored.float()
    for name, treatment in TREATMENTS.items():
        now = treatment(weight, stored.dtype, draws) == 0
        found[f"{name} kept"] = int((now & zero).sum())
        found[f"{name} added"] = int((now & ~zero).sum())
    return found
