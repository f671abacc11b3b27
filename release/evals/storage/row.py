"""Storage as an evaluation: bytes of the weight files."""

from release.evals.eval import Eval
from release.evals.storage.result import Storage

STORAGE = Eval(key="storage", title="Storage", result=Storage, module="release.evals.storage.claims", always=True)
