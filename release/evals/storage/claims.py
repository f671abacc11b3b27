"""What may be said about the bytes of the weight files."""

from release import format as text
from release.evals.claim import Claim, Finding
from release.schema.measurements import Measurements
from release.schema.record import Audit


def no_storage_gain(_: Audit | None, measurements: Measurements) -> Finding:
    """Compare the bytes of the weight files."""
    dense, pruned = measurements.storage.dense_bytes, measurements.storage.pruned_bytes
    evidence = f"weight files: dense {text.count(dense)} bytes, pruned {text.count(pruned)} bytes"
    return Finding("supported" if pruned >= dense else "contradicted", evidence)


FIELDS = ("measurements.storage.dense_bytes", "measurements.storage.pruned_bytes")

CLAIMS = (Claim("no_storage_gain", "bytes", FIELDS, no_storage_gain),)
