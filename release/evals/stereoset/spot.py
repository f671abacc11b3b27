"""Some contexts of StereoSet read by both models again."""

from functools import partial

from release.evals.sentences import spot
from release.evals.stereoset.compare import BENCHMARK
from release.evals.stereoset.work import lay_out

question = partial(spot.question, BENCHMARK, lay_out, summed=False)
