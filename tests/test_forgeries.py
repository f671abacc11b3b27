"""Verified means closed: no forgery of the table passes, in a folder or on a Hub; what is honest passes."""

import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging

from release.__main__ import run
from release.verification import signing
from tests import checkpoints, forge, remote
from tests.forgeries import BROKEN, DECODING, FORGERIES, LOGITS, SAME, TEMPLATE, TOKENS

TEXT = "abc, a question for both"
REBUILD = ("--rebuild", "--calibration", str(checkpoints.PROSE))


@pytest.fixture(scope="module")
def base(base_folders, tmp_path_factory) -> Path:
    """Untied, in shards, with a licence, and with norms that are not what a model is made anew with."""
    folder = checkpoints.copy(base_folders["mistral"], tmp_path_factory.mktemp("base") / "base")
    (folder / "LICENSE").write_text("The base's licence.\n")
    for file in folder.glob("*.safetensors"):
        values = checkpoints.load_file(file)
        checkpoints.write(
            folder, {n: v * torch.linspace(0.5, 2, 32) if "norm" in n else v for n, v in values.items()}, file.name
        )
        restored = {n: v.to(torch.bfloat16) for n, v in checkpoints.load_file(file).items()}
        checkpoints.write(folder, restored, file.name)
    return folder


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> tuple[Path, Path]:
    """A signer's private and public key."""
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric import ec

    private, folder = ec.generate_private_key(ec.SECP256R1()), tmp_path_factory.mktemp("keys")
    plain, subject = pem.NoEncryption(), pem.PublicFormat.SubjectPublicKeyInfo
    (folder / "key").write_bytes(private.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, plain))
    (folder / "key.pub").write_bytes(private.public_key().public_bytes(pem.Encoding.PEM, subject))
    return folder / "key", folder / "key.pub"


@pytest.fixture(scope="module")
def honest(base, keys, console, tmp_path_factory) -> dict[str, Path]:
    """One signed release per method that a forger starts from; not to be changed."""
    root = tmp_path_factory.mktemp("honest")
    for name in ("random", "sparsegpt", "wanda", "magnitude-2-4"):
        how = ["--pattern", "2:4"] if name.endswith("2-4") else ["--sparsity", "0.3"]
        words = ["prune", str(base), "--method", name.split("-")[0], *how, "--out", str(root / name)]
        assert run([*words, *checkpoints.CALIBRATION]) == 0
        signing.signer(keys[0]).seal(root / name, console)
    return {path.name: path for path in root.iterdir()}


@pytest.fixture(scope="module")
def loaded(honest) -> dict[str, dict[str, Any]]:
    """What from_pretrained makes of the honest ones."""
    return {name: loads(folder) for name, folder in honest.items()}


def loads(folder: Path) -> dict[str, Any]:
    """All that from_pretrained gives of a folder."""
    logging.set_verbosity_error()
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        logits = model(torch.arange(3, 40)[None]).logits
    return {
        LOGITS: logits.float(),
        TOKENS: tokenizer(TEXT)["input_ids"],
        TEMPLATE: tokenizer.chat_template,
        DECODING: GenerationConfig.from_pretrained(folder).to_dict(),
    }


def effect(folder: Path, honest: dict[str, Any]) -> str:
    """In what from_pretrained's result differs from the honest one's."""
    try:
        found = loads(folder)
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, UnpicklingError):
        return BROKEN
    if not torch.equal(found.pop(LOGITS), honest[LOGITS]):
        return LOGITS
    return next((name for name, value in found.items() if value != honest[name]), SAME)


def forged(case: forge.Forgery, honest: dict[str, Path], base: Path, target: Path) -> Path:
    folder = checkpoints.copy(honest[case.of], target)
    forge.agree(folder, **(case.make(folder, base) or {}))
    return folder


def verify(capsys, *words: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = run(["verify", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def judge(case: forge.Forgery, ask: Any, where: str, base: str, key: Path) -> None:
    """With the base, with masks made again, and with the signer's key: caught; without any, nothing is promised."""
    code, answer = ask(where, "--base", base)
    assert code == (0 if case.unseen else 1), answer
    if case.unseen:
        assert any("--rebuild" in each for each in answer["unproven"])
    assert ask(where, "--base", base, *REBUILD)[0] == 1
    assert ask(where, "--key", str(key))[0] == 1
    code, answer = ask(where)
    assert code == 1 or answer["verdict"] == "Consistent with itself; held against no base."


def one_of_each_kind() -> list[Any]:
    """The whole table; but the first of each kind, all are among the long ones."""
    first = {case.kind: case.name for case in reversed(FORGERIES)}
    marks = {True: (), False: (pytest.mark.long,)}
    return [pytest.param(case, id=case.name, marks=marks[first[case.kind] == case.name]) for case in FORGERIES]


def test_the_table_is_as_wide_as_it_has_to_be():
    assert len({case.name for case in FORGERIES}) == len(FORGERIES) >= 60
    assert len({case.kind for case in FORGERIES}) >= 12


@pytest.mark.parametrize("case", one_of_each_kind())
def test_what_is_forged_in_a_folder_is_caught(case, honest, loaded, base, keys, tmp_path, capsys):
    folder = forged(case, honest, base, tmp_path / "model")
    assert effect(folder, loaded[case.of]) == case.effect
    judge(case, lambda *words: verify(capsys, *words), str(folder), str(base), keys[1])


@pytest.fixture(scope="module")
def client(base, tmp_path_factory):
    with remote.client(tmp_path_factory.mktemp("client")) as machine:
        remote.lay(machine.hub, "ada/base", base)
        yield machine


@pytest.mark.long
@pytest.mark.parametrize("case", FORGERIES, ids=lambda case: case.name)
def test_what_is_forged_on_a_hub_is_caught(case, client, honest, base, keys, tmp_path):
    remote.lay(client.hub, "evil/model", forged(case, honest, base, tmp_path / "model"))
    judge(case, client.verify, "evil/model", "ada/base", keys[1])


def test_a_record_that_is_gone_is_no_way_round_a_check_that_was_asked_for(honest, base, keys, tmp_path, capsys):
    folder = checkpoints.copy(honest["random"], tmp_path / "model")
    for name in ("release.json", "sparsity.csv", "README.md"):
        (folder / name).unlink()
    code, answer = verify(capsys, str(folder), "--base", str(base))
    assert (code, answer["verdict"].startswith("Counted, not verified")) == (0, True)
    assert verify(capsys, str(folder), "--base", str(base), "--rebuild")[0] == 1
    assert verify(capsys, str(folder), "--key", str(keys[1]))[0] == 1


@pytest.mark.parametrize("option", ["--rebuild", "--key"])
def test_what_was_asked_for_and_cannot_be_made_fails_with_its_reason(option, honest, keys, tmp_path, capsys):
    folder = checkpoints.copy(honest["random"], tmp_path / "model")
    (folder / "model.sig").unlink()
    code, answer = verify(capsys, str(folder), option, *([str(keys[1])] if option == "--key" else []))
    reasons = [check["detail"] for check in answer["checks"] if check["ok"] is False]
    assert (code, len(reasons), answer["verdict"].startswith("NOT verified")) == (1, 1, True)
    assert "--base MODEL" in reasons[0] or "model.sig" in reasons[0]


def test_a_signed_release_says_that_its_signature_was_not_checked(honest, capsys):
    code, answer = verify(capsys, str(honest["random"]))
    assert (code, any("--key" in each for each in answer["unproven"])) == (0, True)


@pytest.mark.quick_rows(6)
@pytest.mark.parametrize("case", one_of_each_kind())
def test_a_rebuild_of_what_is_forged_ends_in_a_release_that_verifies_or_leaves_nothing(
    case, honest, base, tmp_path, capsys
):
    out = tmp_path / "out" / "model"
    folder = forged(case, honest, base, tmp_path / "model")
    code = run(["rebuild", str(folder), "--base", str(base), "--out", str(out)])
    if code == 0:
        assert verify(capsys, str(out), "--base", str(base))[0] == 0
        held = {path.relative_to(out).as_posix() for path in out.rglob("*")}
        assert held <= {p.relative_to(honest[case.of]).as_posix() for p in honest[case.of].rglob("*")}
    else:
        assert code in (1, 2)
        assert not out.exists()


ADDED = ("assets/plot.png", "notebook.ipynb", ".gitattributes", ".git/HEAD", ".cache/huggingface/x.metadata")


def test_what_a_person_adds_is_listed_as_theirs(honest, base, tmp_path, capsys):
    folder = checkpoints.copy(honest["random"], tmp_path / "model")
    for name in ADDED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"{}")
    code, answer = verify(capsys, str(folder), "--base", str(base))
    assert (code, answer["theirs"]) == (0, ["assets/plot.png", "notebook.ipynb"])


HONEST = {
    "random": ["--method", "random", "--sparsity", "0.3"],
    "random-row": ["--method", "random", "--sparsity", "0.5", "--scope", "row"],
    "magnitude": ["--method", "magnitude", "--sparsity", "0.3"],
    "magnitude-global": ["--method", "magnitude", "--sparsity", "0.3", "--scope", "global"],
    "magnitude-2:4": ["--method", "magnitude", "--pattern", "2:4"],
    "random-4:8": ["--method", "random", "--pattern", "4:8"],
    "with-mask": ["--method", "random", "--sparsity", "0.1", "--with-mask"],
    "wanda": ["--method", "wanda", "--sparsity", "0.3"],
    "wanda-2:4": ["--method", "wanda", "--pattern", "2:4"],
    "wanda-owl": ["--method", "wanda", "--sparsity", "0.3", "--allocation", "owl"],
    "ria": ["--method", "ria", "--sparsity", "0.3"],
    "sparsegpt": ["--method", "sparsegpt", "--sparsity", "0.3"],
    "sparsegpt-2:4": ["--method", "sparsegpt", "--pattern", "2:4"],
    "sparsegpt-0.8": ["--method", "sparsegpt", "--sparsity", "0.8"],
}


QUICK = ("random", "magnitude-2:4")


@pytest.mark.parametrize("how", [pytest.param(h, marks=() if h in QUICK else pytest.mark.long) for h in HONEST])
def test_what_is_honest_passes_in_a_folder_and_on_a_hub(how, base, client, keys, console, tmp_path, capsys):
    out, calibrated = tmp_path / "model", not how.startswith(("random", "magnitude", "with"))
    assert run(["prune", str(base), *HONEST[how], "--out", str(out), *checkpoints.CALIBRATION * calibrated]) == 0
    signing.signer(keys[0]).seal(out, console)
    more = ("--key", str(keys[1]), *REBUILD)
    code, answer = verify(capsys, str(out), "--base", str(base), *more)
    assert (code, answer["verdict"].startswith("Verified: what from_pretrained loads is")) == (0, True), answer
    remote.lay(client.hub, f"lab/{how.replace(':', '-')}", out)
    assert client.verify(f"lab/{how.replace(':', '-')}", "--base", "ada/base", *more)[0] == 0
