"""WikiText-2, the text that papers on pruning and quantization state perplexity on: its raw test split.

From the Hub at a pinned commit, or from a file of one's own, which must be the split as it was first distributed.
"""

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from release import outside
from release.errors import UnusableData
from release.format import shown
from release.progress import Console
from release.sources.dataset import DatasetFile
from release.values import DataSource

REPO = "Salesforce/wikitext"
FILE = "wikitext-2-raw-v1/test-00000-of-00001.parquet"
REVISION = "b08601e04326c79dfdd32d625aee71d232d685c3"
"""A commit of the data set."""
RAW_SHA256 = "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08"
"""Of `wiki.test.raw`."""
LARGEST = 8 << 20
"""Bytes of a file of one's own."""
GAP = "\n\n"
"""Between two rows, as GPTQ, SparseGPT and Wanda join them."""
OTHERWISE = "Give the file wiki.test.raw with --text FILE, or leave --perplexity-preset wikitext2 out."

STORED = DatasetFile(REPO, FILE, REVISION, "WikiText-2", OTHERWISE)


def wikitext2(file: Path | None, console: Console) -> tuple[str, DataSource]:
    """Return the raw test split, its rows joined.

    Args:
        file: `wiki.test.raw`; None for the Hub's copy, which is fetched on first use (0.7 MB).

    Raises:
        UnusableData: The file is another one, or the Hub's copy is broken.
        ReleaseError: As `DatasetFile.fetch`.
    """
    text = GAP.join(_rows_of(_raw(file)) if file is not None else _stored_rows(STORED.fetch(console)))
    return text, DataSource(
        name="WikiText-2 raw, test split",
        origin=f"https://huggingface.co/datasets/{REPO}",
        revision=REVISION,
        licence="CC BY-SA 3.0",
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _raw(path: Path) -> str:
    try:
        data = outside.bytes_of(path, LARGEST)
        text = outside.utf8(data)
    except outside.Unfit as why:
        raise UnusableData(f"{shown(str(path))} {why}.", OTHERWISE) from None
    if hashlib.sha256(data).hexdigest() != RAW_SHA256:
        raise UnusableData(f"{shown(str(path))} is not WikiText-2's raw test split.", OTHERWISE)
    return text


def _rows_of(raw: str) -> list[str]:
    """Cut the raw split into rows as the Hub's copy has them: lines with their ends, and blank ones empty."""
    return [f"{line}\n" if line.strip() else "" for line in raw.removesuffix("\n").split("\n")]


def _stored_rows(path: Path) -> list[str]:
    try:
        rows: list[str] = pq.read_table(path, columns=["text"]).column("text").to_pylist()
    except (pa.ArrowException, OSError, KeyError) as error:
        seen = f"{path.resolve()} is no whole file of WikiText-2 ({type(error).__name__})."
        raise UnusableData(seen, f"Remove it and run the same command again. {OTHERWISE}") from error
    return rows
