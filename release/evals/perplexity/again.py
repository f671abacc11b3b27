"""Perplexity computed again from its table of losses, without a model."""

from collections.abc import Iterator

from release.errors import UnusableData
from release.evals.again import FOLDER, Table
from release.evals.perplexity.compare import Readings, WindowCut, Windows, compare
from release.evals.perplexity.result import Perplexity
from release.evals.perplexity.table import FILE_NAME, read_losses
from release.schema.record import Record

FILE = f"{FOLDER}/{FILE_NAME}"


def tables(_: Record, known: Perplexity) -> Iterator[Table]:
    """Return the table of losses."""
    yield Table("perplexity", FILE, lambda data: again(known, data), known)


def again(known: Perplexity, data: bytes) -> Perplexity:
    """Compare the losses again.

    Raises:
        UnusableData: The table is not what measuring writes.
    """
    cut = WindowCut(known.window, known.stride, preset=known.preset, bos=known.bos, whole=known.whole)
    if min(cut.scored, known.windows) < 1:
        raise UnusableData("belongs to no windows at all", "Fetch the release again.")
    dense, pruned = (Readings(losses, 0, 0.0) for losses in read_losses(data, known.windows, cut.scored))
    windows = Windows(known.windows, known.window, known.token_sha256, cut)
    return compare(windows, dense, pruned, known.text, known.precision)
