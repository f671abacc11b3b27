"""One limit for all processes of a machine: what the Hub says is left is shared, and nobody asks in vain."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import close_session, get_session

from release.hub import HubClient
from release.sources import contact, limit
from release.sources.limit import State, Window, kind_of, merged, take, windows
from tests.hub import HubServer
from tests.hub_world import World

SIX, ALLOWED, SECONDS = 6, 40, 3.0
ASK = """
import sys
from huggingface_hub import HfApi, close_session, get_session
from release.hub import HubClient
from release.sources.contact import patience
patience()
line = HubClient()
for _ in range(int(sys.argv[1])):
    line.ask(lambda: HfApi().repo_info("ada/m"))
print("whole")
"""


def processes(hub: HubServer, folder: Path, cache: Path, each: int = 20) -> list["subprocess.Popen[str]"]:
    env = World(hub, folder).environment(RELEASE_CACHE=str(cache))
    command = [sys.executable, "-c", ASK, str(each)]
    pipe = subprocess.PIPE
    return [subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True) for _ in range(SIX)]


@pytest.mark.long
def test_six_processes_at_once_end_whole_and_are_hardly_ever_refused(tmp_path):
    with HubServer(tmp_path / "hub") as hub:
        hub.store.create("models", "ada/m", False, None)
        hub.site.limits["api"] = (ALLOWED, SECONDS)
        for process in processes(hub, tmp_path, tmp_path / "cache"):
            out, err = process.communicate(timeout=120)
            assert (process.returncode, out) == (0, "whole\n"), err
        answered = sum(seen.status == 200 for seen in hub.seen)
        assert answered == SIX * 20  # thrice what one window allows
        assert hub.limits.refused <= SIX
    for file in (tmp_path / "cache").rglob("*"):
        assert hub.token not in file.name + (file.read_text() if file.is_file() else "")


def test_a_session_that_the_client_makes_anew_takes_part_and_is_patient_too():
    HubClient().once(lambda: None)
    close_session()  # as the client does where a connection cannot be made
    HubClient().once(lambda: None)
    hooks = get_session().event_hooks["request"]
    assert [type(hook.__self__) for hook in hooks if hasattr(hook, "__self__")] == [limit.Shared]
    assert get_session().timeout.read == contact.WORK_WAIT


NOW = 1_000_000.0
TOLD = [
    ({}, {}),
    ({"RateLimit": "nonsense"}, {}),
    ({"RateLimit": '"api";r=3;t=7'}, {"api": Window(3, NOW + 7)}),
    (
        {"RateLimit": '"api";r=3;t=7, "commits";r=0;t=9', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'},
        {"api": Window(3, NOW + 7, 500, 300.0), "commits": Window(0, NOW + 9)},
    ),
    ({"RateLimit": '"api";r=99999999999999;t=7'}, {}),
]


@pytest.mark.parametrize(("headers", "told"), TOLD)
def test_headers_are_read_as_the_hub_words_them(headers, told):
    assert windows(headers, NOW) == told


KINDS = {
    "/api/models/a/b/commit/main": "commit",
    "/api/models/a/b/tree/main": "api",
    "/a/b/resolve/main/x": "file",
    "/a/b.git/info/lfs/objects/batch": "other",
}


@pytest.mark.parametrize(("path", "kind"), KINDS.items())
def test_a_request_counts_by_its_address(path, kind):
    assert kind_of(path) == kind


def test_within_a_window_the_lower_number_holds_and_a_new_window_begins_anew():
    known = Window(5, NOW + 10, 500, 300.0)
    assert merged(known, Window(8, NOW + 11, 500, 300.0)).left == 5
    assert merged(known, Window(2, NOW + 9, 500, 300.0)).left == 2
    assert merged(known, Window(499, NOW + 310, 500, 300.0)).left == 499
    take(known, NOW + 11)
    assert (known.left, known.ends) == (499, NOW + 311)


BROKEN = [
    b"",
    b"{",
    b"[]",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"windows": {"api": {"left": 1}}, "counts_for": {}}',
    b'{"windows": {}}',
    b'{"windows": {"api": {"left": 0, "ends": 1e300, "quota": 1, "seconds": 3}}, "counts_for": {"api": ["api"]}}',
    b'{"windows": {"api": {"left": 0, "ends": NaN, "quota": 1, "seconds": 3}}, "counts_for": {"api": ["api"]}}',
    b'{"windows": {"api": {"left": 0, "ends": "x", "quota": 1, "seconds": 3}}, "counts_for": {"api": ["api"]}}',
]


@pytest.mark.parametrize("content", BROKEN)
def test_a_file_that_is_broken_or_tells_what_cannot_be_counts_as_absent(content, tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    assert limit.read(path, time.time()) == State()


def test_a_window_that_has_ended_holds_nobody_up(tmp_path):
    path = tmp_path / "x.json"
    limit.write(path, State({"api": Window(0, time.time() - 1, 5, 3.0)}, {"api": ["api"]}))
    shared = limit.Shared(tmp_path, limit.Console(quiet=True))
    assert shared._taken(path, "api", time.time() + 300) == 0
    assert json.loads(path.read_text())["windows"]["api"]["left"] == 4


def test_what_others_learned_is_waited_for_and_ones_own_refusal_is_left_to_ones_own_patience(tmp_path):
    path, ends = tmp_path / "x.json", time.time() + 2
    limit.write(path, State({"api": Window(0, ends, 5, 3.0)}, {"api": ["api"]}))
    shared = limit.Shared(tmp_path, limit.Console(quiet=True))
    assert 0 < shared._taken(path, "api", time.time() + 300) <= 2.1
    assert shared._taken(path, "file", time.time() + 300) == 0
    assert shared._taken(path, "api", time.time() + 1) == 0
    shared.refused_until = ends
    assert shared._taken(path, "api", time.time() + 300) == 0
