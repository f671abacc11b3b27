"""What pruning did, in one sentence and two numbers: what a first screen shows."""

from release.frozen import Frozen


class HeadlineNumber(Frozen):
    """One metric in words that need no other reading.

    Attributes:
        metric: Its key.
        label: What it is called.
        dense: Its value for the dense model, written out.
        pruned: For the pruned one.
        change: What became of it, in a word or two: `37 % kept`, `× 2.1`.
    """

    metric: str
    label: str
    dense: str
    pruned: str
    change: str


class FirstScreen(Frozen):
    """Derived from a record's measurements and claims, and stored with them for whoever shows a release.

    Attributes:
        sentence: What pruning did; where something cannot be said, with the reason.
        numbers: Two at most; fewer where less was measured.
    """

    sentence: str
    numbers: tuple[HeadlineNumber, ...] = ()
