"""The page's own HTML holds the first stored comparison, so that it stands there before any script ran."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from release.card.said import said
from release.schema.record import FILE_NAME
from tests.records import example_answers, example_measurements, example_record
from tests.space_fixtures import module

first, lineup = map(module, ("first", "lineup"))

PAGE = b'<html><head></head><body\n\tstyle="x">Gradio\'s own</body></html>'
HOSTILE = "</div></script><script>alert(1)</script><img src=x onerror=alert(1)>"


def models(folder: Path, **changes: Any) -> Any:
    """A line-up of one model that is nothing but its record."""
    record = example_record(measurements=example_measurements(answers=example_answers()))
    known = json.loads(record.model_copy(update={"said": said(record)}).to_json())
    for asked in known["measurements"]["answers"]["asked"]:
        asked |= changes
    (folder / FILE_NAME).write_text(json.dumps(known), encoding="utf-8")
    return lineup.Lineup(lineup.Source("me/dense"), (lineup.Source("me/pruned", str(folder)),))


def answered(html: str, path: str, body: bytes = PAGE, method: str = "GET") -> tuple[dict[str, Any], bytes]:
    """What a visitor gets of an app that answers everything with the same page, in two pieces."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/html"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body[:20], "more_body": True})
        await send({"type": "http.response.body", "body": body[20:]})

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(first.FirstPaint(app, html)({"type": "http", "method": method, "path": path}, None, send))
    return dict(sent[0]["headers"]), b"".join(each["body"] for each in sent[1:])


def test_the_page_begins_with_what_pruning_did_and_the_first_stored_comparison(tmp_path: Path) -> None:
    headers, body = answered(first.first_screen(models(tmp_path), live=True), "/")
    text = body.decode()
    assert int(headers[b"content-length"]) == len(body)
    assert text.index("<body") < text.index("The sky<mark> scatters</mark> blue light.") < text.index("Gradio's own")
    for words in ("Why is the sky blue?", "Both begin “The sky”", "Research only", "Pruning", "me/dense", "me/pruned"):
        assert words in text


@pytest.mark.parametrize(
    ("path", "body", "method"),
    [("/config", PAGE, "GET"), ("/", b'{"no": "page"}' * 9, "GET"), ("/", PAGE, "POST")],
)
def test_other_answers_stay_as_they_are(path: str, body: bytes, method: str) -> None:
    headers, found = answered("<p>more</p>", path, body, method)
    assert (found, int(headers[b"content-length"])) == (body, len(body))


def test_a_release_without_stored_answers_leaves_the_page_as_it_is(tmp_path: Path) -> None:
    html = first.first_screen(lineup.Lineup(None, (lineup.Source("me/none", str(tmp_path)),)), live=True)
    assert html == ""
    assert answered(html, "/")[1] == PAGE


def test_nothing_of_a_record_is_markup(tmp_path: Path) -> None:
    answer = {"text": HOSTILE, "tokens": 3, "ended": True}
    html = first.first_screen(models(tmp_path, question=HOSTILE, dense=answer, pruned=answer, parting=None), live=True)
    assert html.count("<script>") == 1
    assert "<img" not in html
    assert "&lt;/script>" in html
