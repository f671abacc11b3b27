"""WinoBias computed again from its table of likelihoods, without a model."""

from functools import partial

from release.evals.sentences import again
from release.evals.winobias.compare import BENCHMARK

tables = partial(again.tables, BENCHMARK)
