"""What can be made to go wrong, request by request.

hub.faults.append(Fault("PUT", "/lfs/", action="cut", bytes=1 << 20, after=2))   # the 3rd PUT dies after 1 MiB
hub.faults.append(Fault("POST", "/commit/", action="lost"))                      # carried out, never answered
hub.faults.append(Fault("GET", "/tree/", action=429, headers={"Retry-After": "3"}))
hub.faults.append(Fault("POST", "/commit/", action=somebody_else_commits))       # a function, called before
hub.faults.append(Fault("POST", "/commit/", action=524, carried_out=True))       # done, and then the gateway gave up
hub.faults.append(Fault("GET", "/whoami", action=200, body="{}"))               # somebody else answers
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tests.hub.wire import Answer, Refused

PAGE = b"<html>Please log in to this network.</html>"

Action = int | Literal["reset", "cut", "half", "lost", "stall", "html"] | Callable[[], object]


@dataclass
class Fault:
    """Something to go wrong with requests whose method and path match.

    Attributes:
        path: A regular expression that is searched for in the path.
        times: How many matching requests it happens to.
        action: What happens.
            a status    it is answered, with the words and headers below, or with `body`
            "reset"     the connection is dropped before anything is read
            "cut"       the connection is dropped after `bytes` of the body
            "half"      the answer ends in the middle of its body, cleanly
            "lost"      the request is carried out, and the connection dropped before the answer
            "stall"     nothing is answered for `seconds`, then the connection is dropped
            "html"      a page of HTML is answered with 200, as a proxy on the way does
            a function  it is called, and the request answered as usual: to alter what lies on disk, or to commit
        after: How many matching requests pass before it begins.
        carried_out: Whether the request is carried out before a status or a page is answered.
    """

    method: str
    path: str
    times: int = 1
    action: Action = 503
    after: int = 0
    bytes: int = 0
    seconds: float = 1.0
    words: str = "A fault that a test asked for."
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    carried_out: bool = False

    def answer(self) -> Answer | None:
        """What is answered in the Hub's place; None where it answers itself."""
        if self.action == "html":
            return Answer(200, PAGE, {"Content-Type": "text/html"})
        if not isinstance(self.action, int):
            return None
        if self.body is not None:
            return Answer(self.action, self.body.encode(), self.headers)
        return Refused(self.action, self.words, **self.headers).answer()

    def strikes(self, method: str, path: str) -> bool:
        """Whether it happens to this request; counts it."""
        if method != self.method or not re.search(self.path, path) or not self.times:
            return False
        if self.after:
            self.after -= 1
            return False
        self.times -= 1
        return True
