"""What verification reads of a model, wherever its files lie: the record, every weight once, and the small files."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from pydantic import ValidationError

from release import outside
from release.checkpoint.count import BaseReader, CountPlan, count
from release.checkpoint.files import Files, content, digest
from release.checkpoint.folder import AT_ONCE, Checkpoint, config_of, open_files
from release.checkpoint.prunable import prunable
from release.checkpoint.tally import TensorCount
from release.contents import UNRECORDED, carried, is_own
from release.digests import FileDigest
from release.errors import AuditFailed, UnusableBase
from release.format import listed
from release.names import MASK, TABLE, is_litter, problem_of
from release.progress import BYTES, Console
from release.schema.record import CARD, FILE_NAME, Record
from release.verification import sparsity_table as sparsity

DIGITS = 20
"""Digits of a whole number in a record, at most."""


@dataclass(frozen=True)
class Inspection:
    """The model in question.

    Attributes:
        written: Its headers; none where the record says that it holds no weights.
        record: None where there is none.
    """

    files: Files
    written: Checkpoint
    record: Record | None

    @cached_property
    def other_files(self) -> tuple[FileDigest, ...]:
        """Digests of every file but weights, card, record and signature, as taken for the record.

        Files whose names no record holds, hidden ones among them, have none.
        """
        left_out = {*(header.path.name for header in self.written.headers), *UNRECORDED}
        names = [n for n in sorted(self.files.sizes) if n not in left_out and not problem_of(n) and not is_litter(n)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return tuple(pool.map(partial(digest, self.files), names))

    @property
    def card(self) -> str | None:
        """The text of its card; None where there is none."""
        return content(self.files, CARD).decode("utf-8", errors="replace") if CARD in self.files.sizes else None

    def table(self) -> tuple[sparsity.SparsityRow, ...]:
        """Read its table of tensors.

        Raises:
            UnusableData: It is missing or not such a table.
        """
        if TABLE not in self.files.sizes:
            raise sparsity.missing()
        return sparsity.parse(content(self.files, TABLE))


@dataclass(frozen=True)
class Dense:
    """The base that a model is held against, opened.

    Attributes:
        checkpoint: Its headers.
        side_files: What pruning it writes beside weights; see `contents.carried`.
    """

    files: Files
    checkpoint: Checkpoint
    side_files: Mapping[str, bytes]


@dataclass(frozen=True)
class Seen:
    """What reading the weights once gave.

    Attributes:
        counts: One per tensor, file by file.
        prunable: Those of the prunable ones, in name order.
        base_files: Digests of the base's weight files; None where no base was read.
        base: The base that was read beside them.
    """

    files: tuple[FileDigest, ...]
    counts: tuple[TensorCount, ...]
    prunable: tuple[TensorCount, ...]
    base_files: tuple[FileDigest, ...] | None
    base: Dense | None


def open_base(files: Files) -> Dense:
    """Read the headers and the small files of a base.

    Raises:
        UnusableBase: It is none.
    """
    return Dense(files, open_files(files, Path(files.name)), dict(carried(files)))


def open_subject(files: Files) -> Inspection:
    """Read record, config and headers.

    Raises:
        UnusableBase: There is no checkpoint there.
        AuditFailed: There is a record, but it or a weight file cannot be read; or what bears the name of a release's
            file is none.
    """
    if wrong := [f"{name} is {kind}" for name, kind in sorted(files.others.items()) if is_own(name)]:
        raise AuditFailed(f"{listed(wrong)}, where a release has a file.", "Fetch the release again.")
    record = read_record(files)
    try:
        if record is not None and record.weights == "none":
            return Inspection(files, Checkpoint(Path(files.name), config_of(files), ()), record)
        return Inspection(files, open_files(files, Path(files.name)), record)
    except UnusableBase as error:
        if record is None:
            raise
        raise AuditFailed(f"weight files: {error.seen}", "Fetch the release again.") from None


def read_record(files: Files) -> Record | None:
    """Read release.json, where there is one.

    Raises:
        AuditFailed: It does not follow the schema; names the first field that is wrong.
    """
    if FILE_NAME not in files.sizes:
        return None
    data = content(files, FILE_NAME)
    try:
        outside.json_object(data, digits=DIGITS)
        return Record.model_validate_json(data)
    except outside.Unfit as why:
        raise AuditFailed(f"{FILE_NAME} {why}.", "Build the release again.") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise AuditFailed(f"{FILE_NAME}: {place}: {first['msg']}.", "Build the release again.") from None


def read_weights(
    subject: Inspection,
    base: Dense | None,
    console: Console,
    moving: bool = False,
    groups: tuple[int, int] | None = None,
) -> Seen:
    """Hash every weight file and count every tensor, in step with the base's where there is one.

    Args:
        moving: Whether the method may change weights that it keeps, so that it is told how far they moved.
        groups: n and m of the pattern that prunable tensors follow.
    """
    written = subject.written
    names = set(prunable(written))
    dense = BaseReader(base.checkpoint, base.files) if base else None
    plan = CountPlan(names, dense, groups, moving, marked=MASK in subject.files.sizes)
    step = console.step("Verify: read every weight", written.size, BYTES)
    with step as advance, dense or nullcontext():
        results = [count(header, plan, advance, subject.files) for header in written.headers]
        base_files = dense.digests() if dense else None
    counts = tuple(c for _, found in results for c in found)
    chosen = sorted((c for c in counts if c.name in names), key=lambda c: c.name)
    return Seen(tuple(file for file, _ in results), counts, tuple(chosen), base_files, base)
