"""Scripts of a user's own process, with a Hub in reach and nothing of this process in the way."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.hub import HubServer
from tests.hub.state import Repo

ROOT = Path(__file__).parent.parent

PRELUDE = """
import json, os, sys, traceback
from pathlib import Path
from release import hub
from release.errors import ReleaseError
from release.progress import Console
from release.sources import hub as reading

model, space = Path(sys.argv[1]) / "model", Path(sys.argv[1]) / "space"

LINE = hub.HubClient(waits=(0, 0), poll=0.01)

def push(console=Console(), space=space, **ways):
    upload = hub.Upload(model, space, "ada/tiny", Path(sys.argv[1]) / "work")
    return hub.push(upload, hub.PublishOptions(**ways), console, LINE)

def tell(action):
    try:
        told = action()
    except ReleaseError as error:
        traceback.print_exc()
        told = {"error": type(error).__name__, "text": str(error), "exit": error.exit_code}
    print(json.dumps(getattr(told, "__dict__", told), default=str))
"""
"""What every script begins with. An error's whole chain goes to stderr, where a token must not appear either."""


@dataclass(frozen=True)
class World:
    """A Hub, a release to upload, and a cache of its own for the client."""

    hub: HubServer
    folder: Path

    def environment(self, **changes: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
        ours = {
            "HF_ENDPOINT": self.hub.url,
            "HF_TOKEN": self.hub.token,
            "HF_HOME": str(self.folder / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "1",
            "PYTHONPATH": str(ROOT),
        }
        return kept | ours | changes

    def start(self, script: str, given: int | None = None, **changes: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", PRELUDE + script, str(self.folder)]
        env, pipe = self.environment(**changes), subprocess.PIPE
        return subprocess.Popen(command, env=env, stdin=given, stdout=pipe, stderr=pipe, text=True)

    def told(self, process: "subprocess.Popen[str]") -> list[dict[str, Any]]:
        """Return what a script told, once it ended well and without a token in anything it wrote."""
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert "UserWarning" not in err
        for token in (*self.hub.accounts, "hf_wrong"):
            assert token not in out + err
        return [json.loads(line) for line in out.splitlines()]

    def run(self, script: str, **changes: str) -> list[dict[str, Any]]:
        return self.told(self.start(script, **changes))

    def push(self, **changes: str) -> dict[str, Any]:
        (told,) = self.run("tell(push)", **changes)
        return told

    def repo(self, kind: str = "models", repo_id: str = "ada/tiny") -> Repo:
        repo = self.hub.store.repo(kind, repo_id)
        assert repo is not None
        return repo

    def commits(self, kind: str) -> int:
        return len(list(self.repo(kind).folder.glob("*.json"))) - 1

    def asked(self, method: str, part: str) -> int:
        return sum(seen.method == method and part in seen.path for seen in self.hub.seen)
