"""How many items are asked where nobody says how many."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from release.evals.bbq.amount import ALLOWANCE, OVERHEAD, TOKENS, affordable, asked, other_tokens, seconds_per_token
from release.evals.bbq.sample import LADDER
from release.settings.measuring import Measuring

ALL = 58_492


@given(st.floats(1e-6, 1e3), st.integers(0, 10**8), st.integers(1, ALL))
def test_what_is_chosen_is_affordable_or_the_first_rung(cost: float, others: int, available: int) -> None:
    chosen = affordable(cost, others, available)
    items = available if chosen == "full" else int(chosen)
    seconds = 2 * cost * TOKENS * items
    assert seconds <= max(ALLOWANCE, 2 * cost * others) * 1.000001 or chosen == str(LADDER[0])
    assert chosen == "full" or chosen in map(str, LADDER)


@given(st.floats(1e-6, 1e2), st.integers(0, 10**7))
def test_a_faster_machine_never_asks_fewer(cost: float, others: int) -> None:
    sizes = [ALL if (found := affordable(each, others, ALL)) == "full" else int(found) for each in (cost, cost / 3)]
    assert sizes[0] <= sizes[1]


def test_a_small_model_on_two_cores_is_asked_400_and_a_large_one_the_least() -> None:
    """SmolLM2-135M reads 5.3 items a second on the reference machine, a model of 7 B a fiftieth of that."""
    others = other_tokens(Measuring())
    assert affordable(1 / (5.3 * TOKENS), others, ALL) == "400"
    assert affordable(50 / (5.3 * TOKENS), others, ALL) == "200"


def test_the_rest_is_what_perplexity_and_latency_read() -> None:
    windows = other_tokens(Measuring(latency="off"))
    assert windows == 32 * 256
    assert other_tokens(Measuring()) > windows
    assert other_tokens(Measuring(perplexity="off", latency="off")) == 0


def test_a_larger_model_costs_more_and_none_costs_nothing() -> None:
    small, large = (seconds_per_token(size, torch.device("cpu"), torch.float32) for size in (10**3, 10**10))
    assert OVERHEAD < small < large


@pytest.mark.parametrize(("plan", "amount"), [(Measuring(bbq="17"), "17"), (Measuring(bbq="study"), "study")])
def test_an_amount_that_was_asked_for_stands(plan: Measuring, amount: str) -> None:
    assert asked(plan, 10**9, torch.device("cpu"), ALL) == amount
