"""The journal of a release's pushes: a line for each step that was done, written through before the next begins.

The Hub itself says how far an upload came, so a rerun asks the Hub. The journal keeps what the Hub cannot tell: that
a Space answered a question, which collection was filled, what was done when.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from filelock import Timeout

from release.errors import OutputConflict
from release.files import lock_at, to_disk

NAME = "push.jsonl"
LOCK = "push.lock"


@dataclass
class Journal:
    """An open journal.

    Attributes:
        earlier: Steps of all pushes before this one and of this one, the oldest first.
        done: Steps of this push.
    """

    file: IO[str]
    earlier: list[Mapping[str, Any]]
    done: list[str] = field(default_factory=list)

    def note(self, step: str, url: str, **facts: object) -> None:
        """Write down that a step was done."""
        line = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "step": step, "url": url, **facts}
        self.file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.file.flush()
        to_disk(self.file.fileno())
        self.earlier.append(line)
        self.done.append(step)

    def knows(self, step: str, url: str, **facts: object) -> bool:
        """Whether this step was done with these facts, in this push or before."""
        wanted = {"step": step, "url": url, **facts}
        return any(wanted.items() <= line.items() for line in self.earlier)

    def last(self, steps: Collection[str], url: str) -> str | None:
        """Return which of these steps was done last, in this push or before; None for none of them."""
        done = (line["step"] for line in reversed(self.earlier) if line.get("url") == url and line.get("step") in steps)
        return next(done, None)


@contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    """Open the journal that lies in a folder, for one push at a time.

    Raises:
        OutputConflict: Another push of this release is at work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(lock_at(folder / LOCK, timeout=0))
        except Timeout:
            raise OutputConflict(
                f"Another push of {folder.parent} is at work.", "Wait until it has ended, then run this one again."
            ) from None
        file = stack.enter_context((folder / NAME).open("a+", encoding="utf-8", errors="replace", newline="\n"))
        file.seek(0)
        text = file.read()
        if text and not text.endswith("\n"):
            file.write("\n")  # a kill cut the last line short: what follows is a line of its own
        yield Journal(file, list(_lines(text)))


def _lines(text: str) -> Iterator[Mapping[str, Any]]:
    """Read the lines; one that a kill cut short never counted."""
    for line in text.splitlines():
        try:
            step = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(step, dict):
            yield step
