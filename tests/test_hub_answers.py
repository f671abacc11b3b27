"""What is no answer of the Hub's is told from one, a refusal is read by its words, and a proxy on the way is named."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from release import hub
from release.errors import HubFailed, HubUnreachable
from release.hub.faults import refusal
from release.sources import contact, proxies, refusals
from tests.hub_faults import API, BATCH, CARD, COMMIT, CREATE, INFO, PREUPLOAD, SETTINGS, TREE
from tests.pushing import ID, KINDS, Bench, bench, contents, on_hub

PAGE = "<!doctype html><html><body>Log in to this network</body></html>"
BODIES = {
    "a page": PAGE,
    "an empty object": "{}",
    "a list": "[]",
    "nothing": "",
    "a number": "7",
    "a text": '"yes"',
    "cut short": '{"id": "ada/ti',
    "null": "null",
    "deep": "[" * 5000,
    "wrong kinds": json.dumps({"id": 7, "sha": {}, "private": "no", "name": [], "url": None, "files": {}, "stage": 1}),
}
REQUESTS = {
    "look": ("GET", INFO),
    "list": ("GET", TREE),
    "create": ("POST", CREATE),
    "announce": ("POST", PREUPLOAD),
    "check the card": ("POST", CARD),
    "where large files go": ("POST", BATCH),
    "commit": ("POST", COMMIT),
    "show": ("PUT", SETTINGS),
    "refs": ("GET", f"{API}/refs"),
    "runtime": ("GET", f"/api/spaces/{ID}/runtime"),
    "secrets": ("GET", f"/api/spaces/{ID}/secrets"),
    "tag": ("POST", f"{API}/tag/"),
    "history": ("GET", f"{API}/commits/"),
}


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Bench]:
    with bench(tmp_path, monkeypatch, caplog) as made:
        yield made
        assert not made.early


def some(body: str) -> object:
    """Of the quick suite are the two that a network answers most often."""
    return body if body in ("a page", "an empty object") else pytest.param(body, marks=pytest.mark.long)


@pytest.mark.quick_rows(5)
@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("body", [some(body) for body in BODIES])
def test_whatever_answers_in_the_hubs_place_ends_in_one_message_and_the_rerun_ends_whole(
    at: Bench, body: str, request_name: str
) -> None:
    method, path = REQUESTS[request_name]
    at.fault(method, path.replace("{kinds}", "models").replace("{git}", ""), action=200, body=BODIES[body])
    said = at.outcome()  # nothing but a ReleaseError is caught there
    assert "\n\n" not in said
    assert len(said) < 2000
    at.hub.faults.clear()
    at.push()
    for part, kind in KINDS.items():
        assert on_hub(at.hub.store, kind) == contents(at.folder / part)
        assert not at.repo(kind).private
    assert not at.push().changed


@pytest.mark.parametrize("body", BODIES)
def test_the_first_request_of_all_is_answered_by_somebody_else(at: Bench, body: str) -> None:
    at.fault("GET", "/whoami", action=200, body=BODIES[body])
    with pytest.raises((HubFailed, HubUnreachable)) as caught:
        hub.login(client=at.client)
    assert (caught.value.exit_code in (2, 3), "\n\n" in str(caught.value)) == (True, False)


WORDS = [
    (403, "Private repository storage limit reached", "", "no more storage", "--to"),
    (403, "Public repositories are not allowed in this organization", "", "does not allow that model", "--private"),
    (403, "You must assign this repository to a resource group", "", "resource group", "--resource-group"),
    (403, "Gating is not included in your plan", "", "a gate before", "--gated"),
    (403, "Your IP address is not allowed", "", "network address", "VPN"),
    (403, "Please sign in through SSO", "", "a login of its own", "hf auth login"),
    (403, "This is forbidden by the organization's policy", "", "A rule of lab", "--to"),
    (403, "Upgrade to PRO", "", "The plan of lab", "--to"),
    (403, "", "PUT /lfs/abc", "it has expired", "clock"),
    (403, "", "", "may not write", "hf auth login"),
    (402, "", "POST /api/repos/create", "Gradio Spaces on free hardware", "--no-space"),
    (402, "", "POST /api/spaces/lab/x/hardware", "on this hardware", "--space-hardware"),
    (402, "A payment method is required", "", "a way to pay", "cpu-basic"),
    (405, "", "", "mirror", "HF_ENDPOINT"),
    (403, "This Hub is read-only", "", "mirror", "HF_ENDPOINT"),
    (403, "Discussions are disabled for this repo", "", "switched off", "--pr"),
    (404, "", "POST /lab/x.git/info/lfs/verify", "did not arrive", "sent once more"),
    (404, "", "", "is gone, or not yours", "Check the name"),
    (511, "", "", "asks for a login", "browser"),
    (599, "", "", "answered 599", "in a while"),
]


@pytest.mark.parametrize(("status", "words", "request_line", "said", "way"), WORDS)
def test_a_refusal_is_told_by_its_words_and_its_remedy_fits(
    status: int, words: str, request_line: str, said: str, way: str
) -> None:
    found, remedy = refusals.meaning(status, words, request_line, "model", "lab/x", "https://hub/lab/x")
    assert said in found
    assert way in remedy
    assert words in found


@pytest.mark.parametrize("row", [*refusals.BY_WORDS, *refusals.BY_STATUS], ids=lambda row: row.said[:30])
def test_every_refusal_can_be_filled_in(row: refusals.HubRefusal) -> None:
    facts = {"kind": "Space", "id": "lab/x", "owner": "lab", "page": "P", "status": 403}
    assert not re.search("[{}]", row.said.format_map(facts) + row.remedy.format_map(facts))


NO_PROXY = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in NO_PROXY:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("name", ["all_proxy", "ALL_PROXY", "https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"])
@pytest.mark.parametrize("value", ["htp://me:secret@x:1", "ftp://x", "http://[", "http://", "socks9://x"])
def test_a_variable_that_names_no_usable_proxy_is_named_without_its_login(
    name: str, value: str, no_proxy: pytest.MonkeyPatch
) -> None:
    assert proxies.unusable() is None
    no_proxy.setenv(name, value)
    error = proxies.unusable()
    assert error is not None
    assert name in str(error)
    assert "secret" not in str(error)


def test_a_proxy_that_is_dead_is_named_where_nobody_answers(no_proxy: pytest.MonkeyPatch) -> None:
    assert "proxy" not in str(contact.unreachable("ConnectError"))
    no_proxy.setenv("ALL_PROXY", "http://me:secret@127.0.0.1:9")
    for said in (str(contact.unreachable("ConnectError")), refusal(ConnectionError("gone"), "model", ID, "P")[0]):
        assert "ALL_PROXY" in said
        assert "secret" not in said
