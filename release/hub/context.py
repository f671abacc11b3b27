"""One push at work: the client, the options, the journal, and what others can see by now."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from release.errors import HubFailed
from release.hub.client import HubClient
from release.hub.faults import FAULTS, refusal
from release.hub.journal import Journal
from release.progress import Console
from release.settings.publication import PublishOptions
from release.sources.contact import without_tokens

T = TypeVar("T")


@dataclass(frozen=True)
class PushContext:
    """A push at work.

    Attributes:
        seen: What became visible to others in this push, in words.
        doubts: What may have become visible meanwhile, in words: it was asked for, and no answer told whether it was
            done; each is taken away once the Hub was looked at.
    """

    client: HubClient
    options: PublishOptions
    console: Console
    journal: Journal
    seen: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def ask(self, kind: str, repo_id: str, call: Callable[[], T]) -> T:
        """Return what `call` returns, trying again where that is safe; what still fails says what others can see.

        Raises:
            HubFailed: The Hub refuses, or the connection breaks.
        """
        with self.explained(kind, repo_id):
            return self.client.ask(call)

    @contextmanager
    def explained(self, kind: str, repo_id: str) -> Iterator[None]:
        """Turn what goes wrong into `HubFailed`, which says what others can see by now."""
        try:
            yield
        except FAULTS as error:
            said, remedy = refusal(error, kind, repo_id, self.client.url(kind, repo_id))
            raise HubFailed(f"{said} {self.visible()}", remedy) from without_tokens(error)

    @contextmanager
    def in_doubt(self, words: str | None) -> Iterator[None]:
        """Look whether something became visible; where looking fails, `visible` says that it could not be seen."""
        if words is None:
            yield
            return
        self.doubts.append(words)
        yield
        self.doubts.remove(words)

    def visible(self) -> str:
        """Say what others can see by now, and what could not be seen from here."""
        seen = f"Visible to others by now: {'; '.join(self.seen)}." if self.seen else ""
        doubts = f"It could not be seen from here whether {'; '.join(self.doubts)}." if self.doubts else ""
        return " ".join(filter(None, (seen, doubts))) or "Nothing new became visible to others."
