"""The Tulu 3 SFT mixture, the conversations that a study of pruned models states perplexity on: some of all its parts.

Its rows stand source by source, so that the beginning of a file is one kind of text. The conversations are therefore
taken evenly over all rows and read in the order of a digest, so that every stretch of the text mixes the sources.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from release.errors import UnusableData
from release.progress import Console
from release.sources.dataset import DatasetFile
from release.values import DataSource

REPO = "allenai/tulu-3-sft-mixture"
FILES = tuple(f"data/train-{number:05}-of-00006.parquet" for number in range(6))
"""1.4 GB in all."""
REVISION = "b14afda60f1bbebe55d5d2fa1e4df5042f97f8be"
"""A commit of the data set."""
CONVERSATIONS = 512
"""The study asks 256 windows of 512 tokens: 256 tokens of each on average; a text that holds fewer is refused."""
GAP = "\n\n"
"""Between two messages, and between two conversations."""
OTHERWISE = "Text that needs no Hub: leave --perplexity-preset study out."
COLUMN = "messages"


class MixturePart(NamedTuple):
    """A file of the mixture, in the Hub's cache."""

    path: Path
    rows: int


def mixture(console: Console) -> tuple[str, DataSource]:
    """Return plain text of `CONVERSATIONS` conversations: their messages as they are, without roles or template.

    Raises:
        ReleaseError: As `DatasetFile.fetch`, of each of `FILES`.
        UnusableData: A file is broken, or holds something else than conversations.
    """
    parts = [part(DatasetFile(REPO, file, REVISION, "Tulu 3", OTHERWISE).fetch(console)) for file in FILES]
    taken = joined(parts)
    text = GAP.join(taken[number] for number in sorted(taken, key=_place))
    return text, DataSource(
        name=f"Tulu 3 SFT mixture, {len(taken):,} of {sum(each.rows for each in parts):,} conversations",
        origin=f"https://huggingface.co/datasets/{REPO}",
        revision=REVISION,
        licence="odc-by",
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _place(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def part(path: Path) -> MixturePart:
    """Look at a file.

    Raises:
        UnusableData: It is broken.
    """
    try:
        return MixturePart(path, pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise _broken(path, error) from error


def joined(parts: Sequence[MixturePart]) -> dict[int, str]:
    """Return the conversations in the middle of as many equal stretches of all rows, by their number.

    Raises:
        UnusableData: A file holds something else than conversations.
    """
    rows = sum(part.rows for part in parts)
    count = min(CONVERSATIONS, rows)
    wanted = (2 * np.arange(count) + 1) * rows // (2 * count)
    found: dict[int, str] = {}
    first = 0
    for path, size in parts:
        own = wanted[(wanted >= first) & (wanted < first + size)] - first
        try:
            found |= {first + row: text for row, text in _texts(path, own.tolist())}
        except (pa.ArrowException, OSError, KeyError, TypeError, AttributeError) as error:
            raise _broken(path, error) from error
        first += size
    return found


def _texts(path: Path, rows: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Yield some rows of a file as text; only the groups that they stand in are read, one at a time."""
    with pq.ParquetFile(path) as file:
        first = 0
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            own = [row for row in rows if first <= row < first + size]
            if own:
                column = file.read_row_group(group, columns=[COLUMN]).column(COLUMN)
                yield from ((row, _joined(column[row - first].as_py())) for row in own)
            first += size


def _joined(messages: Sequence[dict[str, Any]]) -> str:
    return GAP.join(message["content"].strip() for message in messages)


def _broken(path: Path, error: Exception) -> UnusableData:
    # In the Hub's cache the path is a link; without its target, the file is fetched again.
    seen = f"{path.resolve()} is no whole file of the Tulu 3 mixture ({type(error).__name__})."
    return UnusableData(seen, f"Remove it and run the same command again. {OTHERWISE}")
