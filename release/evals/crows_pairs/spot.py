"""Some pairs of CrowS-Pairs read by both models again."""

from functools import partial

from release.evals.crows_pairs.compare import BENCHMARK
from release.evals.crows_pairs.work import lay_out
from release.evals.sentences import spot

question = partial(spot.question, BENCHMARK, lay_out, summed=True)
