"""How many BBQ items are asked where nobody says how many."""

import time

import torch

from release.evals.bbq.sample import LADDER
from release.evals.latency.amount import Amount
from release.evals.latency.table import WARMUP
from release.evals.perplexity.options import WINDOWS
from release.settings.measuring import Measuring

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

ALLOWANCE = 180.0
"""Seconds that the answers of both models may take where the rest takes less."""
TOKENS = 111
"""Of an item in three rotations once beginnings are shared: 6,671 for 60 items of SmolLM2's tokenizer."""
FULL_TEXT = 300_000
"""Of all windows of a text: WikiText-2's test split has about as many."""
TIMED_TOKENS = 160
"""Of one answer whose latency is taken: a whole prompt and what is generated."""
OVERHEAD = 1e-4
"""Seconds that a token costs the smallest model: planning trees, keeping readings."""
EFFICIENCY = 0.5
"""Share of the bare matrix product's speed that a model reaches."""
SIZE, ROUNDS = 1024, 4
"""Of the matrix product that is timed, and how often; the fastest counts."""


def asked(plan: Measuring, parameters: int, device: torch.device, available: int) -> str:
    """Return how many items are asked, or asked first where a precision is wished for.

    Args:
        parameters: Of the dense model.
        available: Items there are.
    """
    if plan.precision is not None:
        return str(LADDER[0])
    if plan.bbq != "auto":
        return plan.bbq
    return affordable(seconds_per_token(parameters, device, DTYPES[plan.eval_dtype]), other_tokens(plan), available)


def affordable(cost: float, others: int, available: int) -> str:
    """Choose as many items as are read in about the time of the other measurements, or in `ALLOWANCE`.

    Args:
        cost: Seconds that one token costs one model here.
        others: Tokens that the other measurements give each model to read.
        available: Items there are.

    Returns:
        A rung of `LADDER`, never below the first; `full` where all are affordable.
    """
    items = max(ALLOWANCE / (2 * cost), others) / TOKENS
    if items >= available:
        return "full"
    return str(max((rung for rung in LADDER if rung <= items), default=LADDER[0]))


def other_tokens(plan: Measuring) -> int:
    """Return how many tokens perplexity and latency give each model to read."""
    window, fixed = plan.window or WINDOWS[plan.perplexity_preset], {"off": 0, "full": FULL_TEXT}
    text = fixed[plan.perplexity] if plan.perplexity in fixed else int(plan.perplexity) * window
    timed = 0 if plan.latency == "off" else (Amount.of(plan.latency).least + WARMUP) * len(plan.latency_engine)
    return text + timed * TIMED_TOKENS


def seconds_per_token(parameters: int, device: torch.device, dtype: torch.dtype) -> float:
    """Estimate what a token costs a model of so many parameters, from the speed of one matrix product here.

    Two operations per parameter (Kaplan et al. 2020). No model is loaded, so that all is settled before any work; for
    a mixture of experts, which uses only a part of its parameters, the estimate is too high.
    """
    matrix = torch.ones(SIZE, SIZE, device=device, dtype=dtype)
    operation = min(_seconds(matrix) for _ in range(ROUNDS)) / (2 * SIZE**3)
    return OVERHEAD + 2 * parameters * operation / EFFICIENCY


def _seconds(matrix: torch.Tensor) -> float:
    started = time.perf_counter()
    # Reading one number waits for the device.
    (matrix @ matrix)[0, 0].item()
    return time.perf_counter() - started
