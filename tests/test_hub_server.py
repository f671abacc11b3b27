"""The test Hub's own laws: statuses, headers, and what it refuses."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.hub import Fault, HubServer
from tests.hub.spaces import End

LARGE = bytes(range(256)) * 40
OID = hashlib.sha256(LARGE).hexdigest()
CLIENT = httpx2.Client(trust_env=False, verify=False)
CARD = "---\nlicense: mit\n---\nA model.\n"
SPACE = "---\ntitle: t\nsdk: gradio\n---\n"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    """A Hub that holds the private model ada/m with one ordinary and one large file."""
    with HubServer(tmp_path / "hub") as hub:
        call(hub, "POST", "/api/repos/create", json={"name": "m", "visibility": "private"})
        upload(hub, "m", LARGE)
        assert commit(hub, {"a/b.txt": b"hello", "w.bin": None}).status_code == 200
        yield hub


def call(hub: HubServer, method: str, path: str, token: str | None = "", **options: Any) -> httpx2.Response:
    """Ask; the token is ada's unless another, or None, is given."""
    known = {} if token is None else {"Authorization": f"Bearer {token or hub.token}"}
    return CLIENT.request(method, hub.url + path, headers=known | options.pop("headers", {}), **options)


def upload(hub: HubServer, name: str, content: bytes) -> httpx2.Response:
    oid = hashlib.sha256(content).hexdigest()
    asked = {"operation": "upload", "hash_algo": "sha256", "objects": [{"oid": oid, "size": len(content)}]}
    placed = call(hub, "POST", f"/ada/{name}.git/info/lfs/objects/batch", json=asked).json()["objects"][0]
    return CLIENT.put(placed["actions"]["upload"]["href"], content=content)


def lines(files: dict[str, bytes | None], deleted: tuple[str, ...] = (), **header: str) -> bytes:
    """Write the lines of a commit; None stands for the large file."""
    operations: list[dict[str, object]] = [{"key": "header", "value": {"summary": "s", **header}}]
    for path, content in files.items():
        if content is None:
            value = {"path": path, "algo": "sha256", "oid": OID, "size": len(LARGE)}
            operations.append({"key": "lfsFile", "value": value})
        else:
            encoded = base64.b64encode(content).decode()
            operations.append({"key": "file", "value": {"path": path, "content": encoded, "encoding": "base64"}})
    operations += [{"key": "deletedFile", "value": {"path": path}} for path in deleted]
    return b"\n".join(json.dumps(line).encode() for line in operations)


def commit(
    hub: HubServer, files: dict[str, bytes | None], deleted: tuple[str, ...] = (), **header: str
) -> httpx2.Response:
    return call(hub, "POST", "/api/models/ada/m/commit/main", content=lines(files, deleted, **header))


def head(hub: HubServer) -> str:
    return str(call(hub, "GET", "/api/models/ada/m").json()["sha"])


OWNER, READER, OTHER, NOBODY, WRONG = "", HubServer.read_token, HubServer.other_token, None, "hf_wrong"
INFO, FILE, BIG = "/api/models/ada/m", "/ada/m/resolve/main/a/b.txt", "/ada/m/resolve/main/w.bin"

ANSWERS = [
    ("GET", "/api/whoami-v2", OWNER, None, 200, None),
    ("GET", "/api/whoami-v2", NOBODY, None, 401, None),
    ("GET", "/api/whoami-v2", WRONG, None, 401, None),
    ("POST", "/api/repos/create", OWNER, {"name": "n"}, 200, None),
    ("POST", "/api/repos/create", OWNER, {"name": "n", "organization": "lab"}, 200, None),
    ("POST", "/api/repos/create", OWNER, {"name": "n", "type": "space", "sdk": "gradio"}, 200, None),
    ("POST", "/api/repos/create", OWNER, {"name": "m"}, 409, None),
    ("POST", "/api/repos/create", OWNER, {"name": "a--b"}, 400, None),
    ("POST", "/api/repos/create", OWNER, {"name": "n", "organization": "vera"}, 403, None),
    ("POST", "/api/repos/create", READER, {"name": "n"}, 403, None),
    ("POST", "/api/repos/create", NOBODY, {"name": "n"}, 401, None),
    ("GET", INFO, OWNER, None, 200, None),
    ("GET", INFO, OTHER, None, 404, "RepoNotFound"),
    ("GET", INFO, NOBODY, None, 401, "RepoNotFound"),
    ("GET", INFO, WRONG, None, 401, None),
    ("GET", "/api/models/ada/none", OWNER, None, 404, "RepoNotFound"),
    ("GET", INFO + "/revision/none", OWNER, None, 404, "RevisionNotFound"),
    ("GET", INFO + "/tree/main/none", OWNER, None, 404, "EntryNotFound"),
    ("GET", "/ada/m/resolve/main/none", OWNER, None, 404, "EntryNotFound"),
    ("GET", "/ada/m/resolve/none/a/b.txt", OWNER, None, 404, "RevisionNotFound"),
    ("GET", FILE, OWNER, None, 200, None),
    ("GET", FILE, OTHER, None, 404, "RepoNotFound"),
    ("HEAD", BIG, OWNER, None, 302, None),
    ("PUT", INFO + "/settings", READER, {"visibility": "public"}, 403, None),
    ("PUT", INFO + "/settings", OTHER, {"visibility": "public"}, 404, "RepoNotFound"),
    ("POST", INFO + "/branch/dev", OWNER, {}, 200, None),
    ("POST", INFO + "/branch/main", OWNER, {}, 409, None),
    ("POST", INFO + "/tag/main", OWNER, {"tag": "v1"}, 200, None),
    ("GET", INFO + "/xet-write-token/main", READER, None, 403, None),
    ("GET", INFO + "/xet-read-token/main", READER, None, 200, None),
    ("POST", "/api/validate-yaml", OWNER, {"content": CARD, "repoType": "model"}, 200, None),
    ("POST", "/api/validate-yaml", OWNER, {"content": "---\na: [\n---\n", "repoType": "model"}, 400, None),
    ("POST", "/api/validate-yaml", OWNER, {"content": "---\n- a\n---\n", "repoType": "model"}, 400, None),
    ("POST", "/api/validate-yaml", OWNER, {"content": "---\ntags: [1]\n---\n", "repoType": "model"}, 400, None),
    ("POST", "/api/validate-yaml", OWNER, {"content": SPACE, "repoType": "space"}, 200, None),
    ("POST", "/api/validate-yaml", OWNER, {"content": CARD, "repoType": "space"}, 400, None),
    ("GET", INFO + "/auth-check", OTHER, None, 404, "RepoNotFound"),
    ("GET", INFO + "/auth-check/write", OWNER, None, 200, None),
    ("GET", INFO + "/auth-check/write", READER, None, 403, None),
    ("DELETE", "/api/repos/delete", OWNER, {"name": "m"}, 200, None),
    ("DELETE", "/api/repos/delete", READER, {"name": "m"}, 403, None),
    ("DELETE", "/api/repos/delete", OTHER, {"name": "m", "organization": "ada"}, 404, "RepoNotFound"),
    ("POST", "/api/repos/move", OWNER, {"fromRepo": "ada/m", "toRepo": "lab/m", "type": "model"}, 200, None),
    ("POST", "/api/repos/move", OWNER, {"fromRepo": "ada/m", "toRepo": "vera/m", "type": "model"}, 403, None),
    ("POST", "/api/repos/move", OWNER, {"fromRepo": "ada/m", "toRepo": "ada/m", "type": "model"}, 409, None),
    ("DELETE", INFO + "/branch/main", OWNER, None, 400, None),
    ("DELETE", INFO + "/branch/none", OWNER, None, 404, "RevisionNotFound"),
    ("DELETE", INFO + "/tag/none", OWNER, None, 404, "RevisionNotFound"),
    ("GET", INFO + "/discussions", OWNER, None, 200, None),
    ("POST", INFO + "/discussions/1/merge", OWNER, None, 404, None),
    ("GET", "/api/spaces/ada/none/runtime", OWNER, None, 404, "RepoNotFound"),
    ("POST", "/api/collections", OWNER, {"title": "C", "namespace": "ada"}, 200, None),
    ("POST", "/api/collections", OWNER, {"title": "C" * 61, "namespace": "ada"}, 400, None),
    ("POST", "/api/collections", OWNER, {"title": "C", "namespace": "vera"}, 403, None),
    ("GET", "/api/collections/ada/none-1", OWNER, None, 404, None),
    ("GET", "/api/unknown", OWNER, None, 404, None),
]


@pytest.mark.parametrize(("method", "path", "token", "body", "status", "code"), ANSWERS)
def test_statuses_and_error_codes_are_the_hubs(
    hub: HubServer, method: str, path: str, token: str | None, body: object, status: int, code: str | None
) -> None:
    answer = call(hub, method, path, token, json=body)
    assert (answer.status_code, answer.headers.get("X-Error-Code")) == (status, code)
    assert ("X-Error-Message" in answer.headers) == (status >= 400 and path != "/api/validate-yaml")


@pytest.mark.parametrize(("sdk", "status"), [("gradio", 402), ("docker", 402), ("static", 200)])
def test_a_free_account_may_only_make_static_spaces(tmp_path: Path, sdk: str, status: int) -> None:
    with HubServer(tmp_path, free=True) as hub:
        body = {"name": "s", "type": "space", "sdk": sdk}
        assert call(hub, "POST", "/api/repos/create", json=body).status_code == status


def test_a_gated_models_files_are_its_owners_until_it_is_opened(hub: HubServer) -> None:
    call(hub, "PUT", INFO + "/settings", json={"visibility": "public", "gated": "manual"})
    assert call(hub, "GET", INFO, OTHER).json()["gated"] == "manual"
    for token, status in ((OTHER, 403), (NOBODY, 401), (OWNER, 200)):
        answer = call(hub, "GET", FILE, token)
        assert (answer.status_code, answer.headers.get("X-Error-Code")) == (
            status,
            None if status == 200 else "GatedRepo",
        )
    call(hub, "PUT", INFO + "/settings", json={"gated": False})
    assert call(hub, "GET", FILE, NOBODY).content == b"hello"


def test_a_stale_parent_is_refused_and_changes_nothing(hub: HubServer) -> None:
    before = head(hub)
    assert commit(hub, {"c.txt": b"1"}, parentCommit=before).status_code == 200
    after = head(hub)
    assert commit(hub, {"c.txt": b"2"}, parentCommit=before).status_code == 412
    assert head(hub) == after != before
    assert call(hub, "GET", "/ada/m/resolve/main/c.txt").content == b"1"


def test_a_pointer_to_bytes_that_never_arrived_is_refused(hub: HubServer) -> None:
    value = {"path": "x.bin", "algo": "sha256", "oid": "0" * 64, "size": 3}
    body = lines({}) + b"\n" + json.dumps({"key": "lfsFile", "value": value}).encode()
    assert call(hub, "POST", INFO + "/commit/main", content=body).status_code == 400
    wrong_size = lines({"y.bin": None}).replace(str(len(LARGE)).encode(), b"1")
    assert call(hub, "POST", INFO + "/commit/main", content=wrong_size).status_code == 400


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x"])
def test_a_path_outside_the_repository_is_refused(hub: HubServer, path: str) -> None:
    assert commit(hub, {path: b"x"}).status_code == 400


def test_a_commit_is_all_or_nothing(hub: HubServer) -> None:
    before = head(hub)
    assert commit(hub, {"new.txt": b"1"}, deleted=("none.txt",)).status_code == 404
    assert head(hub) == before
    assert commit(hub, {}, deleted=("a/b.txt",)).status_code == 200
    assert call(hub, "GET", FILE).status_code == 404


def test_bytes_that_do_not_have_their_name_are_refused(hub: HubServer) -> None:
    wrong = CLIENT.put(f"{hub.url}/lfs/{'0' * 64}", content=b"abc")
    assert wrong.status_code == 400
    again = {"operation": "upload", "hash_algo": "sha256", "objects": [{"oid": OID, "size": len(LARGE)}]}
    placed = call(hub, "POST", "/ada/m.git/info/lfs/objects/batch", json=again).json()["objects"]
    assert placed == [{"oid": OID, "size": len(LARGE)}]
    for oid, size, status in ((OID, len(LARGE), 200), (OID, 1, 422), ("0" * 64, 1, 404)):
        body = {"oid": oid, "size": size}
        assert call(hub, "POST", "/ada/m.git/info/lfs/verify", json=body).status_code == status


def test_a_token_never_belongs_to_the_address_of_large_files(hub: HubServer) -> None:
    assert call(hub, "GET", f"/lfs/{OID}").status_code == 400
    assert call(hub, "GET", f"/lfs/{OID}", NOBODY).content == LARGE


def test_resolve_says_what_the_file_is(hub: HubServer) -> None:
    small = call(hub, "HEAD", FILE)
    git = hashlib.sha1(b"blob 5\0hello").hexdigest()
    assert small.headers["ETag"] == f'"{git}"'
    assert small.headers["X-Repo-Commit"] == head(hub)
    assert (small.headers["Content-Length"], small.content) == ("5", b"")
    large = call(hub, "HEAD", BIG)
    assert large.headers["X-Linked-ETag"] == f'"{OID}"'
    assert large.headers["X-Linked-Size"] == str(len(LARGE))
    assert large.headers["Location"].startswith("http://localhost:")
    assert call(hub, "GET", BIG, follow_redirects=True).content == LARGE


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=0-3", 206, b"hell"),
        ("bytes=3-", 206, b"lo"),
        ("bytes=-2", 206, b"lo"),
        ("bytes=1-99", 206, b"ello"),
        ("bytes=5-", 416, None),
        ("bytes=-", 200, b"hello"),
    ],
)
def test_a_range_is_the_bytes_it_names(hub: HubServer, asked: str, status: int, content: bytes | None) -> None:
    answer = call(hub, "GET", FILE, headers={"Range": asked})
    assert answer.status_code == status
    if content is not None:
        assert answer.content == content


def test_a_listing_tells_of_folders_files_and_pointers(hub: HubServer) -> None:
    top = {item["path"]: item for item in call(hub, "GET", INFO + "/tree/main").json()}
    assert set(top) == {".gitattributes", "a", "w.bin"}
    assert top["a"]["type"] == "directory"
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize {len(LARGE)}\n".encode()
    assert top["w.bin"]["lfs"]["oid"] == OID
    assert top["w.bin"]["lfs"]["pointerSize"] == len(pointer)
    assert top["w.bin"]["oid"] == hashlib.sha1(b"blob %d\0" % len(pointer) + pointer).hexdigest()
    everything = call(hub, "GET", INFO + "/tree/main?recursive=true&expand=true").json()
    assert {item["path"] for item in everything} == {".gitattributes", "a", "a/b.txt", "w.bin"}
    assert all(item["lastCommit"]["title"] == "s" for item in everything)
    below = call(hub, "GET", INFO + "/tree/main/a").json()
    assert [item["path"] for item in below] == ["a/b.txt"]
    some = call(hub, "POST", INFO + "/paths-info/main", data={"paths": ["w.bin", "none", "a"]}).json()
    assert [item["path"] for item in some] == ["w.bin", "a"]


def test_a_listing_states_the_bytes_that_lie_there(hub: HubServer) -> None:
    hub.store.blob(OID).write_bytes(b"rot")
    listed = {item["path"]: item for item in call(hub, "GET", INFO + "/tree/main").json()}
    assert listed["w.bin"]["lfs"]["oid"] == hashlib.sha256(b"rot").hexdigest()
    assert listed["w.bin"]["size"] == 3


def test_preupload_sends_large_and_binary_files_by_lfs_and_knows_what_is_there(hub: HubServer) -> None:
    def item(path: str, sample: bytes, size: int) -> dict[str, object]:
        return {"path": path, "sample": base64.b64encode(sample).decode(), "size": size}

    asked = [
        item("a/b.txt", b"hello", 5),
        item("w.bin", b"x", 1),
        item("n", b"\0", 1),
        item("t.txt", b"a", 11 << 20),
    ]
    told = call(hub, "POST", INFO + "/preupload/main", json={"files": asked}).json()["files"]
    assert [file["uploadMode"] for file in told] == ["regular", "lfs", "lfs", "lfs"]
    assert [file["oid"] for file in told] == [hashlib.sha1(b"blob 5\0hello").hexdigest(), OID, None, None]


def test_refs_commits_and_pull_requests_name_commits(hub: HubServer) -> None:
    first = head(hub)
    call(hub, "POST", INFO + "/tag/main", json={"tag": "v1"})
    call(hub, "POST", INFO + "/branch/dev", json={"startingPoint": first})
    pulled = call(hub, "POST", INFO + "/commit/main?create_pr=1", content=lines({"p.txt": b"p"})).json()
    assert pulled["pullRequestUrl"].endswith("/ada/m/discussions/1")
    assert head(hub) == first
    assert "pullRequests" not in call(hub, "GET", INFO + "/refs").json()
    refs = call(hub, "GET", INFO + "/refs?include_prs=1").json()
    assert {ref["ref"]: ref["targetCommit"] for kind in refs.values() for ref in kind} == {
        "refs/heads/main": first,
        "refs/heads/dev": first,
        "refs/tags/v1": first,
        "refs/pr/1": pulled["commitOid"],
    }
    assert [it["title"] for it in call(hub, "GET", INFO + "/commits/main").json()] == ["s", "initial commit"]
    assert call(hub, "GET", "/ada/m/resolve/refs%2Fpr%2F1/p.txt").content == b"p"


def test_a_space_tells_its_sdk_and_begins_with_a_readme(hub: HubServer) -> None:
    call(hub, "POST", "/api/repos/create", json={"name": "s", "type": "space", "sdk": "gradio"})
    info = call(hub, "GET", "/api/spaces/ada/s?blobs=true").json()
    assert info["sdk"] == "gradio"
    assert {file["rfilename"] for file in info["siblings"]} == {".gitattributes", "README.md"}
    assert call(hub, "GET", "/spaces/ada/s/resolve/main/README.md").text.startswith("---\ntitle: s\n")


SPACE_API = "/api/spaces/ada/s"


@pytest.fixture
def space(hub: HubServer) -> HubServer:
    """The same Hub, with a Space that has an app."""
    call(hub, "POST", "/api/repos/create", json={"name": "s", "type": "space", "sdk": "gradio"})
    call(hub, "POST", f"{SPACE_API}/commit/main", content=lines({"README.md": SPACE.encode(), "app.py": b"print()"}))
    return hub


def test_a_space_is_built_anew_after_every_commit_and_tells_which_one_it_runs(space: HubServer) -> None:
    def stages() -> list[str]:
        return [call(space, "GET", f"{SPACE_API}/runtime").json()["stage"] for _ in range(2)]

    assert stages() == ["BUILDING", "RUNNING"]
    assert call(space, "GET", f"{SPACE_API}/runtime").json()["sha"] == call(space, "GET", SPACE_API).json()["sha"]
    call(space, "POST", f"{SPACE_API}/commit/main", content=lines({"README.md": b"no front matter"}))
    assert stages() == ["BUILDING", "CONFIG_ERROR"]
    call(space, "POST", f"{SPACE_API}/commit/main", content=lines({"README.md": SPACE.encode()}, ("app.py",)))
    assert stages() == ["BUILDING", "NO_APP_FILE"]
    asked = call(space, "POST", f"{SPACE_API}/hardware", json={"flavor": "t4-small"}).json()
    assert asked["hardware"] == {"current": None, "requested": "t4-small"}


def test_logs_are_events_and_secrets_are_never_told(space: HubServer) -> None:
    space.site.ends["ada/s"] = End("BUILD_ERROR", ("no such package",))
    for part, lines_of_it in (("build", 1), ("run", 0)):
        answer = call(space, "GET", f"{SPACE_API}/logs/{part}")
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.text.count('data: {"data": "no such package"') == lines_of_it
    call(space, "POST", f"{SPACE_API}/secrets", json={"key": "HF_TOKEN", "value": "mine"})
    call(space, "POST", f"{SPACE_API}/variables", json={"key": "MODE", "value": "open"})
    assert call(space, "GET", f"{SPACE_API}/secrets").json() == {"HF_TOKEN": {"key": "HF_TOKEN"}}
    assert call(space, "GET", f"{SPACE_API}/variables").json()["MODE"]["value"] == "open"
    assert "mine" not in "".join(path.read_text() for path in space.store.folder.rglob("*.json"))
    for key, status in (("MODE", 200), ("MODE", 404)):
        assert call(space, "DELETE", f"{SPACE_API}/variables", json={"key": key}).status_code == status


def test_a_pull_request_is_open_until_it_is_merged_or_closed(hub: HubServer) -> None:
    proposals = [
        call(hub, "POST", INFO + "/commit/main?create_pr=1", content=lines({f"{name}.txt": b"p"})) for name in "pq"
    ]
    assert [proposal.status_code for proposal in proposals] == [200, 200]
    told = call(hub, "GET", INFO + "/discussions?status=open").json()
    assert (told["count"], [each["num"] for each in told["discussions"]]) == (2, [2, 1])
    assert call(hub, "POST", INFO + "/discussions/1/merge").status_code == 200
    assert call(hub, "GET", "/ada/m/resolve/main/p.txt").content == b"p"
    assert call(hub, "POST", INFO + "/discussions/1/merge").status_code == 404
    assert call(hub, "POST", INFO + "/discussions/2/status", json={"status": "closed"}).status_code == 200
    assert call(hub, "GET", INFO + "/discussions?status=open").json()["count"] == 0


def test_a_collection_holds_each_item_once_and_a_title_stands_for_one(hub: HubServer) -> None:
    slug = call(hub, "POST", "/api/collections", json={"title": "Our Models", "namespace": "ada"}).json()["slug"]
    assert slug.startswith("ada/our-models-")
    again = call(hub, "POST", "/api/collections", json={"title": "Our Models", "namespace": "ada"})
    assert (again.status_code, again.json()["slug"]) == (409, slug)
    items = f"/api/collections/{slug}/items"
    asked = [("ada/m", 200), ("ada/m", 409), ("ada/none", 404)]
    for name, status in asked:
        assert call(hub, "POST", items, json={"item": {"id": name, "type": "model"}}).status_code == status
    assert [each["slug"] for each in call(hub, "GET", "/api/collections?owner=ada").json()] == [slug]
    assert call(hub, "DELETE", f"/api/collections/{slug}", OTHER).status_code == 403
    assert call(hub, "DELETE", f"/api/collections/{slug}").status_code == 200
    assert call(hub, "GET", f"/api/collections/{slug}").status_code == 404


def test_a_long_listing_comes_in_pages(hub: HubServer) -> None:
    hub.site.page = 2
    first = call(hub, "GET", INFO + "/tree/main?recursive=true")
    second = CLIENT.get(first.links["next"]["url"], headers={"Authorization": f"Bearer {hub.token}"})
    paths = [item["path"] for item in (*first.json(), *second.json())]
    assert (paths, "next" in second.links) == ([".gitattributes", "a", "a/b.txt", "w.bin"], False)


def test_a_large_file_in_parts_is_closed_only_with_the_parts_that_came(hub: HubServer) -> None:
    hub.site.part, content = 6, b"0123456789"
    oid = hashlib.sha256(content).hexdigest()
    asked = {"operation": "upload", "hash_algo": "sha256", "transfers": ["basic", "multipart"]}
    told = call(
        hub, "POST", "/ada/m.git/info/lfs/objects/batch", json=asked | {"objects": [{"oid": oid, "size": 10}]}
    ).json()
    upload = told["objects"][0]["actions"]["upload"]
    assert (told["transfer"], upload["header"]["chunk_size"]) == ("multipart", "6")
    tags = [CLIENT.put(upload["header"][n], content=c).headers["ETag"] for n, c in (("1", b"012345"), ("2", b"6789"))]
    for given, status in (([tags[0], '"0"'], 400), (tags, 200)):
        parts = [{"partNumber": number, "etag": etag} for number, etag in enumerate(given, 1)]
        assert CLIENT.post(upload["href"], json={"oid": oid, "parts": parts}).status_code == status
    assert hub.store.blob(oid).read_bytes() == content


def test_a_free_account_has_two_spaces_on_zero_gpu(tmp_path: Path) -> None:
    with HubServer(tmp_path, free=True) as hub:
        asked = {"type": "space", "sdk": "gradio", "hardware": "zero-a10g"}
        answers = [call(hub, "POST", "/api/repos/create", json={"name": name, **asked}) for name in "abc"]
        assert [answer.status_code for answer in answers] == [200, 200, 402]


def test_a_connection_may_break_at_any_moment_of_a_request(hub: HubServer) -> None:
    before = head(hub)
    for facts, arrives in (({"action": "cut", "bytes": 10}, False), ({"action": "lost"}, True)):
        hub.faults.append(Fault("POST", "/commit/", **facts))
        with pytest.raises(httpx2.TransportError):
            commit(hub, {"c.txt": b"c" * 1000})
        assert (head(hub) != before) == arrives
    hub.faults.append(Fault("GET", "/models/", action="stall", seconds=0.2))
    with pytest.raises(httpx2.ReadTimeout):
        call(hub, "GET", INFO, timeout=0.05)
    hub.faults.append(Fault("GET", "/models/", action="html"))
    assert "<html>" in call(hub, "GET", INFO).text
    hub.faults.append(Fault("GET", "/models/", action=429, headers={"Retry-After": "3"}, words="Slowly."))
    slow = call(hub, "GET", INFO)
    assert (slow.status_code, slow.headers["Retry-After"], slow.json()) == (429, "3", {"error": "Slowly."})


def test_a_fault_strikes_the_requests_it_is_set_for(hub: HubServer) -> None:
    hub.faults.append(Fault("GET", r"/models/ada/m$", times=2, action=503, after=1))
    assert [call(hub, "GET", INFO).status_code for _ in range(4)] == [200, 503, 503, 200]
    hub.faults.append(Fault("GET", r"/models/ada/m$", action="reset"))
    with pytest.raises(httpx2.TransportError):
        call(hub, "GET", INFO)
    hub.faults.append(Fault("GET", r"/models/ada/m$", action=lambda: hub.store.blob(OID).unlink()))
    assert call(hub, "GET", INFO).status_code == 200
    assert not hub.store.blob(OID).exists()


def test_bodies_in_chunks_arrive_whole_and_the_connection_stays_usable(hub: HubServer) -> None:
    token = {"Authorization": f"Bearer {hub.token}"}
    with httpx2.Client(base_url=hub.url, trust_env=False, verify=False, headers=token) as client:
        pieces = (line + b"\n" for line in lines({"big.txt": b"x" * 3_000_000}).split(b"\n"))
        assert client.post(INFO + "/commit/main", content=pieces).status_code == 200
        unread = client.post("/api/unknown", content=b"y" * 100_000)
        assert (unread.status_code, client.get(FILE).content) == (404, b"hello")
        assert len(client.get("/ada/m/resolve/main/big.txt").content) == 3_000_000


def test_what_was_committed_outlives_the_server(hub: HubServer, tmp_path: Path) -> None:
    with HubServer(tmp_path / "hub") as again:
        assert call(again, "GET", FILE).content == b"hello"
        assert head(again) == head(hub)


def test_two_commits_at_once_keep_one_line_of_history(hub: HubServer) -> None:
    threads = [threading.Thread(target=commit, args=(hub, {f"{i}.txt": b"x"})) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {item["path"] for item in call(hub, "GET", INFO + "/tree/main").json()}
    assert {f"{i}.txt" for i in range(8)} <= names
