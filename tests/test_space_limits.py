"""What a visitor of the Space may send: anything else is answered in one line, and the log holds no traceback."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.space_fixtures import app_command, await_page, checkpoint, free_port, module, variable

pytestmark = pytest.mark.long  # the app is started, and asked over HTTP

limits = module("limits")

JSON = {"content-type": "application/json"}
PASSWD = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
FETCHED = {"path": "x", "url": "http://127.0.0.1:1/x", "meta": {"_type": "gradio.FileData"}}
WRONG: dict[str, Any] = {
    "nothing": None,
    "a number": 5,
    "a flag": True,
    "a list": [],
    "an object": {},
    "a file": PASSWD,
    "a file to fetch": FETCHED,
    "a list of files": [PASSWD],
    "a file inside": {"a": PASSWD},
    "a long list": [0] * 1000,
    "a large number": 10**400,
    "half a character": "\ud800",
    "markup": "<script>",
}
CALLS = {"compare": ["why", 0.0, 4, 42, None, None, None, 1.0], "items": ["any", "any", None, 20, 0]}


@dataclass
class App:
    """A running app and what it said."""

    url: str
    log: Path

    def send(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        asked = urllib.request.Request(f"{self.url}/gradio_api{path}", body, headers or JSON, method="POST")
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def call(self, name: str, values: list[Any]) -> str:
        """Ask an endpoint and return the end of what it streams, or its refusal."""
        code, content = self.send(f"/call/{name}", json.dumps({"data": values}).encode())
        if code != 200:
            return content.decode()
        event = json.loads(content)["event_id"]
        with urllib.request.urlopen(f"{self.url}/gradio_api/call/{name}/{event}", timeout=60) as answer:
            return answer.read().decode()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    yield from started(tmp_path_factory.mktemp("app"), {"COMPARE_QUESTIONS_PER_MINUTE": "100000"})


def started(folder: Path, more: dict[str, str]) -> Iterator[App]:
    models = variable(checkpoint(folder / "dense"), checkpoint(folder / "pruned", zeroed=0.5))
    port = free_port()
    found = App(f"http://127.0.0.1:{port}", folder / "log")
    place = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), "COMPARE_MODELS": models}
    with found.log.open("wb") as log:
        process = subprocess.Popen(app_command(), env=os.environ | place | more, stdout=log, stderr=log)
    try:
        await_page(found.url, lambda: None if process.poll() is None else found.log.read_text())
        yield found
    finally:
        process.terminate()
        process.wait(timeout=20)
    assert "Traceback" not in found.log.read_text()


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("name", CALLS)
def test_a_value_of_a_wrong_type_is_answered_in_one_line_wherever_it_stands(app: App, name: str, kind: str) -> None:
    for place in range(len(CALLS[name])):
        values = [*CALLS[name]]
        values[place] = WRONG[kind]
        said = app.call(name, values)
        assert "event: complete" in said or "rror" in said or "detail" in said
        assert "/etc/" not in said.replace('"/etc/passwd"', "")
    assert "Traceback" not in app.log.read_text()


@pytest.mark.long
def test_no_event_of_the_page_prints_a_traceback_whatever_it_is_sent(app: App) -> None:
    with urllib.request.urlopen(f"{app.url}/config", timeout=20) as answer:
        events = json.loads(answer.read())["dependencies"]
    assert len(events) > 20
    for event in events:
        count = len(event["inputs"])
        rows = [[value] * count for value in WRONG.values()] + [[], [None] * (count + 3)]
        for row in rows:
            body = json.dumps({"data": row, "fn_index": event["id"], "session_hash": f"s{event['id']}"}).encode()
            for path in ("/run/predict", "/queue/join"):
                code, content = app.send(path, body)
                assert code in (200, 400, 404, 422, 500, 503)
                assert len(content) < 2_000_000
    time.sleep(2)
    assert "Traceback" not in app.log.read_text()


BODIES = {
    "empty": b"",
    "no JSON": b"x",
    "a list": b"[]",
    "null": b"null",
    "no values": b'{"data": null}',
    "values of a wrong type": b'{"data": {"a": 1}}',
    "deep": b'{"data": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "unknown event": b'{"data": [], "fn_index": 99999}',
    "negative event": b'{"data": [], "fn_index": -1}',
    "event of a wrong type": b'{"data": [], "fn_index": "x"}',
    "session of a wrong type": b'{"data": [], "fn_index": 0, "session_hash": [1]}',
    "not UTF-8": b'{"data": ["\xff"]}',
    "long": b'{"data": ["' + b"x" * (3 << 20) + b'"]}',
}
PATHS = ("/call/compare", "/call/nothing", "/queue/join", "/run/predict", "/run/compare", "/reset", "/cancel")


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("path", PATHS)
def test_a_request_that_is_none_is_answered_in_one_line(app: App, path: str, kind: str) -> None:
    code, content = app.send(path, BODIES[kind])
    assert code in (200, 400, 404, 413, 422, 500)
    assert (code == 413) is (kind == "long")
    assert b"Traceback" not in content
    assert "Traceback" not in app.log.read_text()


@pytest.mark.parametrize("path", ["/upload", "/upload/", "/upload?upload_id=x", "/component_server"])
@pytest.mark.parametrize("size", [1, 60_000_000])
def test_files_are_not_taken(app: App, path: str, size: int) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="f"\r\n\r\n'
    body = head + b"x" * size + b"\r\n--b--\r\n"
    code, content = app.send(path, body, {"content-type": "multipart/form-data; boundary=b"})
    assert (code, b"takes no files" in content) == (403, True)


def test_a_question_is_still_answered(app: App) -> None:
    assert "event: complete" in app.call("compare", CALLS["compare"])


@pytest.mark.long
def test_one_visitor_may_not_fill_the_queue(tmp_path: Path) -> None:
    running = started(tmp_path, {})
    app = next(running)
    body = json.dumps({"data": CALLS["items"]}).encode()
    answers = [app.send("/call/items", body) for _ in range(30)]
    codes = [code for code, _ in answers]
    assert codes[0] == 200
    assert codes.count(429) >= 30 - limits.BURST - 5
    refused = next(content for code, content in answers if code == 429)
    assert "Ask again in" in json.loads(refused)["detail"]
    with urllib.request.urlopen(app.url, timeout=20) as page:
        assert page.status == 200
    assert next(running, None) is None


def test_an_allowance_is_each_visitors_own_and_comes_back() -> None:
    allowance = limits.Allowance(burst=3, per_minute=30)
    assert [allowance.wait("a", 0.0) for _ in range(4)] == [0, 0, 0, 2]
    assert allowance.wait("b", 0.0) == 0
    assert allowance.wait("a", 1.0) == 1
    assert allowance.wait("a", 2.0) == 0
    assert allowance.wait("a", 1000.0) == 0


def test_only_so_many_visitors_are_remembered() -> None:
    allowance = limits.Allowance()
    for number in range(limits.MOST_VISITORS + 10):
        allowance.wait(str(number), 0.0)
    assert len(allowance._left) == limits.MOST_VISITORS


@pytest.mark.parametrize(("space", "address"), [("", "10.0.0.1"), ("me/space", "2.2.2.2")])
def test_a_visitor_cannot_choose_the_address_he_is_counted_by(
    space: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACE_ID", space)
    scope = {"client": ("10.0.0.1", 5), "headers": [(b"x-forwarded-for", b"9.9.9.9, 2.2.2.2")]}
    assert limits.address(scope) == address
