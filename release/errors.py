"""Every error this package raises on purpose.

    ReleaseError                 what was seen, and what to do next
    ├── InputError       exit 2  what was asked cannot be done
    │   ├── BadOption            a value outside its range
    │   ├── UnknownName          an alias, method or model that does not exist; lists the nearest
    │   ├── UnusableBase         a checkpoint that cannot be pruned here
    │   ├── UnusableData         a data set or text that is missing, altered or too short
    │   ├── OutputConflict       the output folder holds something else
    │   ├── DiskFull             not enough room
    │   ├── MissingSource        something has to be fetched and cannot be
    │   │   └── NotHere          it could be, where nothing is to be: in a dry run, which goes on without
    │   ├── UnusableCluster      a Ray cluster that does not answer, or on which a sweep cannot run
    │   ├── HubUnreachable       nobody answers at the Hub's address, before any work was done
    │   └── NotLoggedIn          no token, or one the Hub does not accept
    ├── GateError        exit 1  the result is not what it must be; nothing is uploaded
    │   ├── AuditFailed          the written files differ from the plan
    │   ├── LeakFound            the release would give away a path, a name, an address or a secret
    │   ├── ChecksumMismatch     the Hub holds other bytes than this machine
    │   └── SpaceFailed          the Space cannot be built, does not run, or does not answer
    └── HubFailed        exit 3  the Hub or the network failed while at work
        └── SpaceLate            the Space did not come to rest in time

`release.__main__` alone catches them, prints one message and sets the exit code.
"""

import difflib
from collections.abc import Iterable, Sequence

from release.format import LONGEST_QUOTED, quoted

NEAR = 0.6
"""Likeness, by difflib's ratio, from which a name may have been meant."""
AS_NEAR = 0.1
"""What a name may be less like than the nearest, to be offered, too."""


def nearest(name: str, known: Sequence[str]) -> list[str]:
    """Return the names that may have been meant, the nearest first; none where nothing is near."""
    likeness = {each: difflib.SequenceMatcher(None, name.casefold(), each.casefold()).ratio() for each in known}
    least = max(NEAR, max(likeness.values(), default=0) - AS_NEAR)
    return sorted((each for each in known if likeness[each] >= least), key=lambda each: -likeness[each])[:3]


class NobodyReads(Exception):
    """Whoever read what is printed has gone: a pipe was closed; nothing is said of it, since nobody would read that."""


class ReleaseError(Exception):
    """Base of all errors: what was seen, and what to do next.

    Args:
        seen: What is wrong, naming the value, file or tensor, as one or more sentences.
        remedy: What the user can do about it.
    """

    exit_code = 2

    def __init__(self, seen: str, remedy: str = "") -> None:
        super().__init__(f"{seen}\n{remedy}" if remedy else seen)
        self.seen = seen
        self.remedy = remedy

    def __reduce__(self) -> tuple[type["ReleaseError"], tuple[str, str]]:
        # An exception is otherwise made again from its one message, and seen and remedy would run together.
        return type(self), (self.seen, self.remedy)


class InputError(ReleaseError):
    """What was asked cannot be done (exit 2)."""


class BadOption(InputError):
    """An option's value is outside its range."""


class UnknownName(InputError):
    """A name that nothing here answers to."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], remedy: str = "") -> "UnknownName":
        """Build the error with the names nearest to `name`."""
        names = sorted(known)
        near = nearest(name[:LONGEST_QUOTED], names)
        meant = f"Did you mean {' or '.join(near)}?" if near else ""
        told = remedy or ("" if near else f"There are {', '.join(names)}.")
        return cls(f"There is no {kind} {quoted(name)}.", f"{meant} {told}".strip())


class UnusableBase(InputError):
    """A checkpoint that cannot be pruned here."""


class UnusableData(InputError):
    """A data set or text that is missing, altered or too short."""


class OutputConflict(InputError):
    """The output folder holds something else."""


class DiskFull(InputError):
    """There is not enough room for what must be written."""


class MissingSource(InputError):
    """Something has to be fetched and cannot be."""


class NotHere(MissingSource):
    """It would have to be fetched, where nothing is to be."""


class UnusableCluster(InputError):
    """A Ray cluster that does not answer, or on which a sweep cannot run."""


class HubUnreachable(InputError):
    """Nobody answers at the Hub's address; raised before any work was done."""


class NotLoggedIn(InputError):
    """There is no token, or one the Hub does not accept."""


class GateError(ReleaseError):
    """The result is not what it must be; nothing is uploaded (exit 1)."""

    exit_code = 1


class AuditFailed(GateError):
    """The written files differ from the plan."""


class LeakFound(GateError):
    """The release would give away a path, a name, an address or a secret."""


class ChecksumMismatch(GateError):
    """The Hub holds other bytes than this machine."""


class SpaceFailed(GateError):
    """The Space cannot be built, does not run, or does not answer."""


class HubFailed(ReleaseError):
    """The Hub or the network failed while at work (exit 3)."""

    exit_code = 3


class SpaceLate(HubFailed):
    """The Space did not come to rest in time."""
