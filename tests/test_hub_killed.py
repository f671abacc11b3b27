"""A push that is killed at any moment: the rerun ends in one commit on main, with the right bytes."""

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import HubServer
from tests.hub_world import World
from tests.pushing import KINDS, contents, on_hub, tiny_release

PUSH = """
print(json.dumps("ready"), flush=True)
tell(push)
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    tiny_release(tmp_path)
    for number in range(4):
        (tmp_path / "model" / f"model-{number}.safetensors").write_bytes(random.Random(number).randbytes(8 << 20))
    with HubServer(tmp_path / "hub") as hub:
        yield World(hub, tmp_path)


def started(world: World, path: str) -> "subprocess.Popen[str]":
    """Start a push, and return once its imports are behind it."""
    process = world.start(PUSH, HF_HUB_DISABLE_XET="" if path == "xet" else "1")
    assert process.stdout is not None
    process.stdout.readline()
    return process


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


def kill_and_finish(world: World, path: str, moment: float) -> bool:
    """Kill a push `moment` seconds after it began, run it again, and return whether the kill found it at work."""
    process = started(world, path)
    time.sleep(moment)
    process.kill()
    struck = process.wait() != 0
    process.communicate()
    half = [repo for kind in KINDS.values() if (repo := world.hub.store.repo(kind, "ada/tiny")) and not repo.private]
    for repo in half:
        assert on_hub(world.hub.store, repo.kind) == contents(
            world.folder / ("model" if repo.kind == "models" else "space")
        )
    (told,) = world.told(started(world, path))
    assert told["model_commit"] == world.repo().branches["main"]
    assert is_whole(world)
    return struck


@pytest.mark.parametrize("path", ["lfs", "xet"])
def test_a_push_killed_at_work_ends_whole_when_run_again(world: World, path: str) -> None:
    assert kill_and_finish(world, path, 0.25)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_fifty_kills_at_random_moments_each_end_in_one_commit_with_the_right_bytes(world: World) -> None:
    began = time.monotonic()
    world.told(started(world, "lfs"))
    whole, chance, struck = time.monotonic() - began, random.Random(11), 0
    for number in range(50):
        forget(world)
        struck += kill_and_finish(world, ("lfs", "xet")[number % 2], chance.uniform(0, whole / 2))
    assert struck > 25
    print(f"{struck} of 50 kills found a push at work")
