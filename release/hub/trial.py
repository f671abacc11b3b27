"""A model that is public for as long as its Space is asked, and private again where no answer comes.

A Space without a token reads only a model that is open to everyone, so the model has to be shown before the Space can
be asked. Whatever ends the question without an answer, an error, Ctrl-C, or a kill and the next run, takes that back.
"""

from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from release.errors import HubFailed
from release.hub import settings
from release.hub.context import PushContext
from release.hub.repos import Found, RepoFolder

OPENED, CLOSED = "opened", "closed"
"""Steps of the journal: the model is shown for a question; that was taken back, or stands."""


@dataclass
class Trial:
    """A model that may be shown for a question.

    Attributes:
        found: What the Hub holds of it, kept in step with its visibility.
        told: What became of the model, in a sentence; "" where it was not shown for a question.
    """

    context: PushContext
    model: RepoFolder
    found: Found
    told: str = ""

    @property
    def url(self) -> str:
        """The model's page."""
        return self.context.client.url("model", self.model.id)

    def recover(self) -> None:
        """Hide a model that an earlier push showed for a question and, being killed, left so."""
        if self.context.journal.last((OPENED, CLOSED), self.url) == OPENED:
            if self.found.public:
                self._hide()
            else:
                self.context.journal.note(CLOSED, self.url)

    def __enter__(self) -> Self:
        """Show the model."""
        self.context.journal.note(OPENED, self.url)
        settings.show(self.context, self.model, self.found)
        self.found = replace(self.found, public=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Hide it again, unless the question was answered or need not be."""
        if error is None or self.context.options.show_unasked:
            self.context.journal.note(CLOSED, self.url)
        else:
            self._hide()

    def _hide(self) -> None:
        try:
            settings.hide(self.context, self.model)
        except HubFailed as failed:
            self.told = f"{self.url} is public and could not be made private again: make it so in {self.url}/settings. "
            self.context.console.say(f"{self.told}{failed.seen}")
            return
        self.found = replace(self.found, public=False)
        self.told = f"{self.url}, which was public while the Space was asked, is private again. "
        self.context.console.say(self.told)
        self.context.journal.note(CLOSED, self.url)
