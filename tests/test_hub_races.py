"""Processes that publish under one name at the same time: one release comes out, whole, and the others are told."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import Fault, HubServer
from tests.hub_world import PRELUDE, World
from tests.pushing import contents, on_hub, tiny_release

PUSH = """
print(json.dumps("ready"), flush=True)
sys.stdin.readline()
tell(lambda: push(show_unasked=True))
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    with HubServer(tmp_path / "hub") as server:
        yield server


def standing_by(hub: HubServer, folder: Path) -> "subprocess.Popen[str]":
    """A process with a release of its own, all imports behind it, that pushes when it is told."""
    tiny_release(folder)
    (folder / "model" / "config.json").write_text(json.dumps({"model_type": folder.name}))
    (folder / "model" / "model.safetensors").write_bytes(folder.name.encode() * 4000)
    world = World(hub, folder)
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + PUSH, str(folder)],
        env=world.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == '"ready"\n'
    return process


@pytest.mark.long
@pytest.mark.parametrize("count", [2, 6])
def test_of_several_pushes_that_begin_before_there_is_a_repository_one_comes_out_whole(
    hub: HubServer, tmp_path: Path, count: int
) -> None:
    # None is made before all have seen that there is none: a push that begins after another ended is no race.
    hub.faults.append(Fault("POST", "/repos/create", times=count, action=threading.Barrier(count, timeout=120).wait))
    folders = [tmp_path / f"release{number}" for number in range(count)]
    processes = [standing_by(hub, folder) for folder in folders]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [json.loads(process.communicate(timeout=240)[0]) for process in processes]
    won = [folder for folder, each in zip(folders, told, strict=True) if "error" not in each]
    print(f"{len(won)} of {count} came out whole; the others: {sorted(each.get('text', '')[:90] for each in told)}")
    assert len(won) <= 1, told
    for each in told:
        assert "error" not in each or each["exit"] in (1, 2, 3), told
        assert "error" not in each or "\n\n" not in each["text"]
    held = on_hub(hub.store, "models", repo_id="ada/tiny")
    if won:
        assert held == contents(won[0] / "model")
    else:  # whoever came first was overtaken by an empty repository: nothing is shown, and any of them ends whole now
        repo = hub.store.repo("models", "ada/tiny")
        assert repo is None or repo.private
    last = World(hub, (won or folders)[0])
    assert "error" not in last.run("tell(lambda: push(show_unasked=True))")[0]
    assert on_hub(hub.store, "models", repo_id="ada/tiny") == contents(last.folder / "model")
