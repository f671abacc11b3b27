"""CrowS-Pairs computed again from its table of likelihoods, without a model."""

from functools import partial

from release.evals.crows_pairs.compare import BENCHMARK
from release.evals.sentences import again

tables = partial(again.tables, BENCHMARK)
