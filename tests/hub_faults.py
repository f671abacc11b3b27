"""The table of faults: what can go wrong at each request of a push, and what must come of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.pushing import ID, KINDS, RECORD, SILENCE, SPACE, Bench

HEADER = """# What can go wrong while publishing

Every row is a test (`tests/test_hub_faults.py`), run four times: at the model's request and at the Space's, in a first
push and in the rerun of a push that had broken off. In each, nothing is visible to others before all of it is proven;
the same command run again ends in two public repositories that equal their folders, with the commits stated; run once
more, it changes nothing. This page is written from that table by `pytest tests/test_hub_faults.py --refresh`.

| request | what goes wrong | what the user sees | commits in all |
| --- | --- | --- | --- |
"""
FOR_GOOD = 999


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        request: What the client is doing.
        goes_wrong: In words.
        method: Of the request that is struck.
        path: A pattern of its path; `{kinds}` is models or spaces, `{git}` the prefix of git addresses.
        facts: What `Fault` is given, or a function that makes it from bench and kind.
        says: Words of the message; "" where the push goes on and ends well.
        commits: On main, when all is done.
        skips: Matching requests that belong to the other repository, in a first push and in a rerun, by kind.
        stopped_at: Where the push before a rerun broke off.
    """

    request: str
    goes_wrong: str
    method: str
    path: str
    facts: dict[str, Any] | Callable[[Bench, str], dict[str, Any]]
    says: str = ""
    commits: int = 1
    skips: dict[tuple[str, str], int] = field(default_factory=dict)
    stopped_at: tuple[str, str] = ("POST", "/api/{kinds}/" + ID + "/commit/")

    @property
    def name(self) -> str:
        return f"{self.request}: {self.goes_wrong}"

    def fault(self, bench: Bench, kind: str, run: str) -> dict[str, Any]:
        facts = self.facts(bench, kind) if callable(self.facts) else dict(self.facts)
        return facts | {"after": facts.get("after", 0) + self.skips.get((kind, run), 0)}

    def at(self, path: str, kind: str) -> str:
        return path.replace("{kinds}", KINDS[kind]).replace("{git}", "" if kind == "model" else "spaces/")


def _somebody_commits(bench: Bench, kind: str) -> dict[str, Any]:
    def commit() -> None:
        store, repo = bench.hub.store, bench.repo(KINDS[kind])
        mark = {"release.json": RECORD} if kind == "model" else {"README.md": SPACE.encode()}
        theirs = {name: store.keep([content]) for name, content in {**mark, "LICENSE": b"theirs"}.items()}
        files = {**repo.resolve("main").files, **theirs}
        repo.branches["main"] = repo.record(repo.branches["main"], "A licence", "", files, "vera")
        repo.save()

    return {"action": commit}


def _bytes_rot(bench: Bench, kind: str) -> dict[str, Any]:
    """Alter an ordinary file on the Hub's disk before the listing that follows the commit."""

    def rot() -> None:
        entry = bench.repo(KINDS[kind]).resolve("main").files["README.md"]
        bench.hub.store.blob(entry.sha256).write_bytes(b"rotten")

    return {"action": rot, "after": 1}


API = "/api/{kinds}/" + ID
INFO, TREE, COMMIT = API + "$", API + "/tree/", API + "/commit/"
PREUPLOAD, SETTINGS = API + "/preupload/", API + "/settings"
BATCH, VERIFY = "^/{git}" + ID + ".git/info/lfs/objects/batch", "^/{git}" + ID + ".git/info/lfs/verify"
CREATE, PUT, CARD = "/api/repos/create", "/lfs/[0-9a-f]+$", "/api/validate-yaml"
SPACE_FIRST = {("model", "first"): 1}
"""The Space is created before the model."""
MODEL_FIRST = {("space", "first"): 1}
"""The model's files are sent before the Space's; in a rerun they lie there already."""
AT_CREATE, AT_PREUPLOAD = ("POST", CREATE), ("POST", PREUPLOAD)
NOT_YOURS = "missing or not yours to see"
FOREVER = {"times": FOR_GOOD}
IN_DOUBT = (408, 409, 524)
"""Statuses that do not say whether the commit was carried out."""
EXPIRED = {
    "action": 403,
    "body": "<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
    "headers": {"Content-Type": "application/xml"},
}
STALL = {"action": "stall", "seconds": 2 * SILENCE}

ROWS = [
    Row("look", "503 once", "GET", INFO, {}),
    Row("look", "401", "GET", INFO, {"action": 401}, NOT_YOURS),
    Row("look", "no answer in time, once", "GET", INFO, STALL),
    Row("list", "500 once", "GET", TREE, {"action": 500}),
    Row("list", "504 for good", "GET", TREE, {"action": 504, **FOREVER}, "answered 504"),
    Row("create", "500 once", "POST", CREATE, {"action": 500}, skips=SPACE_FIRST, stopped_at=AT_CREATE),
    Row("create", "done, but the answer is lost", "POST", CREATE, {"action": "lost"}, "", 1, SPACE_FIRST, AT_CREATE),
    Row("create", "402", "POST", CREATE, {"action": 402}, "asks for money", 1, SPACE_FIRST, AT_CREATE),
    Row("create", "403", "POST", CREATE, {"action": 403}, "may not write", 1, SPACE_FIRST, AT_CREATE),
    Row("check the card", "503 once", "POST", CARD, {}, skips=MODEL_FIRST),
    Row("announce the files", "502 once", "POST", PREUPLOAD, {"action": 502}),
    Row("announce the files", "413", "POST", PREUPLOAD, {"action": 413}, "too large"),
    Row("announce the files", "a proxy answers with a page", "POST", PREUPLOAD, {"action": "html"}, "makes no sense"),
    Row(
        "ask where large files go", "429, asks for 7 s", "POST", BATCH, {"action": 429, "headers": {"Retry-After": "7"}}
    ),
    Row(
        "send a large file",
        "the connection breaks after 1 KiB",
        "PUT",
        PUT,
        {"action": "cut", "bytes": 1024},
        "",
        1,
        MODEL_FIRST,
        AT_PREUPLOAD,
    ),
    Row(
        "send a large file",
        "500 for good",
        "PUT",
        PUT,
        {"action": 500, **FOREVER},
        "answered 500",
        1,
        MODEL_FIRST,
        AT_PREUPLOAD,
    ),
    Row("send a large file", "its address has expired, once", "PUT", PUT, EXPIRED, "", 1, MODEL_FIRST, AT_PREUPLOAD),
    Row(
        "send a large file",
        "its address has expired, for good",
        "PUT",
        PUT,
        EXPIRED | FOREVER,
        "it has expired, or the clock here is wrong",
        1,
        MODEL_FIRST,
        AT_PREUPLOAD,
    ),
    Row("confirm a large file", "reset once", "POST", VERIFY, {"action": "reset"}, stopped_at=AT_PREUPLOAD),
    Row("confirm a large file", "it never arrived, once", "POST", VERIFY, {"action": 404}, stopped_at=AT_PREUPLOAD),
    Row("commit", "500, not carried out", "POST", COMMIT, {"action": 500}),
    *(Row("commit", f"{status}, not carried out", "POST", COMMIT, {"action": status}) for status in IN_DOUBT),
    *(
        Row("commit", f"{status}, carried out", "POST", COMMIT, {"action": status, "carried_out": True})
        for status in (403, 412, 500, *IN_DOUBT)
    ),
    Row("commit", "carried out, but a page answers", "POST", COMMIT, {"action": "html", "carried_out": True}),
    Row("commit", "done, but the answer is lost", "POST", COMMIT, {"action": "lost"}),
    Row("commit", "reset before it was read", "POST", COMMIT, {"action": "reset"}),
    Row("commit", "no answer in time, once", "POST", COMMIT, STALL),
    Row("commit", "503 for good", "POST", COMMIT, FOREVER, "answered 503"),
    Row("commit", "a proxy answers with a page", "POST", COMMIT, {"action": "html"}, "makes no sense"),
    Row("commit", "401", "POST", COMMIT, {"action": 401}, NOT_YOURS),
    Row("commit", "403", "POST", COMMIT, {"action": 403}, "may not write"),
    Row("commit", "413", "POST", COMMIT, {"action": 413}, "too large"),
    Row("commit", "412: somebody else committed", "POST", COMMIT, _somebody_commits, "'A licence' by vera", 2),
    Row("commit", "429, asks for 3 s", "POST", COMMIT, {"action": 429, "headers": {"Retry-After": "3"}}),
    Row(
        "commit", "429, asks for 1 h", "POST", COMMIT, {"action": 429, "headers": {"Retry-After": "3600"}}, "slow down"
    ),
    Row("compare", "other bytes lie on the Hub", "GET", TREE, _bytes_rot, "README.md has another digest", 2),
    Row("show", "500 once", "PUT", SETTINGS, {"action": 500}),
    Row("show", "done, but the answer is lost", "PUT", SETTINGS, {"action": "lost"}),
    Row("show", "done, but a page answers", "PUT", SETTINGS, {"action": "html", "carried_out": True}),
    Row(
        "show",
        "answered 200, without effect",
        "PUT",
        SETTINGS,
        {"action": 200, "body": "{}", **FOREVER},
        "The Hub said yes, and",
    ),
    Row("show", "403", "PUT", SETTINGS, {"action": 403}, "may not write"),
]


def page() -> str:
    """The table as docs/hub-faults.md."""
    lines = []
    for row in ROWS:
        sees = f"“… {row.says} …”" if row.says else "nothing: it is tried again and goes on"
        lines.append(f"| {row.request} | {row.goes_wrong} | {sees} | {row.commits} |\n")
    return HEADER + "".join(lines)
