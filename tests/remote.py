"""A user's machine with a Hub in reach: one process that runs command lines, and models laid on the Hub."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.hub import HubServer

ROOT = Path(__file__).parent.parent
SHELL = """
import contextlib, io, json, os, sys
from release.__main__ import run
for line in sys.stdin:
    asked = json.loads(line)
    os.environ["HF_TOKEN"] = asked["token"]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(asked["words"])
    print(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}), flush=True)
"""
"""Runs one command line after the other, so that libraries are loaded once."""


@dataclass(frozen=True)
class Client:
    """A machine whose home holds nothing at first."""

    hub: HubServer
    home: Path
    shell: "subprocess.Popen[str]"

    def run(self, *words: str, token: str = "") -> dict[str, Any]:
        """Run one command line and return its exit code and what it wrote."""
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        self.shell.stdin.write(json.dumps({"words": words, "token": token}) + "\n")
        self.shell.stdin.flush()
        said: dict[str, Any] = json.loads(self.shell.stdout.readline())
        assert "Traceback" not in said["err"]
        return said

    def verify(self, *words: str, token: str = "") -> tuple[int, dict[str, Any]]:
        """Run `release verify` and return its exit code and its JSON."""
        said = self.run("verify", *words, "--json", token=token)
        assert said["out"], said["err"]
        return said["code"], json.loads(said["out"])

    def kept(self) -> list[str]:
        """Every file that lies on the machine by now."""
        return sorted(p.relative_to(self.home).as_posix() for p in self.home.rglob("*") if p.is_file())


@contextmanager
def client(folder: Path, **changes: str) -> Iterator[Client]:
    """Start a Hub and a machine that knows it, whose environment has these changes."""
    home = folder / "home"
    (home / "tmp").mkdir(parents=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    with HubServer(folder / "hub") as hub:
        ours = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home / "hf"), "RELEASE_CACHE": str(home / "cache")}
        env = kept | ours | {"TMPDIR": str(home / "tmp"), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        env |= changes
        command, pipe = [sys.executable, "-c", SHELL], subprocess.PIPE
        with subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True, cwd=home) as shell:
            yield Client(hub, home, shell)
            assert shell.stdin is not None
            shell.stdin.close()


def lay(hub: HubServer, repo_id: str, folder: Path, private: bool = False, **texts: str) -> str:
    """Lay a folder's files on the Hub as one commit, with some texts in place of its own, and return the commit."""
    repo = hub.store.repo("models", repo_id) or hub.store.create("models", repo_id, private, None)
    contents = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    contents |= {name: text.encode() for name, text in texts.items()}
    entries = {n: hub.store.keep([data], lfs=n.endswith((".safetensors", ".parquet"))) for n, data in contents.items()}
    repo.branches["main"] = repo.record(repo.branches["main"], "laid", "", entries)
    repo.save()
    return repo.branches["main"]


def alter(hub: HubServer, repo_id: str, name: str, place: int) -> None:
    """Turn one bit of a file that lies on the Hub."""
    repo = hub.store.repo("models", repo_id)
    assert repo is not None
    path = hub.store.blob(repo.resolve("main").files[name].sha256)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
