"""A release without weights: megabytes on the Hub, from which anyone with the base makes the very same model."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec

from release.card import render as card
from release.card.parts import parse
from release.checkpoint.loading import INDEX
from release.names import MASK
from release.schema.record import Record
from release.verification import weightless
from tests import checkpoints
from tests.remote import Client, client, lay

BASE = "ada/base"
MADE = {
    "random": ["--method", "random", "--sparsity", "0.3"],
    "magnitude": ["--method", "magnitude", "--sparsity", "0.5", "--scope", "global"],
    "wanda": ["--method", "wanda", "--sparsity", "0.5", "--with-mask", *checkpoints.CALIBRATION],
}
NEVER = "A recipe that nobody followed"

pytestmark = pytest.mark.long  # three releases are made and pushed before the first test


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In shards, with an index."""
    return checkpoints.make(tmp_path_factory.mktemp("recipes") / "base", "mistral", shard="30KB")


@pytest.fixture(scope="module")
def machine(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client(tmp_path_factory.mktemp("client")) as made:
        lay(made.hub, BASE, base)
        yield made


@pytest.fixture(scope="module")
def made(machine: Client) -> dict[str, Path]:
    """Whole releases of that base, on this machine."""
    for name, words in MADE.items():
        assert machine.run("prune", BASE, *words, "--out", f"made/{name}")["code"] == 0
    return {name: machine.home / "made" / name for name in MADE}


def contents(folder: Path) -> dict[str, bytes]:
    """What a model folder holds, but for what is never published."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    held = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return {name: data for name, data in held.items() if not name.startswith(".")}


def on_hub(machine: Client, repo_id: str) -> dict[str, bytes]:
    repo = machine.hub.store.repo("models", repo_id)
    assert repo is not None
    files = repo.resolve("main").files
    return {n: machine.hub.store.blob(e.sha256).read_bytes() for n, e in files.items() if n != ".gitattributes"}


def push(machine: Client, folder: Path, weights: str, *more: str) -> dict[str, Any]:
    words = ["push", str(folder), "--to", "ada", "--weights", weights, *more]
    said = machine.run(*words, "--json", token=machine.hub.token)
    assert said["out"], said["err"]
    return said | {"facts": json.loads(said["out"])}


def repo_of(folder: Path) -> str:
    return f"ada/{json.loads((folder / 'release.json').read_text())['name']}"


@pytest.mark.parametrize("name", MADE)
def test_what_is_stored_without_weights_is_made_again_bit_for_bit(
    name: str, machine: Client, made: dict[str, Path], tmp_path: Path
) -> None:
    folder, before = made[name], contents(made[name])
    weights = {file for file in before if file.endswith(".safetensors") and file != MASK}
    shutil.rmtree(machine.home / "hf")  # the base that was fetched would be taken unasked
    pushed = push(machine, folder, "none")
    assert pushed["code"] == 0, pushed["err"]
    there, repo_id = on_hub(machine, repo_of(folder)), repo_of(folder)

    assert contents(folder) == before, "the folder on this disk stays whole"
    assert len(weights) > 1
    assert there.keys() == before.keys() - weights - {INDEX}
    assert (MASK in there) == (name == "wanda")
    assert sum(map(len, there.values())) == pushed["facts"]["bytes"]

    code, answer = machine.verify(repo_id)
    assert (code, answer["verdict"].startswith(NEVER), answer["actual_sparsity"]) == (0, True, None), answer
    assert any("--base" in each for each in answer["unproven"])

    code, answer = machine.verify(repo_id, "--base", BASE)
    assert (code, answer["verdict"].startswith("Verified: made here")) == (0, True), answer
    assert answer["zeroed_parameters"] == json.loads(before["release.json"])["audit"]["zeroed_parameters"]
    assert any("--rebuild" in each for each in answer["unproven"]) == (name == "wanda")

    out = tmp_path / "again"
    said = machine.run("rebuild", repo_id, "--base", BASE, "--out", str(out))
    assert said["code"] == 0, said["err"]
    assert contents(out) == before


def test_weights_uploaded_afterwards_change_the_card_and_a_rerun_changes_nothing(
    machine: Client, made: dict[str, Path]
) -> None:
    folder = made["random"]
    repo_id = repo_of(folder)
    sizes = {}
    for weights in ("none", "all", "none"):
        assert push(machine, folder, weights)["code"] == 0
        assert push(machine, folder, weights)["facts"]["changed"] is False
        there = on_hub(machine, repo_id)
        card, sizes[weights] = there["README.md"].decode(), sum(map(len, there.values()))
        title = card.index("\n# ")
        first = card[title:].split("\n\n")[1]
        assert first.startswith("**This repository holds no weights") == (weights == "none")
        assert ("library_name: release" in card) == (weights == "none")
        assert (f"release rebuild {repo_id} --base {BASE}@" in card[: card.index("```python")]) == (weights == "none")
        assert (f'path = "{repo_id}"' in card) == (weights == "all")
        code, answer = machine.verify(repo_id, "--base", BASE)
        assert (code, answer["verdict"][:9]) == (0, "Verified:"), answer
    assert sizes["none"] < sizes["all"]


def test_a_dry_run_says_that_no_weights_are_sent_and_counts_the_rest(machine: Client, made: dict[str, Path]) -> None:
    folder = made["magnitude"]
    before = sorted(folder.rglob("*"))
    plan = push(machine, folder, "none", "--dry-run")["facts"]
    files = plan["repos"][0]["files"]
    assert not [
        file["path"] for file in files if file["path"].endswith((".safetensors", INDEX)) and file["state"] == "new"
    ]
    assert plan["bytes_to_send"] == sum(file["bytes"] for file in files if file["state"] in ("new", "changed"))
    assert plan["weights"] == "none"
    said = machine.run("push", str(folder), "--to", "ada", "--weights", "none", "--dry-run", token=machine.hub.token)
    assert "Weights       none" in said["out"]
    assert sorted(folder.rglob("*")) == before


def test_a_signature_covers_what_is_uploaded_and_stays_from_push_to_push(
    machine: Client, made: dict[str, Path], tmp_path: Path
) -> None:
    private, plain = ec.generate_private_key(ec.SECP256R1()), pem.NoEncryption()
    key, public = tmp_path / "key", tmp_path / "key.pub"
    key.write_bytes(private.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, plain))
    public.write_bytes(private.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo))
    folder = made["random"]
    assert push(machine, folder, "none", "--sign", str(key))["facts"]["changed"] is True
    for more in (["--sign", str(key)], []):
        assert push(machine, folder, "none", *more)["facts"]["changed"] is False
    code, answer = machine.verify(repo_of(folder), "--base", BASE, "--key", str(public))
    assert (code, answer["verdict"][:9]) == (0, "Verified:"), answer
    assert {check["name"]: check["ok"] for check in answer["checks"]}["signature"] is True
    assert not (folder / "model.sig").exists(), "the folder here is another one than was signed"


REFUSED = {
    "calibrated": (["--method", "wanda", "--sparsity", "0.5", *checkpoints.CALIBRATION], "--with-mask"),
    "updated": (["--method", "sparsegpt", "--sparsity", "0.5", *checkpoints.CALIBRATION], "--weights none"),
}
OFF = ["--bbq", "off", "--perplexity", "off", "--latency", "off"]


NO_SPACE = {
    "a pattern, which the app does not know": ("ada/base", ["--pattern", "2:4"], "without pattern"),
    "a base that is not there": ("ada/elsewhere", ["--sparsity", "0.5"], "missing"),
    "a base of other bytes": ("ada/other", ["--sparsity", "0.5"], "another"),
}


@pytest.mark.parametrize("case", NO_SPACE)
def test_a_space_that_could_not_make_the_weights_is_refused_and_the_remedy_works(
    case: str, machine: Client, base: Path, tmp_path: Path
) -> None:
    stated, share, seen = NO_SPACE[case]
    lay(machine.hub, "ada/other", checkpoints.make(tmp_path / "other", "mistral", shard="30KB", hidden_size=16))
    words = ["publish", str(base), "--base-id", stated, "--method", "magnitude", *share, *OFF]
    words += ["--to", "ada", "--weights", "none", "--out", str(tmp_path / "releases")]
    said = machine.run(*words, token=machine.hub.token)
    assert (said["code"], seen in said["err"], "--no-space" in said["err"]) == (2, True, True), said
    said = machine.run(*words, "--no-space", token=machine.hub.token)
    assert said["code"] == 0, said


@pytest.mark.parametrize("name", REFUSED)
def test_weights_that_nobody_could_make_again_are_not_left_out(name: str, machine: Client) -> None:
    words, remedy = REFUSED[name]
    said = machine.run("publish", BASE, *words, *OFF, "--to", "ada", "--weights", "none", token=machine.hub.token)
    assert (said["code"], remedy in said["err"]) == (2, True), said
    assert not (machine.home / "releases").exists()
    assert machine.run("prune", BASE, *words, "--out", f"refused/{name}")["code"] == 0
    said = push(machine, machine.home / "refused" / name, "none")
    assert (said["code"], remedy in said["facts"]["remedy"]) == (2, True), said


def test_a_recipe_is_no_model_to_prune_push_or_measure(machine: Client, made: dict[str, Path], tmp_path: Path) -> None:
    assert push(machine, made["random"], "none")["code"] == 0
    folder = tmp_path / "fetched"
    for name, data in on_hub(machine, repo_of(made["random"])).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    for words in (
        ["prune", str(folder), "--method", "random", "--sparsity", "0.3", "--out", str(tmp_path / "out")],
        ["measure", str(folder), "--base", BASE, *OFF],
        ["push", str(folder), "--to", "lab"],
    ):
        said = machine.run(*words, token=machine.hub.token)
        assert (said["code"], "release rebuild" in said["err"]) == (2, True), said
    assert machine.run("card", str(folder), "--diff")["out"].startswith("The card would stay")


# Forgeries

Change = Any
"""Given the files as they lie on the Hub, by name, changes them."""


def of_record(*path: str | int, value: Any) -> Change:
    def change(files: dict[str, bytes]) -> None:
        record = json.loads(files["release.json"])
        at: Any = record
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        files["release.json"] = json.dumps(record).encode()

    return change


def agreed(change: Change) -> Change:
    """Make the card agree with what was changed in the record."""

    def both(files: dict[str, bytes]) -> None:
        change(files)
        record = Record.model_validate_json(files["release.json"])
        target = parse(files["README.md"].decode())
        assert target is not None
        files["README.md"] = card.render(record, target.target).encode()

    return both


def another_seed(files: dict[str, bytes]) -> None:
    for part in (("plan", "recipe"), ("plan", "measuring"), ("pruning",)):
        of_record(*part, "seed", value=7)(files)


def another_sparsity(files: dict[str, bytes]) -> None:
    of_record("plan", "recipe", "sparsity", value="0.4")(files)
    for part in ("pruning", "audit"):
        of_record(part, "target_sparsity", value="0.4")(files)


def a_bit_of_the_mask(files: dict[str, bytes]) -> None:
    data = bytearray(files[MASK])
    data[-1] ^= 0b11
    files[MASK] = bytes(data)
    record = json.loads(files["release.json"])
    for file in record["files"]:
        if file["name"] == MASK:
            file["sha256"] = hashlib.sha256(data).hexdigest()
    files["release.json"] = json.dumps(record).encode()


def put(name: str, data: bytes = b"{}") -> Change:
    return lambda files: files.update({name: data})


FORGED: dict[str, tuple[str, Change]] = {
    "another seed": ("random", agreed(another_seed)),
    "another sparsity": ("random", agreed(another_sparsity)),
    "another digest": ("random", agreed(of_record("audit", "files", 0, "sha256", value="0" * 64))),
    "a weight file less": ("random", agreed(of_record("audit", "files", value=[]))),
    "another count": ("random", agreed(of_record("audit", "zeroed_parameters", value=1))),
    "another base": ("random", agreed(of_record("base", "files", 0, "sha256", value="0" * 64))),
    "another mask": ("wanda", agreed(a_bit_of_the_mask)),
    "another configuration": ("random", put("config.json", b'{"model_type": "mistral"}')),
    "weights put in": ("random", put("model.safetensors", b"\x02\0\0\0\0\0\0\0{}")),
    "a shard put in": ("random", put("model-00001-of-00003.safetensors", b"\x02\0\0\0\0\0\0\0{}")),
    "weights of another form put in": ("random", put("pytorch_model.bin")),
    "an index put in": ("random", put(INDEX)),
    "said to hold its weights": ("random", agreed(of_record("weights", value="all"))),
}
SEEN_WITHOUT_BASE = {
    *("another count", "another configuration", "weights put in", "a shard put in", "weights of another form put in"),
    *("an index put in", "said to hold its weights", "another sparsity", "a weight file less", "another mask"),
}


QUICK = ("another seed", "another digest", "another mask", "weights put in", "said to hold its weights")
"""One of each kind; every row asks three or four commands."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in FORGED]
)
def test_a_forged_recipe_is_caught_and_nothing_is_made_of_it(
    name: str, machine: Client, made: dict[str, Path], base: Path, tmp_path: Path
) -> None:
    method, change = FORGED[name]
    folder = tmp_path / "forged"
    shutil.copytree(recipe(made[method], tmp_path), folder)
    files = contents(folder)
    change(files)
    for file, data in files.items():
        (folder / file).write_bytes(data)
    said = machine.run("verify", str(folder), "--base", str(base), "--json")
    assert said["code"] == 1, said
    assert not json.loads(said["out"]).get("verdict", "").startswith("Verified")
    shutil.rmtree(machine.home / "hf", ignore_errors=True)
    said = machine.run("verify", str(folder), "--json")
    assert said["code"] == (1 if name in SEEN_WITHOUT_BASE else 0), said
    assert "Verified" not in json.loads(said["out"]).get("verdict", "")
    out = tmp_path / "out"
    if machine.run("rebuild", str(folder), "--base", str(base), "--out", str(out))["code"] == 0:
        assert machine.run("verify", str(out), "--base", str(base))["code"] == 0
    else:
        assert not out.exists()


def recipe(folder: Path, place: Path) -> Path:
    """The view of a whole release that is pushed."""
    record = Record.read(folder)
    view = weightless.lay_out(folder, place / "recipe", record)
    lean = weightless.recipe_of(record)
    (view / "release.json").unlink()
    (view / "release.json").write_text(lean.to_json())
    (view / "README.md").unlink()
    (view / "README.md").write_text(card.render(lean))
    return view


def test_the_view_verifies_as_it_is(machine: Client, made: dict[str, Path], base: Path, tmp_path: Path) -> None:
    said = machine.run("verify", str(recipe(made["wanda"], tmp_path)), "--base", str(base), "--json")
    assert (said["code"], json.loads(said["out"])["verdict"][:9]) == (0, "Verified:"), said
