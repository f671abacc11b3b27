"""Storage computed again from the sizes of the weight files, which the record holds beside their digests."""

from collections.abc import Iterator

from release.evals.again import Table
from release.evals.storage.result import Storage
from release.schema.record import Record


def tables(record: Record, known: Storage) -> Iterator[Table]:
    """Return what the record itself holds."""
    dense, pruned = (sum(file.bytes for file in files) for files in (record.base.files, record.audit.files))
    yield Table("storage", None, lambda _: Storage(dense_bytes=dense, pruned_bytes=pruned), known)
