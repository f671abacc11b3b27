"""The real client against a real server: what is uploaded, what is read, and what is said when it fails."""

import contextlib
import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from release.errors import BadOption
from tests import checkpoints
from tests.hub import Account, Fault, HubServer
from tests.hub.state import Entry, Repo
from tests.hub_world import World
from tests.pushing import RECORD, SPACE, contents, on_hub

ROOT = Path(__file__).parent.parent
CARD = "---\nlicense: mit\nlibrary_name: transformers\n---\nTiny.\n"


@pytest.fixture(scope="session")
def release_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny real checkpoint in two shards beside a Space, as a release lies on disk."""
    folder = tmp_path_factory.mktemp("release")
    model = checkpoints.make(folder / "model", "llama", shard="30KB")
    (model / "README.md").write_text(CARD)
    (model / "release.json").write_bytes(RECORD)
    (model / "evaluation").mkdir()
    (model / "evaluation" / "bbq.parquet").write_bytes(b"PAR1\0" * 50)
    (model / "empty.txt").touch()
    (folder / "space").mkdir()
    (folder / "space" / "README.md").write_text(SPACE)
    (folder / "space" / "app.py").write_text("print('hello')\n")
    return folder


@pytest.fixture
def world(tmp_path: Path, release_folder: Path) -> Iterator[World]:
    for part in ("model", "space"):
        checkpoints.copy(release_folder / part, tmp_path / part)
    with HubServer(tmp_path / "hub") as hub:
        yield World(hub, tmp_path)


def put(hub: HubServer, repo_id: str, files: dict[str, bytes], private: bool = False, gated: bool = False) -> str:
    """Lay a model on the Hub and return its commit."""
    repo = hub.store.repo("models", repo_id) or hub.store.create("models", repo_id, private, None)
    entries = {name: hub.store.keep([content], lfs=name.endswith(".safetensors")) for name, content in files.items()}
    return advance(repo, entries, gated)


def advance(repo: Repo, entries: dict[str, Entry], gated: bool = False) -> str:
    repo.branches["main"] = repo.record(repo.branches["main"], "theirs", "", entries)
    repo.gated = "auto" if gated else False
    repo.save()
    return repo.branches["main"]


LOAD = """
import hashlib
tell(push)
from transformers import AutoModelForCausalLM
loaded = AutoModelForCausalLM.from_pretrained("ada/tiny")
digests = {n: hashlib.sha256(p.detach().float().numpy().tobytes()).hexdigest() for n, p in loaded.named_parameters()}
tell(lambda: {"digests": digests, "dtype": str(loaded.dtype)})
"""


@pytest.mark.long
@pytest.mark.parametrize("path", ["xet", "lfs"])
def test_a_release_arrives_whole_and_loads_with_equal_weights(world: World, path: str) -> None:
    pushed, loaded = world.run(LOAD, HF_HUB_DISABLE_XET="" if path == "xet" else "1")
    assert (world.asked("GET", "xet-write-token") > 0) == (path == "xet")
    assert (world.asked("GET", "xet-read-token") > 0) == (path == "xet")
    assert (world.asked("PUT", "/lfs/") > 0) == (path == "lfs")
    for kind, part in (("models", "model"), ("spaces", "space")):
        assert on_hub(world.hub.store, kind) == contents(world.folder / part)
        assert not world.repo(kind).private
        assert world.commits(kind) == 2
    local = checkpoints.tensors(world.folder / "model")
    assert loaded["digests"] == {
        name: hashlib.sha256(tensor.float().numpy().tobytes()).hexdigest() for name, tensor in local.items()
    }
    assert loaded["dtype"] == "torch.bfloat16"
    everything = {
        **contents(world.folder / "model"),
        **{f"s/{k}": v for k, v in contents(world.folder / "space").items()},
    }
    assert pushed == {
        "model_url": f"{world.hub.url}/ada/tiny",
        "model_commit": world.repo().branches["main"],
        "space_url": f"{world.hub.url}/spaces/ada/tiny",
        "space_commit": world.repo("spaces").branches["main"],
        "changed": True,
        "files": len(everything),
        "bytes": sum(map(len, everything.values())),
        "pull_requests": [],
        "space_stage": "RUNNING",
        "answer": "Pruned sky.",
        "tag": "v1",
        "collection": None,
    }


def test_what_the_hub_remarks_about_a_card_is_passed_on(world: World) -> None:
    (world.folder / "model" / "README.md").write_text("No front matter.\n")
    out, err = world.start("tell(push)").communicate(timeout=60)
    assert "empty or missing yaml metadata" in err
    assert json.loads(out)["changed"]


def test_xet_says_so_when_the_hub_refuses_its_token(world: World) -> None:
    world.hub.faults.append(Fault("GET", "xet-write-token", times=9, action=403))
    told = world.push(HF_HUB_DISABLE_XET="")
    assert told["error"] == "HubFailed"
    assert "may not write" in told["text"]
    assert world.commits("models") == 1


ACCOUNTS = """
me = hub.login()
tell(lambda: me)
tell(lambda: {"spaces": [hub.check_namespace(me, None), hub.check_namespace(me, "lab")]})
tell(lambda: hub.check_namespace(me, "vera"))
for token in [""] + json.loads(os.environ["TOKENS"]):
    os.environ["HF_TOKEN"] = token
    tell(lambda: hub.check_namespace(hub.login("publishing"), None))
"""


def test_who_is_logged_in_and_where_they_may_write(world: World) -> None:
    hub = world.hub
    for token, scopes in (("hf_fine_reads", ("repo.content.read",)), ("hf_fine_writes", ("repo.write",))):
        hub.accounts[token] = Account("ada", token, role="fineGrained", scopes=scopes)
    refused = ["hf_wrong", "hf_ada\u00e9", hub.read_token, "hf_fine_reads"]
    tokens = json.dumps([*refused, hub.other_token, "hf_fine_writes"])
    me, mine, theirs, none, wrong, odd, reader, fine, other, writer = world.run(ACCOUNTS, TOKENS=tokens)
    assert me == {"name": "ada", "orgs": ["lab"], "can_write": True, "paid": ["ada", "lab"], "writes": None}
    assert mine == {"spaces": ["ada", "lab"]}
    assert theirs["error"] == "BadOption"
    assert "ada or lab" in theirs["text"]
    seen = ("publishing", "refuses the token", "characters", "may only read", "may only read")
    for words, told in zip(seen, (none, wrong, odd, reader, fine), strict=True):
        assert (told["error"], told["exit"]) == ("NotLoggedIn", 2)
        for part in (words, "hf auth login", "--local"):
            assert part in told["text"]
    assert (other, writer) == ("vera", "ada")


UNREACHABLE = """
import time
started = time.monotonic()
tell(lambda: {"login": hub.login, "inspect": lambda: reading.inspect("ada/tiny", None)}[os.environ["ASK"]]())
tell(lambda: {"seconds": time.monotonic() - started})
"""


def trickle(server: socket.socket) -> None:
    """Begin an answer that never ends: each byte comes in time, the whole does not."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            threading.Thread(target=drip, args=(connection,), daemon=True).start()


def drip(connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            connection.sendall(b".")
            time.sleep(1)


@pytest.mark.long
def test_an_unreachable_hub_is_reported_within_fifteen_seconds(world: World) -> None:
    with socket.socket() as silent, socket.socket() as slow, socket.socket() as closed:
        for server in (silent, slow, closed):
            server.bind(("127.0.0.1", 0))
        silent.listen()
        slow.listen()
        threading.Thread(target=trickle, args=(slow,), daemon=True).start()
        cases = [
            ("Nobody answers", {"HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"}),
            ("no answer in time", {"HF_ENDPOINT": f"http://127.0.0.1:{slow.getsockname()[1]}"}),
            ("ConnectError", {"HF_ENDPOINT": f"http://127.0.0.1:{closed.getsockname()[1]}"}),
            ("HF_HUB_OFFLINE", {"HF_HUB_OFFLINE": "1"}),
        ]
        asked = [
            (words, world.start(UNREACHABLE, ASK=ask, **env)) for words, env in cases for ask in ("login", "inspect")
        ]
        for words, process in asked:
            told, took = world.told(process)
            assert (told["error"], told["exit"]) == ("HubUnreachable", 2)
            assert words in told["text"]
            assert took["seconds"] < 14


@pytest.mark.parametrize(
    "repo_id", ["ada/a--b", "ada/a..b", "ada/-a", "ada/a.git", "ada/" + "a" * 97, "ada/a b", "a/b/c", "tiny"]
)
def test_a_name_that_the_hub_would_refuse_is_refused_here(repo_id: str) -> None:
    from release import hub

    hub.check_names("ada/tiny", "lab/Phi-3.5_mini.x")
    with pytest.raises(BadOption):
        hub.check_names("ada/tiny", repo_id)


def base_files(release_folder: Path) -> dict[str, bytes]:
    """A base model as people upload them: the shards that count, and much that does not."""
    model = contents(release_folder / "model")
    wanted = {
        name: model[name] for name in model if name.startswith(("model-", "model.", "tokenizer", "config", "chat"))
    }
    wanted |= {"README.md": b"---\nlicense: mit\n---\n", "LICENSE.txt": b"MIT", "NOTICE": b"n", "USE_POLICY.md": b"u"}
    return wanted | {"LICENSES/MIT.txt": b"MIT", "tokenizer.tiktoken": b"t"}


OTHERS = (
    "consolidated.safetensors",
    "original/consolidated.00.pth",
    "original/LICENSE",
    "adapter_model.safetensors",
    "model-00003-of-00003.safetensors",
    "pytorch_model.bin",
    "modeling_tiny.py",
    ".gitattributes",
    "onnx/model.onnx",
)

FETCH = """
first = reading.cached("org/base", None)
got = reading.fetch("org/base", None, Console())
files = sorted(p.relative_to(got.folder).as_posix() for p in got.folder.rglob("*") if p.is_file())
tell(lambda: {"left": got.left, "first": first, "id": got.id, "revision": got.revision, "files": files,
              "folder": got.folder, "main": reading.cached("org/base", None),
              "commit": reading.cached("org/base", got.revision)})
os.remove(got.folder / "model-00002-of-00002.safetensors")
tell(lambda: {"cut": reading.cached("org/base", None)})
"""


def test_fetching_takes_the_files_that_make_up_the_model_and_no_others(world: World, release_folder: Path) -> None:
    wanted = base_files(release_folder)
    sha = put(world.hub, "org/base", wanted | dict.fromkeys(OTHERS, b"other"))
    got, cut = world.run(FETCH)
    assert got["files"] == sorted(wanted)
    assert got["left"] == sorted(set(OTHERS) - {".gitattributes"})
    assert (got["id"], got["revision"], got["first"]) == ("org/base", sha, None)
    assert got["main"] == got["commit"] == got["folder"]
    assert contents(Path(got["folder"])) == {k: v for k, v in wanted.items() if k != "model-00002-of-00002.safetensors"}
    assert cut == {"cut": None}


def test_a_model_that_changes_meanwhile_is_fetched_as_it_was_at_first(world: World, release_folder: Path) -> None:
    files = base_files(release_folder)
    first = put(world.hub, "org/base", files)
    later = files | {"README.md": b"later"}
    move = Fault("HEAD", "/resolve/main/config.json", action=lambda: put(world.hub, "org/base", later) and None)
    world.hub.faults.append(move)
    (told,) = world.run('tell(lambda: reading.fetch("org/base", None, Console()))')
    assert told["revision"] == first == Path(told["folder"]).name
    assert contents(Path(told["folder"])) == files


def test_a_release_is_fetched_with_every_file_of_it_and_another_model_is_not(
    world: World, release_folder: Path
) -> None:
    put(world.hub, "org/base", base_files(release_folder) | dict.fromkeys(OTHERS, b"other"))
    script = 'tell(lambda: reading.fetch("org/base", None, Console(), parts="all"))'
    other, whole = world.run(f"push()\n{script}\n{script.replace('org/base', 'ada/tiny')}")
    assert contents(Path(other["folder"])) == base_files(release_folder)
    assert contents(Path(whole["folder"])) == contents(world.folder / "model")


def test_packed_weights_and_embedding_models_are_told_from_headers_and_names(
    world: World, release_folder: Path
) -> None:
    files = base_files(release_folder)
    packed = save({"model.layers.0.mlp.up_proj.qweight": torch.ones(2, 2, dtype=torch.int32)}, {"format": "pt"})
    plain = {name: data for name, data in files.items() if not name.startswith("model")}
    put(world.hub, "org/packed", plain | {"model.safetensors": packed})
    put(world.hub, "org/embeddings", files | {"modules.json": b"[]"})
    asked = ["org/packed", "org/embeddings"]
    told = world.run("\n".join(f'tell(lambda: reading.headers("{each}", None))' for each in asked))
    assert [answer["error"] for answer in told] == ["UnusableBase"] * 2
    assert "quantised (GPTQ or AWQ)" in told[0]["text"]
    assert "an embedding model" in told[1]["text"]


def test_headers_come_without_the_weights(world: World, release_folder: Path) -> None:
    put(world.hub, "org/base", base_files(release_folder))
    script = 'h = reading.headers("org/base", "main")\ntell(lambda: {"tensors": dict(h.tensors), "folder": h.folder})'
    (told,) = world.run(script)
    local = checkpoints.tensors(release_folder / "model")
    assert told["tensors"] == {name: ["BF16", list(tensor.shape)] for name, tensor in local.items()}
    assert {path.name for path in Path(told["folder"]).iterdir()} == {"config.json", "model.safetensors.index.json"}
    assert all(seen.status == 206 for seen in world.hub.seen if "/lfs/" in seen.path)


READ = """
for repo_id, revision in json.loads(os.environ["ASKED"]):
    tell(lambda: reading.fetch(repo_id, revision, Console()))
"""
CONFIG = {"config.json": b"{}"}
REFUSED = [
    ("org/none", None, "UnknownName", "missing on the Hub, or not yours to see"),
    ("ada/secret", None, "UnknownName", "missing on the Hub, or not yours to see"),
    ("org/plain", "v9", "UnknownName", "no revision 'v9'"),
    ("org/gated", None, "UnusableBase", "Accept them at"),
    ("org/bin", None, "UnusableBase", "holds weights as pickles"),
    ("org/bare", None, "UnusableBase", "no config.json"),
    ("org/broken", None, "UnusableBase", "is not JSON"),
    ("org/torn", None, "UnusableBase", "names model-00001-of-00001.safetensors, which is missing"),
    ("a--b/c", None, "BadOption", "no Hub id"),
]


@pytest.mark.parametrize("token", ["", HubServer.other_token])
def test_what_cannot_be_read_is_named_with_a_remedy(world: World, token: str) -> None:
    index = b'{"weight_map": {"a": "model-00001-of-00001.safetensors"}}'
    put(world.hub, "ada/secret", CONFIG | {"model.safetensors": b"x"}, private=True)
    put(world.hub, "org/plain", CONFIG | {"model.safetensors": b"x"})
    put(world.hub, "org/gated", CONFIG | {"model.safetensors": b"x"}, gated=True)
    put(world.hub, "org/bin", CONFIG | {"pytorch_model.bin": b"x"})
    put(world.hub, "org/bare", {"model.safetensors": b"x"})
    put(world.hub, "org/broken", CONFIG | {"model.safetensors.index.json": b"["})
    put(world.hub, "org/torn", CONFIG | {"model.safetensors.index.json": index})
    asked = json.dumps([(repo_id, revision) for repo_id, revision, _, _ in REFUSED])
    told = world.run(READ, HF_TOKEN=token, ASKED=asked)
    for (_, _, error, words), answer in zip(REFUSED, told, strict=True):
        assert (answer["error"], answer["exit"]) == (error, 2)
        assert words in answer["text"]
        assert "\n" in answer["text"], "no remedy"


@pytest.mark.long
def test_a_wrong_token_and_a_broken_download_are_told_apart(world: World, release_folder: Path) -> None:
    put(world.hub, "org/base", base_files(release_folder))
    script = 'tell(lambda: reading.fetch("org/base", None, Console()))'
    (wrong,) = world.run(script, HF_TOKEN="hf_wrong")
    assert wrong["error"] == "NotLoggedIn"
    world.hub.faults.append(Fault("GET", "/lfs/", times=9, action=403))
    (broken,) = world.run(script)
    assert (broken["error"], broken["exit"]) == ("HubFailed", 3)
    assert "it answered 403" in broken["text"]
    world.hub.faults.clear()
    (whole,) = world.run(script)
    assert whole["id"] == "org/base"


def test_words_from_outside_become_one_printable_line() -> None:
    from release.sources.contact import plain

    assert plain("a\x1b[31m\r\nb\u202e c") == "a [31m b c"
    assert len(plain("x" * 1000)) == 300
