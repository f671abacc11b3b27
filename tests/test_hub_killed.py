"""A push that is killed at any moment: the rerun ends in one commit on main, with the right bytes.

Each push is a fork of a process that knows this Hub and has imported everything, and that stays as it is.
"""

import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.hub import HubServer
from tests.hub_world import World
from tests.pushing import KINDS, contents, on_hub, tiny_release

PUSHES = """
import signal, time
for line in sys.stdin:
    child = os.fork()
    if not child:
        tell(push)
        sys.stdout.flush()
        os._exit(0)
    if moment := json.loads(line):
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
    print(json.dumps({"ended": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}), flush=True)
"""
"""Pushes once for each line, which says after how many seconds it is killed, if it is; tells what came of it."""
Told = dict[str, Any]
Push = Callable[..., tuple[int, list[Told]]]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    tiny_release(tmp_path)
    for number in range(4):
        (tmp_path / "model" / f"model-{number}.safetensors").write_bytes(random.Random(number).randbytes(8 << 20))
    with HubServer(tmp_path / "hub") as hub:
        yield World(hub, tmp_path)


@contextmanager
def pushes(world: World, *paths: str) -> Iterator[Push]:
    """Pushes of one world: given a way and the moment of a kill, 0 for none, returns exit code and what was told."""
    switch = {"lfs": "1", "xet": ""}
    parents = {path: world.start(PUSHES, subprocess.PIPE, HF_HUB_DISABLE_XET=switch[path]) for path in paths}

    def push(path: str, moment: float = 0) -> tuple[int, list[Told]]:
        given, said = parents[path].stdin, parents[path].stdout
        assert given is not None
        assert said is not None
        given.write(f"{moment}\n")
        given.flush()
        told = [json.loads(said.readline())]
        while "ended" not in told[-1]:
            told.append(json.loads(said.readline()))
        assert not [token for token in world.hub.accounts if token in json.dumps(told)]
        return told[-1]["ended"], told[:-1]

    yield push
    assert [world.told(parent) for parent in parents.values()] == [[] for _ in parents]


def forget(world: World) -> None:
    """Take the Hub and the journal back to where nothing was published."""
    for name in ("hub/repos", "hub/blobs", "hub/xet", "work", "home"):
        shutil.rmtree(world.folder / name, ignore_errors=True)
    (world.folder / "hub" / "blobs").mkdir()


def is_whole(world: World) -> bool:
    repos = [world.hub.store.repo(kind, "ada/tiny") for kind in KINDS.values()]
    return all(
        repo is not None
        and not repo.private
        and on_hub(world.hub.store, repo.kind) == contents(world.folder / part)
        and repo.resolve(repo.resolve("main").parent or "").parent is None
        for repo, part in zip(repos, KINDS, strict=True)
    )


def kill_and_finish(world: World, push: Push, path: str, moment: float) -> bool:
    """Kill a push `moment` seconds after it began, run it again, and return whether the kill found it at work."""
    struck = push(path, moment)[0] == -signal.SIGKILL
    half = [repo for kind in KINDS.values() if (repo := world.hub.store.repo(kind, "ada/tiny")) and not repo.private]
    for repo in half:
        assert on_hub(world.hub.store, repo.kind) == contents(
            world.folder / ("model" if repo.kind == "models" else "space")
        )
    ended, (told,) = push(path)
    assert ended == 0
    assert told["model_commit"] == world.repo().branches["main"]
    assert is_whole(world)
    return struck


@pytest.mark.parametrize("path", ["xet", pytest.param("lfs", marks=pytest.mark.long)])
def test_a_push_killed_at_work_ends_whole_when_run_again(world: World, path: str) -> None:
    with pushes(world, path) as push:
        assert kill_and_finish(world, push, path, 0.25)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_twenty_kills_at_random_moments_each_end_in_one_commit_with_the_right_bytes(world: World) -> None:
    chance, struck = random.Random(11), 0
    with pushes(world, "lfs", "xet") as push:
        push("lfs")  # and its imports are behind it
        forget(world)
        began = time.monotonic()
        assert push("lfs")[0] == 0
        whole = time.monotonic() - began
        for number in range(20):
            forget(world)
            struck += kill_and_finish(world, push, ("lfs", "xet")[number % 2], chance.uniform(0, whole))
    assert struck > 10
    print(f"{struck} of 20 kills found a push at work")
