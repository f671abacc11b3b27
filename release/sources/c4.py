"""C4, the web text that pruning methods are usually calibrated on: one file of it, from the Hub.

The file is fetched into the Hub's own cache and unpacked line by line, only as far as it is read.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from release.errors import UnusableData
from release.progress import Console
from release.sources.dataset import DatasetFile
from release.values import DataSource

REPO = "allenai/c4"
FILE = "en/c4-train.00000-of-01024.json.gz"
VALIDATION = "en/c4-validation.00000-of-00008.json.gz"
DOCUMENTS = 1_100
"""Of the validation split that GPTQ, SparseGPT and Wanda join for perplexity."""
REVISION = "1588ec454efa1a09f29cd18ddd04fe05fc8653a2"
"""A commit of the data set."""
GAP = "\n\n"
"""What follows each document."""

OTHERWISE = "Text that needs no Hub: --calibration wikipedia, or --calibration FILE."
BROKEN = (EOFError, OSError, zlib.error, ValueError, KeyError, TypeError)
"""What reading a file raises that is no gzip, is cut short, or holds something else than documents."""


def fetch(console: Console, file: str = FILE) -> Path:
    """Return a file of C4 in the Hub's cache, downloading it on first use (319 MB, or 41 MB of the validation split).

    Raises:
        ReleaseError: As `DatasetFile.fetch`; each names the texts that need no Hub.
    """
    return DatasetFile(REPO, file, REVISION, "C4", OTHERWISE).fetch(console)


def validation(console: Console) -> tuple[str, DataSource]:
    """Return the text that papers state C4's perplexity on: the first documents of the validation split, joined.

    Raises:
        ReleaseError: As `fetch`.
        UnusableData: The file is broken, or shorter.
    """
    taken = [each.removesuffix(GAP) for each in islice(documents(fetch(console, VALIDATION)), DOCUMENTS)]
    text = " ".join(taken)
    name = f"C4, first {len(taken):,} documents of {VALIDATION}"
    return text, described(taken).model_copy(update={"name": name, "sha256": hashlib.sha256(text.encode()).hexdigest()})


def documents(path: Path) -> Iterator[str]:
    """Yield the documents of a file in its order, each with the gap that follows it.

    Raises:
        UnusableData: It is broken, from where it is.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)["text"] + GAP
    except BROKEN as error:
        # In the Hub's cache the path is a link; without its target, the file is fetched again.
        seen = f"{path.resolve()} is no whole file of C4 ({type(error).__name__})."
        raise UnusableData(seen, f"Remove it and run the same command again. {OTHERWISE}") from error


def described(taken: Sequence[str]) -> DataSource:
    """Describe the documents that were used, the first ones of the file."""
    return DataSource(
        name=f"C4, first {len(taken):,} documents of {FILE}",
        origin=f"https://huggingface.co/datasets/{REPO}",
        revision=REVISION,
        licence="odc-by",
        sha256=hashlib.sha256("".join(taken).encode()).hexdigest(),
    )
