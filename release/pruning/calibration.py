"""Calibration text: which text a method is calibrated on, and which windows of it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from release.errors import BadOption, UnusableData
from release.progress import Console
from release.pruning.mask_rng import MaskRng
from release.schema.record import Calibration, Record
from release.settings.recipe import CalibrationPlan
from release.sources import c4
from release.sources.text import opening, require_apart, text_file, tokenise, wikipedia, windows
from release.values import DataSource

CATALOGUE = ("auto", "c4", "wikipedia")
"""What a plan's text may be beside a file."""
LENGTH = 2048
"""Tokens of a window where nothing else is asked for and the model reads as many."""
ROOM = 4
"""Tokens taken from C4 for each one that is used, so that there is something to draw from."""
BATCH = 64
"""Documents tokenised at a time."""
VERSION = 1
"""Raised whenever the same text and seed would give other windows."""


@dataclass(frozen=True)
class Text:
    """The text a method is calibrated on.

    Attributes:
        plan: What was asked for.
        source: Where the text came from.
        content: All of the text that windows were drawn from.
        ids: Token ids, [samples, length].
    """

    plan: CalibrationPlan
    source: DataSource
    content: str
    ids: NDArray[np.int32]

    @property
    def token_sha256(self) -> str:
        """Digest of the token ids, as little-endian 32-bit integers."""
        return hashlib.sha256(self.ids.astype("<i4").tobytes()).hexdigest()

    def described(self, device: str) -> Calibration:
        """Return the record of a calibration on this text.

        Args:
            device: Kind of device that the blocks ran on.
        """
        samples, length = self.ids.shape
        return Calibration(
            plan=self.plan,
            text=self.source,
            samples=samples,
            length=length,
            token_sha256=self.token_sha256,
            device=device,
        )

    def require_apart(self, evaluation: str) -> None:
        """Refuse a text that perplexity is measured on; see `release.sources.text.require_apart`."""
        require_apart(self.content, evaluation)


@dataclass(frozen=True)
class _Tokens:
    """A text and its tokens, one-dimensional."""

    source: DataSource
    content: str
    ids: NDArray[np.int32]


@dataclass(frozen=True)
class TextReader:
    """What is known of the base that reads the text.

    Attributes:
        limit: Tokens the model can read; None where it names no limit.
        on_hub: Whether the base came from the Hub, which decides what "auto" is.
    """

    tokenizer: Any
    limit: int | None
    on_hub: bool

    @classmethod
    def of(cls, base: Path, *, on_hub: bool) -> Self:
        """Look at a base's folder."""
        from release.models.load import context_window, read_config, read_tokenizer

        return cls(read_tokenizer(base), context_window(read_config(base)), on_hub)


def calibration_text(plan: CalibrationPlan, file: Path | None, reader: TextReader, seed: int, console: Console) -> Text:
    """Bring the text that a plan names, and draw the windows that a method is calibrated on.

    The text is tokenised without special tokens, C4 document by document, and cut into windows without overlap.
    Where the tokenizer puts a token in front of every text, each window begins with it. The seed draws among them;
    those drawn stay in the order of the text.

    Args:
        file: The file, where the plan names one.

    Raises:
        BadOption: Fewer than one window or two tokens, or more tokens than the model reads; or the file is not given.
        UnusableData: The text is missing, altered, no UTF-8 or too short.
        ReleaseError: C4 cannot be fetched; see `release.sources.c4.fetch`.
    """
    length = _length(plan, reader.limit)
    tokens = _read(plan, file, reader, ROOM * plan.samples * length, console)
    cut = windows(tokens.ids, length, opening(reader.tokenizer))
    if len(cut) < plan.samples:
        raise _too_short(tokens, len(cut), plan.samples, length)
    ranks = MaskRng(seed, "calibration", VERSION, "windows").ranks(len(cut))
    drawn = np.sort(np.argsort(ranks, kind="stable")[: plan.samples])
    return Text(plan, tokens.source, tokens.content, cut[drawn])


def text_again(record: Record, file: Path | None, base: Path, console: Console) -> Text:
    """Bring the text that a recorded release was calibrated on.

    Args:
        file: The file, where it was one of its maker's own.
        base: Folder of the dense model, for its tokenizer and the tokens it reads.

    Raises:
        ReleaseError: As `calibration_text`.
    """
    if record.pruning.calibration is None:
        raise BadOption(f"{record.name} was made without calibration text.", "There is none to bring again.")
    reader = TextReader.of(base, on_hub=record.base.source == "hub")
    return calibration_text(record.pruning.calibration.plan, file, reader, record.pruning.seed, console)


def _length(plan: CalibrationPlan, model_limit: int | None) -> int:
    """Return the tokens of a window, checked."""
    limit = LENGTH if model_limit is None else model_limit
    length = min(LENGTH, limit) if plan.length is None else plan.length
    if plan.samples < 1:
        raise BadOption(
            f"{plan.samples} windows leave nothing to calibrate on.", "Give --calibration-samples 1 or more."
        )
    if length < 2:
        raise BadOption(
            f"A calibration window of {length} tokens says nothing.", "Give --calibration-length 2 or more."
        )
    if model_limit is not None and length > model_limit:
        raise BadOption(
            f"A calibration window of {length:,} tokens is longer than the {model_limit:,} that the model reads.",
            f"Give --calibration-length {model_limit} or less.",
        )
    return length


def _read(plan: CalibrationPlan, file: Path | None, reader: TextReader, wanted: int, console: Console) -> _Tokens:
    """Read and tokenise the text that is meant: of C4 about `wanted` tokens, of other texts all."""
    if plan.file_sha256 is not None or plan.text not in CATALOGUE:
        content, source = _own_file(plan, file)
    elif plan.text == "c4" or (plan.text == "auto" and reader.on_hub):
        return _beginning_of_c4(reader.tokenizer, wanted, console)
    else:
        content, source = wikipedia("calibration", console)
    return _Tokens(source, content, tokenise([content], reader.tokenizer)[0])


def _own_file(plan: CalibrationPlan, file: Path | None) -> tuple[str, DataSource]:
    if file is None:
        raise BadOption(f"The calibration text is a file, {plan.text}.", "Give it with --calibration FILE.")
    content, source = text_file(file)
    if plan.file_sha256 not in (None, source.sha256):
        raise UnusableData(
            f"{file} is not the calibration text {plan.text}: its SHA-256 is {source.sha256}, not {plan.file_sha256}.",
            "Give the file as it was.",
        )
    return content, source


def _beginning_of_c4(tokenizer: Any, wanted: int, console: Console) -> _Tokens:
    """Take documents until they hold `wanted` tokens."""
    taken: list[str] = []
    rows = [np.empty(0, dtype=np.int32)]
    held = 0
    for document, row in _tokenised(c4.documents(c4.fetch(console)), tokenizer):
        taken.append(document)
        rows.append(row)
        held += len(row)
        if held >= wanted:
            break
    return _Tokens(c4.described(taken), "".join(taken), np.concatenate(rows))


def _tokenised(documents: Iterator[str], tokenizer: Any) -> Iterator[tuple[str, NDArray[np.int32]]]:
    while batch := list(islice(documents, BATCH)):
        yield from zip(batch, tokenise(batch, tokenizer), strict=True)


def _too_short(tokens: _Tokens, found: int, asked: int, length: int) -> UnusableData:
    fewer = f"--calibration-samples {found}" if found else "a smaller --calibration-length"
    return UnusableData(
        f"{tokens.source.name} gives {found} windows of {length:,} tokens ({len(tokens.ids):,} tokens in all); "
        f"{asked} were asked for.",
        f"Give a longer text with --calibration, or {fewer}.",
    )
