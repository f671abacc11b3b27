"""What counting bytes gives."""

from release.frozen import Frozen


class Storage(Frozen):
    """Bytes of the weight files."""

    dense_bytes: int
    pruned_bytes: int
