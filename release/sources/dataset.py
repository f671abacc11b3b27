"""One file of a data set on the Hub, at a commit: fetched into the Hub's own cache once, and then read from there."""

from pathlib import Path
from typing import NamedTuple

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

from release.errors import HubUnreachable, ReleaseError
from release.progress import BYTES, Console
from release.sources.bars import meter
from release.sources.cache import require_fetching
from release.sources.contact import FIRST_WAIT, broken_off, explained, first_contact, quietly


class DatasetFile(NamedTuple):
    """A file of a data set.

    Attributes:
        called: What the data set is called in messages.
        otherwise: What needs no Hub, for who has none.
    """

    repo: str
    file: str
    revision: str
    called: str
    otherwise: str

    def fetch(self, console: Console) -> Path:
        """Return the file in the Hub's cache, downloading it on first use.

        Raises:
            HubUnreachable: Nobody answers within 15 seconds, or HF_HUB_OFFLINE is set, and it was not fetched before.
            HubFailed: The download broke off; a rerun goes on where it stopped.
            ReleaseError: As `release.sources.hub.fetch`; each names what needs no Hub.
        """
        known = try_to_load_from_cache(self.repo, self.file, revision=self.revision, repo_type="dataset")
        if isinstance(known, str):
            return Path(known)
        require_fetching(self.called)
        try:
            return self._download(console)
        except HubUnreachable as error:
            raise HubUnreachable(error.seen, f"{self.called} needs the Hub once. {self.otherwise}") from error
        except ReleaseError as error:
            raise type(error)(error.seen, f"{error.remedy} {self.otherwise}") from error

    def _download(self, console: Console) -> Path:
        repo, file, revision = self.repo, self.file, self.revision
        with explained(repo, revision):
            url = hf_hub_url(repo, file, repo_type="dataset", revision=revision)
            size = first_contact(lambda: get_hf_file_metadata(url, timeout=FIRST_WAIT)).size
        step = console.step(f"Fetching one file of {repo}", size or 1, BYTES)
        with explained(repo, revision, broken_off), quietly(console), step as advance:
            bar = meter(advance, _on_disk)
            return Path(hf_hub_download(repo, file, repo_type="dataset", revision=revision, tqdm_class=bar))


def _on_disk(bar: str) -> bool:
    """Tell the client's bar of bytes on disk from that of bytes from the network, which Xet has beside it."""
    return not bar.endswith(".transfer")
