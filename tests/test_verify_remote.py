"""`release verify` straight from a Hub: the same answer as for the folder, nothing kept, and what breaks goes on."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from release.__main__ import run
from tests import checkpoints, remote
from tests.hub import Fault

PRUNED, BASE = "lab/pruned", "ada/base"


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    with remote.client(tmp_path_factory.mktemp("client")) as client:
        yield client


@pytest.fixture
def client(machine, release, base_folders):
    """A Hub that holds the release and its base as they are, and a machine that holds nothing."""
    machine.hub.faults.clear()
    machine.hub.seen.clear()
    shutil.rmtree(machine.home / "hf", ignore_errors=True)
    remote.lay(machine.hub, PRUNED, release)
    remote.lay(machine.hub, BASE, base_folders["llama"])
    return machine


def on_disk(capsys, *words: str) -> dict:
    capsys.readouterr()
    run(["verify", *words, "--json"])
    return json.loads(capsys.readouterr().out)


def failed(answer: dict) -> str:
    return "; ".join(f"{c['name']}: {c['detail']}" for c in answer["checks"] if c["ok"] is False)


def weights(client, repo_id: str = PRUNED) -> dict[str, str]:
    """Where the Hub serves each weight file's bytes."""
    files = client.hub.store.repo("models", repo_id).resolve("main").files
    return {name: f"/lfs/{entry.sha256}" for name, entry in files.items() if name.endswith(".safetensors")}


def test_the_answer_is_the_folders_and_nothing_is_kept(client, release, capsys):
    code, answer = client.verify(PRUNED)
    assert (code, failed(answer)) == (0, "")
    assert answer == on_disk(capsys, str(release))
    assert client.kept() == []
    assert not any(seen.authorized for seen in client.hub.seen)


def test_a_base_on_the_hub_is_read_beside_it_and_not_kept_either(client, release, base_folders, capsys):
    code, answer = client.verify(PRUNED, "--base", BASE)
    assert (code, answer) == (0, on_disk(capsys, str(release), "--base", str(base_folders["llama"])))
    assert {c["name"]: c["ok"] for c in answer["checks"]}["kept weights"] is True
    assert client.kept() == []


def test_a_base_that_is_sharded_otherwise_is_read_out_of_order_with_the_same_answer(
    client, release, base_folders, tmp_path, capsys
):
    base = checkpoints.copy(base_folders["llama"], tmp_path / "base")
    values = checkpoints.tensors(base)
    for file in base.glob("*.safetensors"):
        file.unlink()
    names = sorted(values)
    shards = {f"model-{i + 1:05}-of-00002.safetensors": names[i::2][::-1] for i in range(2)}
    for file, members in shards.items():
        checkpoints.write(base, {name: values[name] for name in members}, file)
    weight_map = {name: file for file, members in shards.items() for name in members}
    (base / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    remote.lay(client.hub, BASE, base)
    code, answer = client.verify(PRUNED, "--base", BASE)
    assert (code, answer) == (1, on_disk(capsys, str(release), "--base", str(base)))
    assert [check["name"] for check in answer["checks"] if check["ok"] is False] == [
        "base files",
        "headers",
        "side files",
    ]


def test_every_byte_of_a_weight_file_is_asked_for_once(client):
    client.verify(PRUNED)
    for path in weights(client).values():
        first, header, data = [seen.range for seen in client.hub.seen if seen.path == path]
        size = client.hub.store.blob(path.removeprefix("/lfs/")).stat().st_size
        (_, length), (start, end) = (map(int, span.removeprefix("bytes=").split("-")) for span in (header, data))
        assert (first, header, start, end) == ("bytes=0-7", f"bytes=8-{length}", length + 1, size - 1)


@pytest.mark.parametrize("name", ["model-00001-of", "config.json", "sparsity.csv", "README.md"])
def test_what_was_altered_on_the_server_is_named(name, client, release):
    [file] = [p.name for p in release.iterdir() if p.name.startswith(name)]
    place = -1 if name == "model-00001-of" else (release / file).read_bytes().index(b"0")
    remote.alter(client.hub, PRUNED, file, place)
    code, answer = client.verify(PRUNED)
    assert code == 1
    assert (file if name != "README.md" else "card: line") in failed(answer)


def test_a_private_release_needs_its_token(client, release):
    remote.lay(client.hub, "ada/hidden", release, private=True)
    assert client.verify("ada/hidden", token=client.hub.token)[0] == 0
    code, answer = client.verify("ada/hidden")
    assert (code, "not yours to see" in answer["error"]) == (2, True)


def test_a_gated_release_is_named_as_such_and_opens_to_whom_it_is_open(client, release):
    remote.lay(client.hub, "ada/gated", release)
    repo = client.hub.store.repo("models", "ada/gated")
    repo.gated = "auto"
    repo.save()
    code, answer = client.verify("ada/gated")
    assert (code, "is gated" in answer["error"]) == (2, True)
    assert client.verify("ada/gated", token=client.hub.token)[0] == 0


def test_a_revision_is_read_as_it_was(client, base_folders, capsys):
    first = client.hub.store.repo("models", PRUNED).branches["main"]
    remote.lay(client.hub, PRUNED, base_folders["llama"])
    assert client.verify(PRUNED)[1]["method"] is None
    assert client.verify(f"{PRUNED}@{first}")[1]["method"] == "random"


@pytest.mark.parametrize("repo_id", [PRUNED, BASE])
@pytest.mark.parametrize("action", ["half", "reset", 503, "html"])
def test_a_connection_that_breaks_goes_on_where_it_stopped(action, repo_id, client, release, base_folders, capsys):
    path = next(iter(weights(client, repo_id).values()))
    client.hub.faults.append(Fault("GET", path, action=action, after=2))
    code, answer = client.verify(PRUNED, "--base", BASE)
    assert (code, answer) == (0, on_disk(capsys, str(release), "--base", str(base_folders["llama"])))
    spans = [seen.range for seen in client.hub.seen if seen.path == path][2:]
    starts = [int(span.removeprefix("bytes=").split("-")[0]) for span in spans]
    assert len(starts) == 2
    assert (starts[1] > starts[0]) == (action == "half")
    assert client.kept() == []


def test_a_hub_that_stays_away_is_said_and_nothing_is_concluded(client):
    path = next(iter(weights(client).values()))
    client.hub.faults.append(Fault("GET", path, action=410, after=2, times=9))
    code, answer = client.verify(PRUNED)
    assert (code, "broke off" in answer["error"], "it answered 410" in answer["error"]) == (3, True, True)


@pytest.mark.parametrize("rebuilt", ["random", pytest.param("wanda", marks=pytest.mark.long)])
def test_masks_made_again_bring_the_base_to_this_disk(rebuilt, client, release, base_folders, tmp_path):
    out = tmp_path / "model"
    command = ["prune", str(base_folders["llama"]), "--method", rebuilt, "--sparsity", "0.3", "--out", str(out)]
    assert run([*command, *checkpoints.CALIBRATION]) == 0
    remote.lay(client.hub, PRUNED, out)
    more = ["--rebuild", "--calibration", str(checkpoints.PROSE)]
    code, answer = client.verify(PRUNED, "--base", BASE, *more)
    assert code == 0, failed(answer)
    assert {c["name"]: c["ok"] for c in answer["checks"]}["rebuild"] is True


def cut(data: bytes) -> bytes:
    return data[:-2]


def no_header(data: bytes) -> bytes:
    return b"\xff" * 8 + data[8:]


def of_no_length(data: bytes) -> bytes:
    return b"abc"


@pytest.mark.parametrize("spoil", [cut, no_header, of_no_length], ids=lambda s: s.__name__)
def test_a_weight_file_that_is_none_fails_as_it_does_in_a_folder(spoil, client, release, tmp_path, capsys):
    copy = checkpoints.copy(release, tmp_path / "model")
    shard = sorted(copy.glob("*.safetensors"))[0]
    shard.write_bytes(spoil(shard.read_bytes()))
    remote.lay(client.hub, PRUNED, copy)
    assert client.verify(PRUNED) == (1, on_disk(capsys, str(copy)))


CARD = """---
license: mit
base_model: ada/base
---
# tiny, Wanda pruning at 50% target sparsity

- Target sparsity: 50%
- Actual sparsity achieved: {}
- Zeroed parameters: {:,} of {:,} prunable
"""


@pytest.fixture(scope="module")
def third(base_folders, tmp_path_factory) -> tuple[Path, int]:
    """A model of no known tool: of every block's linear layers some were skipped, so that a third is zero."""
    folder = checkpoints.copy(base_folders["llama"], tmp_path_factory.mktemp("third") / "model")
    zeros = 0
    for file in sorted(folder.glob("*.safetensors")):
        values = load_file(file)
        for name, tensor in values.items():
            if name.endswith(("q_proj.weight", "up_proj.weight", "k_proj.weight")):
                tensor.view(-1)[: tensor.numel() // 2] = 0
                zeros += tensor.numel() // 2
        checkpoints.write(folder, values, file.name)
    return folder, zeros


@pytest.mark.parametrize("where", ["hub", "folder"])
def test_a_foreign_card_that_says_more_than_the_files_hold_is_named_line_by_line(where, client, third, capsys):
    folder, zeros = third
    prunable = checkpoints.PRUNABLE["llama"]
    text = CARD.format("50.00%", zeros, prunable)
    if where == "hub":
        remote.lay(client.hub, "ada/foreign", folder, **{"README.md": text})
        code, answer = client.verify("ada/foreign", "--base", BASE)
    else:
        (folder / "README.md").write_text(text)
        code, answer = 1, on_disk(capsys, str(folder))
        (folder / "README.md").unlink()
    said = {check["detail"].split(":")[0]: check for check in answer["checks"] if check["name"] == "card"}
    assert (code, answer["ok"], answer["method"]) == (1, False, None)
    assert [line for line, check in said.items() if check["ok"] is False] == ["line 5", "line 7", "line 8"]
    assert "“- Actual sparsity achieved: 50.00%”: 50 % is stated" in said["line 8"]["detail"]
    assert f"the files hold {100 * zeros / prunable:.4f} %" in said["line 8"]["detail"]
    assert said["line 9"]["ok"] is True


def test_a_foreign_card_that_is_right_passes_and_kept_weights_are_compared(client, third):
    folder, zeros = third
    prunable = checkpoints.PRUNABLE["llama"]
    text = CARD.replace("50%", f"{round(100 * zeros / prunable)}%").format(
        f"{100 * zeros / prunable:.2f} %", zeros, prunable
    )
    remote.lay(client.hub, "ada/foreign", folder, **{"README.md": text})
    code, answer = client.verify("ada/foreign", "--base", BASE)
    assert (code, failed(answer)) == (0, "")
    assert {check["name"]: check["ok"] for check in answer["checks"]}["kept weights"] is True


def test_a_model_on_the_hub_without_weights_or_config_is_refused_with_a_remedy(client, third, tmp_path):
    for missing in ("config.json", "*.safetensors"):
        copy = checkpoints.copy(third[0], tmp_path / missing.strip("*."))
        for file in copy.glob(missing):
            file.unlink()
        remote.lay(client.hub, "ada/foreign", copy)
        code, answer = client.verify("ada/foreign")
        assert (code, bool(answer["remedy"])) == (2, True)
