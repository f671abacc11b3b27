"""What counting bytes gives."""

from collections.abc import Iterable
from typing import Self

from release.digests import FileDigest
from release.frozen import Frozen


class Storage(Frozen):
    """Bytes of the weight files."""

    dense_bytes: int
    pruned_bytes: int

    @classmethod
    def of(cls, dense: Iterable[FileDigest], pruned: Iterable[FileDigest]) -> Self:
        """Add up both sides' files."""
        return cls(dense_bytes=sum(file.bytes for file in dense), pruned_bytes=sum(file.bytes for file in pruned))
