"""Pushes inside this process: a tiny release, a Hub of its own, no waiting, and a law that holds at every request."""

import logging
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from huggingface_hub import HfApi, constants, set_client_factory
from huggingface_hub.utils import _http

from release import hub
from release.errors import ReleaseError
from release.progress import Console
from release.sources import contact
from release.space.mark import MARK
from tests.hub import Fault, HubServer
from tests.hub.state import Repo, Store

ID = "ada/tiny"
KINDS = {"model": "models", "space": "spaces"}
CARD = "---\nlicense: mit\n---\nTiny.\n"
SPACE = f"---\ntitle: Tiny\nsdk: gradio\ncolorFrom: red\ncolorTo: blue\n---\n\n{MARK.format(address=ID)}\n"
RECORD = b'{"schema_version": 1, "base": {}, "pruning": {}}'
"""As much of a release.json as tells whose the repository is."""
SILENCE = 0.3
"""Seconds of silence after which these pushes give a connection up."""


def tiny_release(folder: Path) -> Path:
    """The smallest thing that is pushed like a release: ordinary and large files in both repositories."""
    files = {
        "model/README.md": CARD.encode(),
        "model/release.json": RECORD,
        "model/config.json": b'{"model_type": "llama"}',
        "model/empty.txt": b"",
        "model/model.safetensors": bytes(range(256)) * 20,
        "space/README.md": SPACE.encode(),
        "space/app.py": b"print('hello')\n",
        "space/cover.bin": b"\0" + b"cover" * 1000,
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Path → bytes of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def on_hub(store: Store, kind: str, revision: str = "main", repo_id: str = ID) -> dict[str, bytes]:
    """Path → bytes on the Hub, without the file that the Hub itself makes; nothing where there is no repository."""
    repo = store.repo(kind, repo_id)
    files = repo.resolve(revision).files if repo else {}
    return {name: store.blob(entry.sha256).read_bytes() for name, entry in files.items() if name != ".gitattributes"}


@dataclass
class Bench:
    """A user's machine and a Hub.

    Attributes:
        waits: Seconds that were waited for, by this package and by the Hub's client, without waiting.
        now: The time by which this package waits, in seconds; `by_the_clock` has Spaces live by it.
        at_waits: Called whenever it begins to wait.
        said: Everything that a user or a log could have seen: messages, logs, tracebacks.
        early: Moments at which something was seen that was not whole.
    """

    hub: HubServer
    folder: Path
    waits: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    now: float = 0.0
    at_waits: list[Callable[[], None]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        for happens in self.at_waits:
            happens()
        self.waits.append(seconds)
        self.now += seconds

    def by_the_clock(self) -> None:
        self.hub.site.clock = lambda: self.now

    @property
    def client(self) -> hub.HubClient:
        api = HfApi(endpoint=self.hub.url, token=self.hub.token)
        return hub.HubClient(api, waits=(1, 2), sleep=self.sleep, clock=lambda: self.now, answered_within=20)

    @property
    def upload(self) -> hub.Upload:
        return hub.Upload(self.folder / "model", self.folder / "space", ID, self.folder / "work")

    def push(self, space: bool = True, **options: object) -> hub.Pushed:
        upload = self.upload if space else hub.Upload(self.folder / "model", None, ID, self.folder / "work")
        return hub.push(upload, hub.PublishOptions.model_validate(options), Console(), self.client)

    def survey(self, **options: object) -> hub.PushPlan:
        account = hub.login(client=self.client)
        return hub.survey(
            self.upload, hub.PublishOptions.model_validate(options), account, Console(quiet=True), self.client
        )

    def failing(self, **options: object) -> ReleaseError:
        """Push, and return the error that it must end with."""
        with pytest.raises(ReleaseError) as caught:
            self.push(**options)
        self.said.append("".join(traceback.format_exception(caught.value)))
        return caught.value

    def outcome(self, **options: object) -> str:
        """Push, and return the error's words, or "" where it ended well."""
        try:
            self.push(**options)
        except ReleaseError as error:
            self.said.append("".join(traceback.format_exception(error)))
            return str(error)
        return ""

    def fault(self, method: str, path: str, **facts: Any) -> None:
        self.hub.faults.append(Fault(method, path, **facts))

    def repo(self, kind: str = "models") -> Repo:
        found = self.hub.store.repo(kind, ID)
        assert found is not None
        return found

    def commits(self, kind: str) -> int:
        """How many commits lie on main, the Hub's own first one not counted."""
        repo, count = self.repo(kind), 0
        commit = repo.resolve("main")
        while commit.parent:
            commit, count = repo.resolve(commit.parent), count + 1
        return count

    def asked(self, method: str, part: str) -> int:
        return sum(seen.method == method and part in seen.path for seen in self.hub.seen)

    def written(self) -> list[str]:
        """Requests that change something, in order."""
        quiet = ("/preupload/", "/validate-yaml", "/paths-info/")
        changes = (seen for seen in self.hub.seen if seen.method not in ("GET", "HEAD"))
        return [f"{seen.method} {seen.path}" for seen in changes if not any(part in seen.path for part in quiet)]

    def is_complete(self, commits: int = 1, where: str = "models") -> bool:
        """Whether both repositories equal their folders and are public, with one commit each, or `commits` in one."""
        return all(
            on_hub(self.hub.store, kind) == contents(self.folder / part)
            and not self.repo(kind).private
            and self.commits(kind) == (commits if kind == where else 1)
            for part, kind in KINDS.items()
        )

    def watch(self) -> None:
        """Note whatever is public and not whole, and a Space that is public before its model."""
        public = {}
        for part, kind in KINDS.items():
            repo = self.hub.store.repo(kind, ID)
            public[part] = repo is not None and not repo.private
            if public[part] and on_hub(self.hub.store, kind) != contents(self.folder / part):
                self.early.append(f"{part} is public and not whole")
        if public["space"] and not public["model"]:
            self.early.append("the Space is public before its model")


@contextmanager
def client(monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> Iterator[None]:
    """Have the Hub's client use LFS, give up soon, and never really wait between its own tries."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(contact, "WORK_WAIT", SILENCE)
    monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=waits.append, time=_http.time.time))
    set_client_factory(lambda: httpx2.Client(follow_redirects=True, trust_env=False, verify=False))
    try:
        yield
    finally:
        set_client_factory(_http.default_client_factory)


@contextmanager
def bench(folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Bench]:
    """A machine with a tiny release beside a Hub that is watched at every request.

    In the end no token may stand in a log, a message, a traceback or a file that the push left.
    """
    caplog.set_level(logging.INFO)
    with HubServer(folder / "hub") as server:
        made = Bench(server, tiny_release(folder / "release"))
        server.watchers.append(made.watch)
        with client(monkeypatch, made.waits):
            yield made
        made.said += [record.getMessage() for record in caplog.get_records("call")]
        made.said += [path.read_text(errors="replace") for path in made.folder.rglob("*") if path.is_file()]
        assert not [text for text in made.said if any(token in text for token in server.accounts)]
    shutil.rmtree(folder / "hub")
