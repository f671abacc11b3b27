"""Storage as an evaluation: bytes of the weight files."""

from collections.abc import Iterator

from release.evals.eval import Eval
from release.evals.line import Line
from release.evals.metric import Metric
from release.evals.storage.result import Storage
from release.values import Estimate

BYTES = Metric(
    key="storage",
    label="Weight files",
    phrase="bytes of the weight files",
    better="lower",
    form="bytes",
    screen="weight files",
    headline="Weight files",
    claim="no_storage_gain",
)


def _lines(found: Storage) -> Iterator[Line]:
    change = Estimate(value=found.pruned_bytes - found.dense_bytes, low=None, high=None)
    yield Line(BYTES, found.dense_bytes, found.pruned_bytes, change)


STORAGE = Eval(
    key="storage",
    title="Storage",
    result=Storage,
    metrics=(BYTES,),
    work_module="release.evals.storage.work",
    check_module="release.evals.storage.again",
    claims_module="release.evals.storage.claims",
    lines=_lines,
    always=True,
)
