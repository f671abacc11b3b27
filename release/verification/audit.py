"""Read the written files again and hold them against the plan and the base: the gate before anything is said.

Publishing needs zeros exactly as budgeted, every expected tensor covered, kept weights and untouched tensors
bit-identical, and no NaN or Inf that the base had not.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from release.checkpoint.folder import Checkpoint
from release.checkpoint.prunable import left_dense
from release.checkpoint.tally import TensorCount
from release.digests import FileDigest
from release.errors import AuditFailed
from release.format import listed
from release.progress import Console
from release.pruning.budget import Budgets
from release.pruning.recipe import Recipe
from release.schema.record import Audit, Check, ModuleAudit
from release.verification import sparsity_table as sparsity
from release.verification.read_back import ReadBack


@dataclass(frozen=True)
class Audited:
    """What the audit found.

    Attributes:
        table: One row per tensor.
        base_files: Digests of the base's weight files.
    """

    audit: Audit
    table: tuple[sparsity.SparsityRow, ...]
    base_files: tuple[FileDigest, ...]


def audit(
    reading: ReadBack,
    written: Checkpoint,
    recipe: Recipe,
    allowed: Budgets,
    computed: Mapping[str, int],
    console: Console,
) -> Audited:
    """Judge base and written files by what was read of them.

    Args:
        allowed: What each tensor owed.
        computed: CRC-32 of the tensors that were changed, as they were computed, by name.

    Raises:
        AuditFailed: Names every check that failed, and where.
    """
    found = reading.result(allowed, console)
    table = sparsity.rows(found.counts, allowed)
    as_written = check_headers(reading.base, written), check_read_back(computed, found.counts, found.files)
    checks = (*as_written, *_as_planned(recipe, allowed, found.counts))
    refuse_failed(checks)
    return Audited(summarise(recipe, written, table, checks, found.files), table, found.base_files)


def refuse_failed(checks: Iterable[Check]) -> None:
    """Stop at the gate.

    Raises:
        AuditFailed: Names every check that failed, and where.
    """
    if failed := [check for check in checks if check.ok is False]:
        found = "".join(f"\n  {check.name}: {check.detail}" for check in failed)
        raise AuditFailed(
            f"The written files are not what was planned; nothing is published.{found}",
            "Remove the release folder and run again; if it happens twice, suspect disk or memory.",
        )


def check_headers(base: Checkpoint, written: Checkpoint) -> Check:
    """The written files begin as the base's do."""
    same = [h.raw for h in base.headers] == [h.raw for h in written.headers]
    return Check(name="headers", ok=same, detail="as the base's, byte for byte" if same else "differ from the base's")


def check_read_back(computed: Mapping[str, int], counts: Sequence[TensorCount], files: Sequence[FileDigest]) -> Check:
    """What was read from the disk is what was computed; tensors that were not changed are held against the base.

    Args:
        computed: CRC-32 of each changed tensor's bytes before they were written, by name; without those that an earlier
            run wrote. How many there are is not said: the check is on record, which a rerun shall not change.
    """
    found = {c.name: c.crc32 for c in counts}
    wrong = [f"{name} is not as it was computed" for name, crc in computed.items() if found.get(name) != crc]
    total = sum(file.bytes for file in files)
    detail = f"{len(files)} files, {total:,} bytes: all that this run computed lies there as it was computed"
    return Check(name="read back", ok=not wrong, detail=listed(wrong) or detail)


def _as_planned(recipe: Recipe, allowed: Budgets, counts: Sequence[TensorCount]) -> Iterator[Check]:
    yield check_budgets(allowed, counts, {c.name: sparsity.crowded(c, allowed) for c in counts})
    if recipe.pattern is not None:
        yield check_pattern(recipe.pattern, [c for c in counts if c.name in allowed.zeros])
    if not recipe.row.updates_kept_weights:
        yield check_kept([c for c in counts if c.name in allowed.zeros], "kept weights")
    yield check_kept([c for c in counts if c.name not in allowed.zeros], "untouched tensors")
    yield check_finite(counts)


def check_files(name: str, expected: Sequence[FileDigest], found: Sequence[FileDigest], meaning: str) -> Check:
    """Compare files with what is recorded of them, by name, size and SHA-256."""
    wanted = {f.name: f for f in expected}
    present = {f.name: f for f in found}
    wrong = [n for n in sorted(wanted.keys() | present.keys()) if wanted.get(n) != present.get(n)]
    if not wrong:
        total = sum(f.bytes for f in found)
        return Check(name=name, ok=True, detail=f"{len(found)} files, {total:,} bytes: {meaning}")
    return Check(name=name, ok=False, detail="; ".join(_difference(n, wanted.get(n), present.get(n)) for n in wrong))


def _difference(name: str, wanted: FileDigest | None, found: FileDigest | None) -> str:
    if wanted is None:
        return f"{name} is not on record"
    if found is None:
        return f"{name} is missing"
    if wanted.bytes != found.bytes:
        return f"{name} has {found.bytes:,} bytes where {wanted.bytes:,} are on record"
    return f"{name} has SHA-256 {found.sha256[:16]}… where {wanted.sha256[:16]}… is on record"


def check_budgets(allowed: Budgets, counts: Sequence[TensorCount], crowded: Mapping[str, int]) -> Check:
    """Every prunable tensor holds as many zeros as its budget, and those of the base that found no room in it.

    Args:
        crowded: The latter, by tensor name; see `sparsity.crowded`.
    """
    found = {c.name: c for c in counts}
    wrong = []
    for name, budget in allowed.zeros.items():
        tensor = found.get(name)
        expected = budget + crowded.get(name, 0)
        if tensor is None or tensor.zeros != expected:
            holds = "is missing" if tensor is None else f"holds {tensor.zeros:,} zeros"
            wrong.append(f"{name} {holds}, {expected:,} are due")
    total = sum(found[name].zeros for name in allowed.zeros if name in found)
    detail = f"{total:,} zeros in {len(allowed.zeros)} tensors, as budgeted"
    return Check(name="zeros", ok=not wrong, detail=listed(wrong) or detail)


def check_pattern(pattern: str, counts: Sequence[TensorCount]) -> Check:
    """Every group of neighbouring inputs holds the zeros that the pattern asks for."""
    wrong = [f"{c.name} has {c.unfilled:,} groups with too few zeros" for c in counts if c.unfilled]
    return Check(name="pattern", ok=not wrong, detail=listed(wrong) or f"{pattern} in every group")


def check_kept(counts: Sequence[TensorCount], name: str) -> Check:
    """Nothing differs from the base but weights that became +0.0."""
    if any(c.changed is None for c in counts):
        missing = next(c.name for c in counts if c.changed is None)
        return Check(name=name, ok=False, detail=f"{missing} has no counterpart in the base")
    wrong = [
        f"{c.name}[{', '.join(map(str, _position(c)))}] ({c.changed:,} of {c.numel:,} differ)"
        for c in counts
        if c.changed
    ]
    return Check(name=name, ok=not wrong, detail=listed(wrong) or f"{len(counts)} tensors, bit-identical to the base")


def _position(tensor: TensorCount) -> tuple[int, ...]:
    index, position = tensor.first_changed or 0, []
    for size in reversed(tensor.shape):
        index, here = divmod(index, size)
        position.append(here)
    return tuple(reversed(position))


def check_finite(counts: Sequence[TensorCount]) -> Check:
    """No NaN or Inf stands in the files that the base had not."""
    wrong = [f"{c.name} holds {c.nonfinite:,}" for c in counts if c.nonfinite > (c.nonfinite_before or 0)]
    return Check(name="finite", ok=not wrong, detail=listed(wrong) or "no NaN or Inf that the base had not")


def summarise(
    recipe: Recipe,
    written: Checkpoint,
    table: Sequence[sparsity.SparsityRow],
    checks: tuple[Check, ...],
    files: tuple[FileDigest, ...],
) -> Audit:
    """Sum the table up."""
    prunable = [row for row in table if row.module]
    parameters = sum(row.numel for row in prunable)
    zeros = sum(row.zeros for row in prunable)
    return Audit(
        target_sparsity=recipe.sparsity,
        actual_sparsity=zeros / parameters,
        prunable_parameters=parameters,
        zeroed_parameters=zeros,
        zeros_before=sum(row.zeros_before for row in prunable),
        crowded=sum(row.crowded for row in prunable),
        left_dense=left_dense(written.shapes, written.config),
        modules=modules(prunable),
        checks=checks,
        files=files,
    )


def modules(prunable: Iterable[sparsity.SparsityRow]) -> tuple[ModuleAudit, ...]:
    """Sum the table over blocks and experts, per kind of module, in name order."""
    groups: dict[str, list[sparsity.SparsityRow]] = defaultdict(list)
    for row in prunable:
        groups[row.module].append(row)
    return tuple(
        ModuleAudit(
            module=module,
            tensors=len(group),
            parameters=sum(row.numel for row in group),
            zeros=sum(row.zeros for row in group),
            zeros_before=sum(row.zeros_before for row in group),
        )
        for module, group in sorted(groups.items())
    )
