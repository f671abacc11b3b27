"""Perplexity as an evaluation."""

import math
from collections.abc import Iterator

from release.evals.eval import Eval
from release.evals.line import Attribution, HubTask, Line
from release.evals.perplexity.metrics import METRICS
from release.evals.perplexity.metrics import PERPLEXITY as METRIC
from release.evals.perplexity.result import Perplexity


def _lines(found: Perplexity) -> Iterator[Line]:
    line = Line(METRIC, found.dense.value, found.pruned.value, found.ratio, found.windows)
    yield line._replace(interval=found.pruned, dense_interval=found.dense)


def _sources(found: Perplexity) -> Iterator[Attribution]:
    yield Attribution(found.text, title="Text", used="Text", facts={"token ids": found.token_sha256})


def _changes(found: Perplexity) -> dict[str, float | None]:
    ratio = found.ratio.value
    return {"log_perplexity": math.log(ratio) if ratio is not None and ratio > 0 else None}


PERPLEXITY = Eval(
    key="perplexity",
    title="Perplexity",
    result=Perplexity,
    metrics=METRICS,
    work_module="release.evals.perplexity.work",
    check_module="release.evals.perplexity.again",
    spot_module="release.evals.perplexity.spot",
    claims_module="release.evals.perplexity.claims",
    lines=_lines,
    sources=_sources,
    bibliography=lambda found: found.text.words,
    changes=_changes,
    varying={"log_perplexity": "ln (perplexity ratio)"},
    task=HubTask("text-generation", "Text generation"),
    expected=True,
)
