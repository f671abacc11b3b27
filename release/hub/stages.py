"""What the stage of a Space means to a push: go on waiting, wake it, or take it at its word.

A stage counts only for the commit that it is about. Right after a commit the Hub may still tell of the one before, and
a build may begin minutes late; an old app that answers meanwhile says nothing of the new one. So the Space runs the new
commit where its runtime names it, or, where the Hub names none, once it was seen to leave the running state.

The stages are those of the Hub's client, and SLEEPING, which the Hub answers after 48 idle hours and that client lacks.
"""

from dataclasses import dataclass
from typing import Literal

from huggingface_hub import SpaceRuntime

Step = Literal["wait", "wake", "rest"]

RUNNING = "RUNNING"
NO_APP_FILE = "NO_APP_FILE"
ON_THE_WAY = frozenset({"BUILDING", "RUNNING_BUILDING", "APP_STARTING", "RUNNING_APP_STARTING"})
BROKEN = frozenset({"BUILD_ERROR", "RUNTIME_ERROR", "CONFIG_ERROR", NO_APP_FILE})
ASLEEP = frozenset({"PAUSED", "STOPPED", "SLEEPING"})
GONE = frozenset({"DELETING"})
KNOWN = ON_THE_WAY | BROKEN | ASLEEP | GONE | {RUNNING}
BELIEVED_AFTER = 120.0
"""Seconds after which a stage is believed that need not be about the new commit: NO_APP_FILE is what the Hub says of a
new Space until it has looked at the first commit, and a Space that was just woken may be told asleep for a while."""


@dataclass
class StageWatch:
    """What was seen of a Space since a push began to wait for it.

    Attributes:
        commit: The one that it shall run.
        settled: Whether its answer for that commit is known: whatever it does at rest is then taken at its word.
        stage: At the last look; "" before the first.
        names: The commit that the runtime named then; None where it named none.
        since: When that stage was first seen, in seconds of the caller's clock.
        moved: Whether it was seen outside the running state and on its way.
        woken: Whether it was restarted in this push.
        refused: Why the Hub did not restart it; "" where it did, or was not asked to.
        late: Whether it did not come to rest in time.
    """

    commit: str
    settled: bool = False
    stage: str = ""
    names: str | None = None
    since: float = 0.0
    moved: bool = False
    woken: bool = False
    refused: str = ""
    late: bool = False

    @property
    def undecided(self) -> bool:
        """Whether the time was up before anything could be said of the new commit."""
        of_another = self.names not in (None, self.commit) and self.stage in BROKEN
        return self.late and (self.stage in ON_THE_WAY or self.stage == RUNNING or of_another or not self.is_known)

    @property
    def is_known(self) -> bool:
        """Whether this version knows the stage; another one may be on the way, so it is waited for and left alone."""
        return self.stage in KNOWN

    def see(self, runtime: SpaceRuntime, now: float) -> None:
        """Take in one look at the Space."""
        sha, stage = runtime.raw.get("sha"), str(runtime.stage)
        if stage != self.stage:
            self.stage, self.since = stage, now
        self.names = sha if isinstance(sha, str) and sha else None
        self.moved = self.moved or stage in ON_THE_WAY

    def wake(self, runtime: SpaceRuntime, now: float) -> None:
        """Take in that it was restarted, and what the Hub answered to that."""
        self.woken, self.stage = True, ""
        self.see(runtime, now)

    def step(self, now: float) -> Step:
        """Say what is to be done next."""
        lasted = now - self.since >= BELIEVED_AFTER
        if self.stage in ON_THE_WAY:
            return "wait"
        if self.settled or self.stage in GONE:
            return "rest"
        if self.stage == RUNNING:
            return self._running(lasted)
        if self.stage in BROKEN:
            return self._broken(lasted)
        return self._asleep(lasted) if self.is_known else "wait"

    def _running(self, lasted: bool) -> Step:
        if self.names == self.commit or (self.names is None and self.moved):
            return "rest"
        # The Hub names no commit and shows no build: only a build of its own makes certain which commit runs.
        return "wake" if self.names is None and lasted and not self.woken else "wait"

    def _broken(self, lasted: bool) -> Step:
        if self.names not in (None, self.commit):
            return "wait"
        certain = self.stage != NO_APP_FILE and (self.moved or self.names == self.commit)
        return "rest" if certain or lasted else "wait"

    def _asleep(self, lasted: bool) -> Step:
        if self.woken:
            return "rest" if lasted else "wait"
        return "wake"

    def told(self) -> str:
        """Name the stage, and the commit where it is another one."""
        other = f" (commit {self.names[:8]})" if self.names not in (None, self.commit) else ""
        return f"{self.stage}{other}"
