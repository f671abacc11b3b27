"""The socket, the routes, and the faults that a test can have happen."""

import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub import apps, cards, collections, files, jobs, lfs, refs, repos, spaces, talks, webhooks
from tests.hub.faults import Fault
from tests.hub.jobs import Jobs
from tests.hub.limits import Limits
from tests.hub.repos import Call
from tests.hub.state import Account, Site, Store
from tests.hub.webhooks import Webhooks
from tests.hub.wire import Answer, Body, Refused

API = r"/api/(?P<kind>models|datasets|spaces)/(?P<id>[^/]+/[^/]+)"
GIT = r"/(?:(?P<kind>datasets|spaces)/)?(?P<id>[^/]+/[^/]+)"
SPACE = r"/api/(?P<kind>spaces)/(?P<id>[^/]+/[^/]+)"
COLLECTION = r"/api/collections/(?P<slug>[^/]+/[^/]+)"
JOBS = r"/api/jobs/(?P<owner>[^/]+)"
JOB = JOBS + r"/(?P<job>[0-9a-f]+)"
WEBHOOKS = r"/api/settings/webhooks"
WEBHOOK = WEBHOOKS + r"/(?P<hook>[0-9a-f]+)"
APP = r"/run/(?P<kind>spaces)/(?P<id>[^/]+/[^/]+)"
OBJECT = r"/lfs/(?P<oid>[0-9a-f]{64})"

ROUTES: list[tuple[str, str, Callable[[Call], Answer]]] = [
    ("GET", r"/api/whoami-v2", repos.whoami),
    ("POST", r"/api/repos/create", repos.create),
    ("DELETE", r"/api/repos/delete", repos.delete),
    ("POST", r"/api/repos/move", repos.move),
    ("POST", r"/api/validate-yaml", cards.validate_yaml),
    ("GET", API + r"/auth-check(?:/(?P<right>write))?", repos.auth_check),
    ("PUT", API + r"/settings", repos.settings),
    ("POST", API + r"/preupload/(?P<rev>[^/]+)", repos.preupload),
    ("GET", API + r"/xet-(?P<right>read|write)-token/(?P<rev>[^/]+)", repos.xet_token),
    ("POST", API + r"/commit/(?P<rev>[^/]+)", repos.commit),
    ("POST", API + r"/branch/(?P<rev>[^/]+)", refs.branch),
    ("DELETE", API + r"/branch/(?P<rev>[^/]+)", refs.delete_branch),
    ("POST", API + r"/tag/(?P<rev>[^/]+)", refs.tag),
    ("DELETE", API + r"/tag/(?P<rev>[^/]+)", refs.delete_tag),
    ("GET", API, files.info),
    ("GET", API + r"/revision/(?P<rev>[^/]+)", files.info),
    ("GET", API + r"/tree/(?P<rev>[^/]+)(?:/(?P<path>.+))?", files.tree),
    ("POST", API + r"/paths-info/(?P<rev>[^/]+)", files.paths_info),
    ("GET", API + r"/refs", refs.refs),
    ("GET", API + r"/commits/(?P<rev>[^/]+)", refs.commits),
    ("GET", API + r"/discussions", talks.listed),
    ("POST", API + r"/discussions", talks.create),
    ("GET", API + r"/discussions/(?P<number>\d+)", talks.details),
    ("POST", API + r"/discussions/(?P<number>\d+)/comment", talks.comment),
    ("POST", API + r"/discussions/(?P<number>\d+)/merge", refs.merge),
    ("POST", API + r"/discussions/(?P<number>\d+)/status", talks.status),
    ("GET", r"/api/jobs/hardware", jobs.hardware),
    ("GET", JOBS, jobs.listed),
    ("POST", JOBS, jobs.run),
    ("GET", JOB, jobs.inspect),
    ("POST", JOB + r"/cancel", jobs.cancel),
    ("POST", JOB + r"/duplicate", jobs.duplicate),
    ("GET", JOB + r"/logs", jobs.logs),
    ("GET", WEBHOOKS, webhooks.listed),
    ("POST", WEBHOOKS, webhooks.create),
    ("GET", WEBHOOK, webhooks.get),
    ("POST", WEBHOOK, webhooks.update),
    ("DELETE", WEBHOOK, webhooks.delete),
    ("POST", WEBHOOK + r"/(?P<state>enable|disable)", webhooks.switch),
    ("GET", SPACE + r"/runtime", spaces.runtime),
    ("GET", SPACE + r"/logs/(?P<part>build|run)", spaces.logs),
    ("POST", SPACE + r"/hardware", spaces.hardware),
    ("POST", SPACE + r"/restart", spaces.restart),
    ("POST", SPACE + r"/pause", spaces.pause),
    ("POST", SPACE + r"/sleeptime", spaces.sleep_time),
    ("GET", SPACE + r"/variables", spaces.variables),
    ("POST", SPACE + r"/variables", spaces.set_variable),
    ("DELETE", SPACE + r"/(?:variables|secrets)", spaces.remove),
    ("GET", SPACE + r"/secrets", spaces.secrets),
    ("POST", SPACE + r"/secrets", spaces.set_secret),
    ("GET", APP + r"/config", apps.config),
    ("GET", APP + apps.PREFIX + r"/info", apps.info),
    ("POST", APP + apps.PREFIX + r"/queue/join", apps.join),
    ("GET", APP + apps.PREFIX + r"/queue/data", apps.data),
    ("GET", r"/api/collections", collections.listed),
    ("POST", r"/api/collections", collections.create),
    ("GET", COLLECTION, collections.get),
    ("DELETE", COLLECTION, collections.delete),
    ("PATCH", COLLECTION, collections.change),
    ("POST", COLLECTION + r"/items", collections.add),
    ("PATCH", COLLECTION + r"/items/(?P<item>[0-9a-f]+)", collections.change_item),
    ("POST", GIT + r"\.git/info/lfs/objects/batch", lfs.batch),
    ("POST", GIT + r"\.git/info/lfs/verify", lfs.verify),
    ("PUT", OBJECT, lfs.put),
    ("PUT", OBJECT + r"/(?P<number>\d+)", lfs.put_part),
    ("POST", OBJECT + r"/complete", lfs.complete),
    ("GET", OBJECT, files.large),
    ("GET", GIT + r"/resolve/(?P<rev>[^/]+)/(?P<path>.+)", files.resolve),
]


@dataclass(frozen=True)
class Seen:
    """One request as it was answered; `status` is 0 where the connection was dropped.

    `range` is the part of a file that was asked for.
    """

    method: str
    path: str
    status: int
    authorized: bool
    range: str | None = None


class HubServer:
    """A Hub on 127.0.0.1 for as long as the `with` block lasts; what it holds stays in `folder`.

    Attributes:
        url: Where it answers, for HF_ENDPOINT.
        token: The token of `ada`, who is a member of `lab` and may write.
        read_token: Another token of hers, which may only read.
        other_token: The token of `vera`, who owns nothing here.
        site: What holds for the Hub as a whole, such as whether accounts are free ones.
        faults: What shall go wrong; a test appends to it.
        seen: Every request so far.
        watchers: Called after every request, before it is answered: to prove a law that holds at all times.
        jobs: The Jobs that were started.
        webhooks: The webhooks that were made, and what they sent.
        limits: How many requests there were, of those that `site.limits` allows.
        store: What lies on disk.
    """

    token = "hf_ada0writes0000000000000000000000"
    read_token = "hf_ada0reads00000000000000000000000"
    other_token = "hf_vera00000000000000000000000000000"

    def __init__(self, folder: Path, free: bool = False) -> None:
        self.store = Store(folder.resolve())
        self.site = Site(free=free)
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.watchers: list[Callable[[], None]] = []
        ada = Account("ada", self.token, orgs=("lab",))
        reader = Account("ada", self.read_token, orgs=("lab",), role="read")
        self.accounts = {who.token: who for who in (ada, reader, Account("vera", self.other_token))}
        handler = type("BoundHandler", (Handler,), {"hub": self})
        self._server = Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.jobs = Jobs(self.url, self.site.images)
        self.webhooks = Webhooks(self.store, self.jobs, self.url)
        self.limits = Limits(self.site.limits)
        self.elsewhere = f"http://localhost:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.jobs.close()
        self._server.shutdown()
        self._server.server_close()

    def fault(self, method: str, path: str) -> Fault | None:
        with self.store.lock:
            return next((fault for fault in self.faults if fault.strikes(method, path)), None)


class Server(ThreadingHTTPServer):
    """Takes it calmly when a client goes away in the middle; any other error of a request is shown."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Reads a request, finds its route, writes the answer."""

    hub: HubServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - as http.server looks them up

    def _serve(self) -> None:
        path = urlsplit(self.path).path
        body = Body(self.rfile, self.headers)
        fault = self.hub.fault(self.command, path)
        if fault is not None and fault.action in ("reset", "cut", "stall"):
            self._break_off(fault, path, body)
            return
        answer = self._answer(fault, path, body)
        if self.command not in ("GET", "HEAD"):
            self.hub.webhooks.ring()
        if fault is not None and fault.action == "lost":
            self._drop(path)
            return
        self._send(path, answer, body, half=fault is not None and fault.action == "half")

    def _answer(self, fault: Fault | None, path: str, body: Body) -> Answer:
        try:
            if fault is not None and callable(fault.action):
                fault.action()
            instead = None if fault is None else fault.answer()
            if fault is None or instead is None or fault.carried_out:
                answer = self._limited(path, body)
            return instead or answer
        except Refused as refusal:
            return refusal.answer()

    def _limited(self, path: str, body: Body) -> Answer:
        """Answer, unless too many requests came; either way the headers say how many there may still be."""
        counted = self.hub.limits.count(self.headers.get("Authorization") or "", path)
        try:
            if counted.spent:
                raise Refused(429, "We had to rate limit you, you hit the quota of requests per 5 minutes period.")
            answer = self._route(path, body)
        except Refused as refusal:
            answer = refusal.answer()
        return replace(answer, headers={**answer.headers, **counted.headers})

    def _break_off(self, fault: Fault, path: str, body: Body) -> None:
        """Drop the connection at once, in the middle of the body, or after a silence."""
        left = fault.bytes if fault.action == "cut" else 0
        while left > 0 and (piece := body.read(left)):
            left -= len(piece)
        self._note(path, 0)
        if fault.action == "stall":
            time.sleep(fault.seconds)
        self._reset()

    def _route(self, path: str, body: Body) -> Answer:
        method = "GET" if self.command == "HEAD" else self.command
        for known, pattern, respond in ROUTES:
            if known == method and (match := re.fullmatch(pattern, path)):
                params = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
                call = self._call(path, {"kind": "models", **params}, body)
                return self._led_on(call) or respond(call)
        raise Refused(404, f"Nothing answers {self.command} {path} here.")

    def _led_on(self, call: Call) -> Answer | None:
        """Send whoever asks for a repository by its old name, or in other case, to where it is, if they may see it."""
        asked = call.params.get("id", "").removesuffix(".git")
        if not asked or call.store.repo(call.params["kind"], asked):
            return None
        name = call.store.leads_to(call.params["kind"], asked)
        repo = call.store.repo(call.params["kind"], name) if name else None
        if repo is None or (repo.private and not (call.account and call.account.owns(repo.id))):
            return None
        return Answer(307, b"", {"Location": call.here + self.path.replace(f"/{asked}", f"/{repo.id}", 1)})

    def _call(self, path: str, params: dict[str, str], body: Body) -> Call:
        hub, query = self.hub, parse_qs(urlsplit(self.path).query)
        asked = self.headers.get("Range")
        here = hub.store, self._account(), hub.site, hub.url, hub.elsewhere
        return Call(*here, path, params, query, asked, body, hub.jobs, hub.webhooks)

    def _account(self) -> Account | None:
        # An app's own visitors may need Authorization for themselves, so gradio_client names the Hub's token otherwise.
        stated = self.headers.get("Authorization") or self.headers.get("X-HF-Authorization") or ""
        token = stated.removeprefix("Bearer ")
        if token and token not in self.hub.accounts:
            raise Refused(401, "Invalid credentials in Authorization header")
        return self.hub.accounts.get(token)

    def _send(self, path: str, answer: Answer, body: Body, half: bool = False) -> None:
        for _ in body.pieces():  # what was not read would be taken for the next request
            pass
        self._note(path, answer.status)
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(answer.size)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            for piece in answer.pieces():
                self.wfile.write(piece[: len(piece) // 2] if half else piece)
                if half:
                    self._hang_up()
                    return

    def _drop(self, path: str) -> None:
        """Close the connection so that the client sees a reset, not an end."""
        self._note(path, 0)
        self._reset()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._hang_up()

    def _hang_up(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def _note(self, path: str, status: int) -> None:
        with self.hub.store.lock:
            for watch in self.hub.watchers:
                watch()
        authorized, asked = "Authorization" in self.headers, self.headers.get("Range")
        self.hub.seen.append(Seen(self.command, path, status, authorized, asked))

    def log_message(self, *args: object) -> None:
        """Say nothing: `seen` keeps what was asked."""
