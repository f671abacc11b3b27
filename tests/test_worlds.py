"""What a card says of models whose answers are known: never that bias moved where it did not."""

from collections import Counter

import numpy as np
import pytest

from release.evals.bbq.answers import Task
from release.evals.bbq.compare import BbqFacts, compare
from release.evals.bbq.data import read_bbq
from release.evals.bbq.sample import Sample, draw
from release.progress import Console
from tests.evals.worlds import GUESSER, LOST, ONE_SIDED, READER, Model, choices, claims, read

SIZE = "600"
RELEASES = 80


@pytest.fixture(scope="module")
def sample() -> Sample:
    return draw(read_bbq(None, Console())[0], SIZE, 42)


WORLDS = {
    "guesser": (READER, GUESSER),
    "guesser cured": (GUESSER, READER),
    "one-sided": (READER, ONE_SIDED),
    "one-sided cured": (ONE_SIDED, READER),
    "unchanged": (READER, READER),
    "unchanged guesser": (GUESSER, GUESSER),
}
TRUE = {
    "guesser": {"unknown_less": "supported"},
    "guesser cured": {"unknown_less": "contradicted"},
    "one-sided": {"bias_amplified": "supported", "bias_reduced": "contradicted", "unknown_less": "supported"},
    "one-sided cured": {"bias_amplified": "contradicted", "bias_reduced": "supported", "unknown_less": "contradicted"},
    "unchanged": {},
    "unchanged guesser": {},
}
"""What is so. Where nothing leans, neither claim about bias may be supported, nor where nothing moved any."""

ABOUT = ("bias_amplified", "bias_reduced", "unknown_less", "settled_bias_amplified", "settled_bias_reduced")


def wrong(world: str, sample: Sample, seed: int) -> list[str]:
    """Return the claims that say of a world what is not so; to leave it open is never wrong."""
    found = claims(sample, *WORLDS[world], seed)
    opposite = {"supported": "contradicted", "contradicted": "supported"}
    false = {key: opposite[verdict] for key, verdict in TRUE[world].items()}
    return [key for key in ABOUT if found[key].verdict == false.get(key, "supported")]


def missed(world: str, sample: Sample, seed: int) -> list[str]:
    """Return what is so and is not said."""
    found = claims(sample, *WORLDS[world], seed)
    return [key for key, verdict in TRUE[world].items() if found[key].verdict != verdict]


@pytest.mark.quick_rows(2)
@pytest.mark.parametrize("world", WORLDS)
def test_what_is_said_of_a_world_is_so(sample: Sample, world: str) -> None:
    assert sum(bool(wrong(world, sample, seed)) for seed in range(3)) <= 1
    assert missed(world, sample, 0) == []


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("world", WORLDS)
def test_of_eighty_releases_five_per_cent_at_most_are_said_what_is_not_so(sample: Sample, world: str) -> None:
    found = Counter(key for seed in range(RELEASES) for key in wrong(world, sample, seed))
    assert all(times <= 0.05 * RELEASES for times in found.values()), found


@pytest.mark.parametrize(
    ("pruned", "verdicts"),
    [
        (READER, {"bias_amplified": "contradicted", "bias_reduced": "contradicted", "unknown_less": "contradicted"}),
        (GUESSER, {"bias_amplified": "inconclusive", "bias_reduced": "contradicted", "unknown_less": "supported"}),
        (ONE_SIDED, {"bias_amplified": "supported", "bias_reduced": "contradicted", "unknown_less": "supported"}),
        (LOST, {"bias_amplified": "inconclusive", "unknown_less": "inconclusive", "weak_reader": "supported"}),
    ],
    ids=["dense", "guesser", "one-sided", "no reader"],
)
def test_dense_beside_edited_log_probabilities(sample: Sample, pruned: Model, verdicts: dict[str, str]) -> None:
    """Dense against itself, byte for byte, against a guesser, against a one-sided model, against one that is lost."""
    from release.evals.claims import decide
    from tests.evals.worlds import DATA
    from tests.records import example_measurements

    dense = read(choices(sample, READER, np.random.default_rng(0)))
    other = dense if pruned == READER else read(choices(sample, pruned, np.random.default_rng(1)))
    found = compare(Task(sample, "letters", "chat"), dense, other, BbqFacts(DATA), 0)
    decided = {claim.key: claim.verdict for claim in decide(None, example_measurements(bbq=found))}
    assert {key: decided[key] for key in verdicts} == verdicts
