"""Storage measured: the weight files counted."""

from release.checkpoint.folder import open_checkpoint
from release.evals.storage.result import Storage
from release.evals.work import EvalContext, PairTask, Sides


class StorageTask(PairTask[Storage]):
    """Bytes of the weight files."""

    def measure(self, sides: Sides) -> tuple[Storage, ...]:
        """Count both."""
        dense, pruned = (open_checkpoint(folder).size for folder in (sides.dense, sides.pruned))
        return (Storage(dense_bytes=dense, pruned_bytes=pruned),)


def prepare(_: EvalContext) -> StorageTask:
    """Nothing has to be laid out."""
    return StorageTask()
