"""The spread of the first ratios settles how many prompts are timed; their mean has no say in it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from release.errors import UnusableData
from release.evals.bbq.items import Item
from release.evals.engine.statistics import mean_interval
from release.evals.latency.amount import AUTO, FIRST, HALF_WIDTH, MOST, Amount, drawn
from release.evals.latency.measure import TimedPrompts, measure_latency
from release.evals.latency.table import WARMUP
from release.evals.latency.timed import Pair, time_pair
from release.progress import Console
from release.values import DataSource

SPREADS = st.lists(st.floats(-0.5, 0.5), min_size=FIRST, max_size=FIRST).map(np.array)


@given(SPREADS, st.floats(-2, 2))
def test_what_the_first_ratios_are_on_average_has_no_say(logs, shift):
    found = [Amount.of(AUTO).needed(each, busy=False) for each in (logs, logs + shift)]
    assert abs(found[0] - found[1]) <= 1  # rounding at a whole number


@given(SPREADS, st.floats(1, 4))
def test_a_wider_spread_never_asks_for_fewer_and_never_for_more_than_the_most(logs, wider):
    found = [Amount.of(AUTO).needed(each, busy=False) for each in (logs, logs * wider)]
    assert FIRST <= found[0] <= found[1] <= MOST


@pytest.mark.parametrize("spread", [0.02, 0.05, 0.08, 0.1])
def test_the_interval_covers_as_stated_and_is_as_narrow_as_asked_for(spread):
    rng, held, halves = np.random.default_rng(5), 0, []
    for _ in range(2000):
        logs = rng.normal(0, spread, MOST)
        found = mean_interval(logs[: Amount.of(AUTO).needed(logs[:FIRST], busy=False)])
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0 <= found.high
        halves.append((found.high - found.low) / 2)
    assert 0.93 <= held / 2000 <= 0.97
    assert np.median(halves) <= HALF_WIDTH


@pytest.mark.parametrize("text", ["many", "off", "-3", "0", "", "٣", "9" * 5_000])
def test_an_amount_that_only_a_forged_record_holds_is_an_error_and_no_crash(text):
    with pytest.raises(UnusableData, match="no number of prompts"):
        drawn((), text, 42)


@given(SPREADS)
def test_a_busy_machine_is_asked_no_further_prompts(logs):
    assert Amount.of(AUTO).needed(logs, busy=True) == FIRST


def test_a_number_times_exactly_so_many():
    assert Amount.of("7") == (7, 7)
    assert Amount.of("7").needed(np.array([-1.0, 1.0]), busy=False) == 7


def test_a_set_of_few_prompts_bounds_both():
    assert Amount.of(AUTO).within(10) == (10, 10)
    assert Amount.of(AUTO).within(30) == (FIRST, 30)


@pytest.mark.long
def test_further_prompts_take_turns_as_the_first_do_and_stand_in_the_table(
    tmp_path: Path, tiny: dict[str, Path], bbq: tuple[tuple[Item, ...], DataSource], console: Console
) -> None:
    items = bbq[0][: WARMUP + 5]
    pair, asked = Pair.of(tiny["llama"], tiny["llama"]), TimedPrompts(items, bbq[1], Amount(2, 4))
    found = measure_latency(pair, asked, "cpu", tmp_path, console)
    assert 2 <= found.items <= 4
    assert (tmp_path / "latency.parquet").is_file()


def test_no_more_is_timed_than_there_is(tiny: dict[str, Path], bbq: tuple[tuple[Item, ...], DataSource]) -> None:
    pair = Pair("transformers", tiny["llama"], tiny["llama"], alike=True)
    found = time_pair(pair, bbq[0][: WARMUP + 3], torch.device("cpu"), Console(quiet=True), Amount.of(AUTO))
    assert len(found.seconds) == WARMUP + 3
