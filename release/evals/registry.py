"""Every evaluation, in the order in which they are measured and shown."""

from collections.abc import Mapping
from typing import Any

from release.evals.answers.row import ANSWERS
from release.evals.bbq.row import BBQ
from release.evals.crows_pairs.row import CROWS_PAIRS
from release.evals.divergence.row import DIVERGENCE
from release.evals.eval import Eval
from release.evals.latency.row import LATENCY
from release.evals.perplexity.row import PERPLEXITY
from release.evals.stereoset.row import STEREOSET
from release.evals.storage.row import STORAGE
from release.evals.super_weights.row import SUPER_WEIGHTS
from release.evals.tasks.row import TASKS
from release.evals.winobias.row import WINOBIAS
from release.evals.zeros.row import ZEROS

EVALS: tuple[Eval[Any], ...] = (
    BBQ,
    CROWS_PAIRS,
    STEREOSET,
    WINOBIAS,
    PERPLEXITY,
    DIVERGENCE,
    TASKS,
    LATENCY,
    SUPER_WEIGHTS,
    ZEROS,
    ANSWERS,
    STORAGE,
)
BY_KEY: Mapping[str, Eval[Any]] = {row.key: row for row in EVALS}
