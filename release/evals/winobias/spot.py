"""Some pairs of WinoBias read by both models again."""

from functools import partial

from release.evals.sentences import spot
from release.evals.winobias.compare import BENCHMARK
from release.evals.winobias.work import lay_out

question = partial(spot.question, BENCHMARK, lay_out, summed=False)
