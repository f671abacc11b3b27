"""Every reader of outside bytes ends in a value or in an error of its own, whatever it is given."""

import pytest

from tests.fuzz.run import outcome, runs
from tests.fuzz.targets import CORPUS, TARGETS

QUICK = 200
"""Runs of each target here; `make fuzz` makes a hundred thousand, and of the header a million."""


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_its_seeds(name):
    target = TARGETS[name]
    assert [outcome(target, seed) for seed in target.seeds()] == ["value"] * len(target.seeds())


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_once_broke_a_reader_ends_in_a_value_or_an_error_now(name):
    target = TARGETS[name]
    for path in sorted(target.corpus.glob("*")):
        assert outcome(target, path.read_bytes()) in ("value", "refused"), path.name


@pytest.mark.parametrize("name", TARGETS)
def test_changed_inputs_end_in_a_value_or_an_error(name):
    assert runs(TARGETS[name], QUICK, seed=1).total() == QUICK


def test_the_corpus_is_small_and_belongs_to_targets():
    assert sum(path.stat().st_size for path in CORPUS.rglob("*")) < 1_000_000
    assert {path.name for path in CORPUS.iterdir()} <= {target.corpus.name for target in TARGETS.values()}
