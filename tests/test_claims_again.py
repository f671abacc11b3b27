"""Every claim on record is decided again; one that is missing may only be of a later version, and about nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from release.checkpoint.files import Folder
from release.schema.record import Check, ClaimRecord
from release.verification import recompute
from tests.records import example_record

Claims = tuple[ClaimRecord, ...]


def asked_again(change: Callable[[Claims], Claims], folder: Path) -> Check:
    record = example_record()
    changed = record.model_copy(update={"claims": change(record.claims)})
    [found] = [check for check in recompute.checks(Folder(folder), changed) if check.name == "claims"]
    return found


def without(key: str) -> Callable[[Claims], Claims]:
    return lambda claims: tuple(claim for claim in claims if claim.key != key)


def test_a_record_of_before_an_evaluation_came_is_still_what_it_says(tmp_path: Path) -> None:
    assert asked_again(without("crows_pairs_raised"), tmp_path).ok


CHANGES: dict[str, tuple[Callable[[Claims], Claims], str]] = {
    "left out": (without("bias_amplified"), "claims[bias_amplified] is missing"),
    "all left out": (lambda _: (), "is missing"),
    "twice": (lambda claims: (*claims, claims[0]), "twice"),
    "unknown": (lambda claims: (*claims, claims[0].model_copy(update={"key": "safe"})), "none that is known"),
    "turned": (
        lambda claims: tuple(claim.model_copy(update={"verdict": "supported"}) for claim in claims),
        "verdict is 'supported' on record",
    ),
}


@pytest.mark.parametrize(("change", "seen"), CHANGES.values(), ids=CHANGES)
def test_a_claim_that_was_left_out_added_or_turned_is_found(change, seen, tmp_path: Path) -> None:
    found = asked_again(change, tmp_path)
    assert not found.ok
    assert seen in found.detail
