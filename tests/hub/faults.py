"""What can be made to go wrong, request by request.

hub.faults.append(Fault("PUT", "/lfs/", action="cut", bytes=1 << 20, after=2))   # the 3rd PUT dies after 1 MiB
hub.faults.append(Fault("POST", "/commit/", action="lost"))                      # carried out, never answered
hub.faults.append(Fault("GET", "/tree/", action=429, headers={"Retry-After": "3"}))
hub.faults.append(Fault("POST", "/commit/", action=somebody_else_commits))       # a function, called before
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Action = int | Literal["reset", "cut", "half", "lost", "stall", "html"] | Callable[[], None]


@dataclass
class Fault:
    """Something to go wrong with requests whose method and path match.

    Attributes:
        path: A regular expression that is searched for in the path.
        times: How many matching requests it happens to.
        action: What happens.
            a status    it is answered, with the words and headers below
            "reset"     the connection is dropped before anything is read
            "cut"       the connection is dropped after `bytes` of the body
            "half"      the answer ends in the middle of its body, cleanly
            "lost"      the request is carried out, and the connection dropped before the answer
            "stall"     nothing is answered for `seconds`, then the connection is dropped
            "html"      a page of HTML is answered with 200, as a proxy on the way does
            a function  it is called, and the request answered as usual: to alter what lies on disk, or to commit
        after: How many matching requests pass before it begins.
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

    def strikes(self, method: str, path: str) -> bool:
        """Whether it happens to this request; counts it."""
        if method != self.method or not re.search(self.path, path) or not self.times:
            return False
        if self.after:
            self.after -= 1
            return False
        self.times -= 1
        return True
