"""A user's machine whose every step is watched: files opened for writing, processes, connections, code that is run.

Python's audit hooks tell of each before it happens. What C++ and Rust write without asking Python is found by comparing
the disk before and after.
"""

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.hub import HubServer

ROOT = Path(__file__).parent.parent
PATIENCE = 40
"""Seconds that one command may take."""
SHELL = r"""
import contextlib, io, json, os, signal, sys, threading

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.rename": ((0, 2), (1, 3)), "os.link": ((1, 3),), "os.symlink": ((1, 2),), "os.mkdir": ((0, 2),),
           "os.remove": ((0, 1),), "os.rmdir": ((0, 1),), "os.truncate": ((0, None),), "os.chmod": ((0, 2),),
           "sqlite3.connect": ((0, None),)}
LIBRARIES = tuple(f"{folder}/" for folder in {sys.prefix, sys.base_prefix})
# What is read and run there by the thousand is no news; what is written there is.
# Event -> the places, in its arguments, of paths and of the folder that each is relative to.
events, busy = [], threading.local()

def whole(path, followed=True):
    folder, name = os.path.split(os.path.abspath(os.fsdecode(path)))
    return os.path.realpath(path) if followed else os.path.join(os.path.realpath(folder), name)

def note(kind, *what):
    events.append([kind, *what])

def library(path):
    return isinstance(path, str) and path.startswith(LIBRARIES) and "/../" not in path

def told(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        flags = args[2] if isinstance(args[2], int) else 0
        if flags & WRITES or not library(args[0]):
            note("write" if flags & WRITES else "read", whole(args[0]))
    elif event in CHANGES:
        for place, beside in CHANGES[event]:
            if isinstance(args[place], (str, bytes)):
                handle = args[beside] if beside is not None and len(args) > beside else -1
                folder = os.readlink(f"/proc/self/fd/{handle}") if handle >= 0 else ""
                note("change", whole(os.path.join(folder, os.fsdecode(args[place])), followed=False))
    elif event in ("subprocess.Popen", "os.exec", "os.posix_spawn"):
        words, environment = args[1], args[3 if event == "subprocess.Popen" else 2]
        known = os.environ if environment is None else environment
        note("process", [os.fsdecode(word) for word in words],
             {os.fsdecode(k): os.fsdecode(v) for k, v in known.items()})
    elif event == "os.system":
        note("process", [os.fsdecode(args[0])], dict(os.environ))
    elif event == "exec" and (name := getattr(args[0], "co_filename", "<")).startswith("/") and not library(name):
        note("run", whole(name))
    elif event == "pickle.find_class":
        note("unpickle", f"{args[0]}.{args[1]}")
    elif event == "socket.connect" and isinstance(args[1], tuple):
        note("connect", str(args[1][0]), args[1][1])

def hook(event, args):
    if not getattr(busy, "on", False):
        busy.on = True
        try:
            told(event, args)
        finally:
            busy.on = False

def late(*_):
    raise TimeoutError("the command took too long")

sys.addaudithook(hook)
signal.signal(signal.SIGALRM, late)
from release.__main__ import run
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what children write is no answer
for line in sys.stdin:
    asked, out, err = json.loads(line), io.StringIO(), io.StringIO()
    events.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["cwd"])
    signal.alarm(asked["patience"])
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run(asked["words"])
        except BaseException as error:
            code = f"{type(error).__name__}: {error}"
    signal.alarm(0)
    told_all = {"code": code, "said": out.getvalue() + err.getvalue(), "events": events}
    print(json.dumps(told_all), file=answers, flush=True)
"""
"""Runs one command line after the other, so that libraries are loaded once."""


@dataclass(frozen=True)
class Seen:
    """What one command did.

    Attributes:
        code: Its exit code, or what it raised.
        said: All that it printed.
        events: Kind and particulars of each step, in order.
    """

    code: Any
    said: str
    events: list[list[Any]]

    def of(self, *kinds: str) -> Iterator[list[Any]]:
        """The particulars of the steps of some kinds."""
        return (particulars for kind, *particulars in self.events if kind in kinds)


@dataclass(frozen=True)
class Machine:
    """A user's machine.

    Attributes:
        home: Where everything lies that is the user's own, caches included.
    """

    hub: HubServer
    home: Path
    shell: "subprocess.Popen[str]"

    def run(self, words: Sequence[str], cwd: Path, **environment: str) -> Seen:
        """Run one command line in a folder."""
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        asked = {"words": list(words), "cwd": str(cwd), "environment": environment, "patience": PATIENCE}
        self.shell.stdin.write(json.dumps(asked) + "\n")
        self.shell.stdin.flush()
        line = self.shell.stdout.readline()
        assert line, f"the process died of {words}"
        found = json.loads(line)
        return Seen(found["code"], found["said"], found["events"])


@contextmanager
def machine(folder: Path, **environment: str) -> Iterator[Machine]:
    """Start a Hub and a machine that knows it, and is logged in to it by its environment and by its token file."""
    home = folder / "home"
    for name in ("tmp", "hf", "cache", "readings"):
        (home / name).mkdir(parents=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    with HubServer(folder / "hub") as hub:
        (home / "hf" / "token").write_text(hub.token)
        ours = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home / "hf"), "HF_TOKEN": hub.token, "HOME": str(home)}
        ours |= {"RELEASE_CACHE": str(home / "cache"), "RELEASE_READINGS": str(home / "readings")}
        ours |= {"RELEASE_CHECKS": str(home / "checks"), "XDG_CACHE_HOME": str(home / "xdg")}
        ours |= {"TMPDIR": str(home / "tmp"), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        ours |= {"HF_HUB_DISABLE_XET": "1", "PIP_NO_INDEX": "1"} | environment
        ours |= {"TORCHINDUCTOR_CACHE_DIR": str(home / "tmp" / "torch")}
        script = folder / "shell.py"  # a script, so that the working directory is not where Python looks for modules
        script.write_text(SHELL)
        pipe = subprocess.PIPE
        command = [sys.executable, str(script)]
        with subprocess.Popen(command, env=kept | ours, stdin=pipe, stdout=pipe, text=True, cwd=home) as shell:
            yield Machine(hub, home, shell)
            assert shell.stdin is not None
            shell.stdin.close()


def state(*folders: Path) -> dict[str, str]:
    """Path → what lies there, of everything below some folders; links are named, not followed."""
    return {str(path): _kind(path) for folder in folders for path in sorted(folder.rglob("*"))}


def _kind(path: Path) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f"link to {path.readlink()}"
    return hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(mode) else stat.filemode(mode)
