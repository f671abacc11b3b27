"""The line in front of the models: one question is answered at a time, and every other one is told its place.

Gradio's own queue says nothing to the page but a number beside a spinner. Here each question waits in its own call, so
that its place stands in the answer boxes, and Stop takes it out of the line.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

MOST = 20
"""Questions that may wait; the next visitor is told that the line is full."""
LEFT_AFTER = 15.0
"""Seconds without a look after which a question's visitor has gone: his page was closed."""
NUMERALS = {1: "1st", 2: "2nd", 3: "3rd"}


class LineFull(Exception):
    """As many wait as may."""


class Ticket:
    """One question's place."""

    def __init__(self, line: "WaitingLine") -> None:
        self._line = line
        self.seen = time.monotonic()
        self.served = False

    def ahead(self) -> int:
        """Return how many questions come before this one; 0 where its turn has come."""
        return self._line.ahead(self)


class WaitingLine:
    """The questions that wait, the one that is being answered first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._tickets: list[Ticket] = []
        self._lock = threading.Lock()

    @contextmanager
    def joined(self) -> Iterator[Ticket]:
        """Hold a place, from the end of the line to the end of the answer.

        Raises:
            LineFull: As many wait as may.
        """
        ticket = Ticket(self)
        with self._lock:
            self._forget_who_left()
            if len(self._tickets) > self._most:
                raise LineFull
            self._tickets.append(ticket)
        try:
            yield ticket
        finally:
            with self._lock:
                if ticket in self._tickets:
                    self._tickets.remove(ticket)

    def ahead(self, ticket: Ticket) -> int:
        """Return how many come before a ticket."""
        with self._lock:
            ticket.seen = time.monotonic()
            self._forget_who_left()
            if ticket not in self._tickets:  # it was not heard of for long, and comes back
                self._tickets.append(ticket)
            at = self._tickets.index(ticket)
            ticket.served = at == 0
            return at

    def _forget_who_left(self) -> None:
        now = time.monotonic()
        self._tickets = [each for each in self._tickets if each.served or now - each.seen < LEFT_AFTER]


def place(ahead: int) -> str:
    """Say a place in the line; who is next is the 1st."""
    numeral = NUMERALS.get(ahead, f"{ahead}th")
    return f"{numeral} in the queue"
