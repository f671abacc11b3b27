"""CrowS-Pairs computed again from its table of likelihoods, without a model."""

from collections.abc import Iterator

from release.evals.again import FOLDER, Table
from release.evals.bbq.table import wrong
from release.evals.crows_pairs import data as pairs_of
from release.evals.crows_pairs.compare import AskedPairs, PairLikelihoods, compare
from release.evals.crows_pairs.result import CrowsPairs
from release.evals.crows_pairs.table import FILE_NAME, read_likelihoods
from release.schema.record import Record

FILE = f"{FOLDER}/{FILE_NAME}"
LABELS = "what it says of the pairs was taken as it is: CrowS-Pairs was not fetched here before"


def tables(record: Record, known: CrowsPairs) -> Iterator[Table]:
    """Return the table of likelihoods."""
    note = "" if pairs_of.known() else LABELS
    yield Table("crows_pairs", FILE, lambda data: again(record, known, data), known, note)


def again(record: Record, known: CrowsPairs, data: bytes) -> CrowsPairs:
    """Compare the likelihoods again.

    Raises:
        UnusableData: The table is not what measuring writes, or holds other pairs than are drawn for the seed.
    """
    found, source, plan = read_likelihoods(data, known.pairs), known.data, record.plan.measuring
    if at_hand := pairs_of.known():
        pairs, source = at_hand
        due = pairs_of.drawn(pairs, plan.crows_pairs, plan.sampling_seed)
        if [(pair.number, pair.category) for pair in due] != [(pair.number, pair.category) for pair in found.pairs]:
            raise wrong("does not hold the pairs that are drawn for this seed")
    seed = None if known.pairs == pairs_of.PAIRS else plan.sampling_seed
    asked = AskedPairs(found.pairs, source, seed, known.start, known.precision)
    return compare(asked, PairLikelihoods(found.dense), PairLikelihoods(found.pruned))
