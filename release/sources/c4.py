"""C4, the web text that pruning methods are usually calibrated on: one file of it, from the Hub.

The file is fetched into the Hub's own cache and unpacked line by line, only as far as it is read.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

from release.errors import HubUnreachable, ReleaseError, UnusableData
from release.progress import Console
from release.sources.bars import meter
from release.sources.contact import FIRST_WAIT, broken_off, explained, first_contact, quietly
from release.values import DataSource

REPO = "allenai/c4"
FILE = "en/c4-train.00000-of-01024.json.gz"
REVISION = "1588ec454efa1a09f29cd18ddd04fe05fc8653a2"
"""A commit of the data set."""
GAP = "\n\n"
"""What follows each document."""

OTHERWISE = "Text that needs no Hub: --calibration wikipedia, or --calibration FILE."
BROKEN = (EOFError, OSError, zlib.error, ValueError, KeyError, TypeError)
"""What reading a file raises that is no gzip, is cut short, or holds something else than documents."""


def fetch(console: Console) -> Path:
    """Return the file in the Hub's cache, downloading it on first use (319 MB).

    Raises:
        HubUnreachable: Nobody answers within 15 seconds, or HF_HUB_OFFLINE is set, and it was not fetched before.
        HubFailed: The download broke off; a rerun goes on where it stopped.
        ReleaseError: As `release.sources.hub.fetch`; each names the texts that need no Hub.
    """
    known = try_to_load_from_cache(REPO, FILE, revision=REVISION, repo_type="dataset")
    if isinstance(known, str):
        return Path(known)
    try:
        return _download(console)
    except HubUnreachable as error:
        raise HubUnreachable(error.seen, f"C4 needs the Hub once. {OTHERWISE}") from error
    except ReleaseError as error:
        raise type(error)(error.seen, f"{error.remedy} {OTHERWISE}") from error


def _download(console: Console) -> Path:
    with explained(REPO, REVISION):
        url = hf_hub_url(REPO, FILE, repo_type="dataset", revision=REVISION)
        size = first_contact(lambda: get_hf_file_metadata(url, timeout=FIRST_WAIT)).size
    step = console.step(f"Fetching one file of {REPO}", size or 1)
    with explained(REPO, REVISION, broken_off), quietly(console), step as advance:
        path = hf_hub_download(REPO, FILE, repo_type="dataset", revision=REVISION, tqdm_class=meter(advance, _on_disk))
    return Path(path)


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


def _on_disk(bar: str) -> bool:
    """Tell the client's bar of bytes on disk from that of bytes from the network, which Xet has beside it."""
    return not bar.endswith(".transfer")
