"""Nothing leaves this machine that is nobody's business, and what is public passes."""

import getpass
import random
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib import pyplot as plt
from safetensors.numpy import save_file

from release.card.render import render
from release.errors import LeakFound
from release.format import MAY_BREAK
from release.publishing import leaks
from tests.records import example_answers, example_measurements, example_record

TOKEN = "hf_" + "Ab1" * 11
GIVEN_AWAY = [
    ("/home/ada/models/phi", "a local path (/home/ada/models/phi)"),
    ("/Users/ada/phi", "a local path"),
    ("/tmp/x/phi", "a local path"),
    (r"C:\\Users\\ada\\phi", "a local path"),
    ("file:///srv/phi", "a local path"),
    ("ada.lovelace@example.org", "an e-mail address (ada.lovelace@example.org)"),
    (TOKEN, "a secret"),
    ("ghp_" + "a1B2" * 9, "a secret"),
    ("-----BEGIN RSA PRIVATE KEY-----", "a secret"),
]
PUBLIC = [
    "https://example.org/home/ada",
    "microsoft/Phi-3.5-mini-instruct@2fe192450127e6a83f7441aef6e3ca586c338b77",
    "someone/model@v1.0.0",
    "https://arxiv.org/abs/2605.08137",
    "release publish demo --method random --sparsity 0.1 --local",
    "a/b and/or c/home/d",
]


def found(tmp_path: Path, name: str, text: str) -> list[str]:
    (tmp_path / name).write_text(f"one\n{text}\n", encoding="utf-8")
    return list(leaks.leaks(tmp_path))


@pytest.mark.parametrize(("text", "said"), GIVEN_AWAY)
@pytest.mark.parametrize("name", ["README.md", "release.json", "config.json", "sparsity.csv", "letters.svg"])
def test_what_is_private_is_found_and_its_line_named(tmp_path, name, text, said):
    (leak,) = found(tmp_path, name, f'"{text}"')
    assert leak.startswith(f"{name}, line 2: {said}")
    assert TOKEN not in leak


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_public_passes(tmp_path, text):
    assert found(tmp_path, "README.md", text) == []


@pytest.mark.parametrize("name", ["tokenizer.json", "LICENSE", "LICENSE.txt", "weights.bin"])
def test_a_vocabulary_and_a_licence_are_the_bases(tmp_path, name):
    assert found(tmp_path, name, "ada@example.org") == []


def test_the_token_in_use_is_found_whatever_it_looks_like(tmp_path):
    (tmp_path / "README.md").write_text("my-own-token-1234\n", encoding="utf-8")
    code = "import sys, pathlib; from release.publishing import leaks; print(*leaks.leaks(pathlib.Path(sys.argv[1])))"
    command = [sys.executable, "-c", code, str(tmp_path)]
    said = subprocess.run(
        command, env={"HF_TOKEN": "my-own-token-1234", "PATH": ""}, capture_output=True, text=True, check=True
    )
    assert said.stdout == "README.md, line 1: a secret\n"


def test_names_that_stand_in_every_card_give_nobody_away():
    for name in ("root", "model", "random", "ada", "localhost"):
        assert not leaks._tells(name)
    assert leaks._tells("lovelace")


def test_this_machines_folders_and_names_are_found(tmp_path):
    assert found(tmp_path, "README.md", str(Path.cwd() / "x"))
    for name in (getpass.getuser(), socket.gethostname()):
        if leaks._tells(name):
            assert found(tmp_path, "README.md", f"made on {name}.")
            assert found(tmp_path, "README.md", f"someone/{name}-model") == []


def test_around_a_card_people_may_say_who_they_are_but_no_secret(tmp_path):
    card = render(example_record())
    path = tmp_path / "README.md"
    path.write_text(card + "\nWrite to ada@example.org.\n", encoding="utf-8")
    assert list(leaks.leaks(tmp_path)) == []
    path.write_text(card + f"\n{TOKEN}\n", encoding="utf-8")
    assert list(leaks.leaks(tmp_path)) == [f"README.md, line {card.count(chr(10)) + 2}: a secret"]
    path.write_text(card.replace("\n## ", "\n## By ada@example.org: ", 1), encoding="utf-8")
    assert "an e-mail address" in next(leaks.leaks(tmp_path))


def test_words_inside_a_picture_are_read(tmp_path):
    mpl.use("agg")
    figure = plt.figure(figsize=(1, 1))
    figure.savefig(tmp_path / "a.png", metadata={"Author": "ada@example.org"})
    figure.savefig(tmp_path / "b.png")
    plt.close(figure)
    (leak,) = leaks.leaks(tmp_path)
    assert leak.startswith("a.png, line")


def test_a_release_that_gives_something_away_is_refused_with_every_place(tmp_path):
    for name in ("README.md", "config.json"):
        found(tmp_path, name, "/home/ada/x")
    with pytest.raises(LeakFound, match=r"config\.json, line 2") as caught:
        leaks.refuse([tmp_path])
    assert "README.md, line 2" in caught.value.seen
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    leaks.refuse([tmp_path])


def write_answered(folder: Path, answer: str, note: str = "") -> None:
    """Write record and card of a release whose model gave this answer, and what its publisher said of the base."""
    base = example_record().base.model_copy(update={"note": note or None})
    measured = example_measurements(answers=example_answers((answer, "The sky is blue.")))
    record = example_record(measurements=measured, base=base)
    (folder / "release.json").write_text(record.to_json(), encoding="utf-8")
    (folder / "README.md").write_text(render(record), encoding="utf-8")


ANSWERED = [
    "Write to john_doe@example.com, please.",
    "Save it as /home/user/my_data/notes.txt <here>.",
    'Open "C:\\Users\\jane\\a b" or\nfile:///etc/passwd.',
    "Look into /var/cache_1/ and /etc/.profile first.",
    f"{'word ' * 9}/home/user/{'a_long_name_' * 60}",
]


@pytest.mark.parametrize("answer", ANSWERED)
def test_an_address_or_a_path_that_a_model_answered_is_the_models(tmp_path, answer):
    write_answered(tmp_path, answer)
    assert list(leaks.leaks(tmp_path)) == []


def test_a_secret_that_a_card_lets_break_is_one_still(tmp_path):
    write_answered(tmp_path, f"It is {TOKEN[:24]}")
    assert MAY_BREAK in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert any(leak.startswith("README.md") and leak.endswith("a secret") for leak in leaks.leaks(tmp_path))


@pytest.mark.parametrize("answer", [ANSWERED[0], "The sky scatters light."])
def test_a_publishers_own_address_stops_a_publication_beside_a_models(tmp_path, answer):
    write_answered(tmp_path, answer, note="Ask ada@example.org.")
    assert {leak.split(", ")[0] for leak in leaks.leaks(tmp_path)} == {"README.md", "release.json"}


@pytest.mark.parametrize("what", ["a folder of this machine", "the user's name", "this machine's name", leaks.FOUND])
def test_what_is_this_machines_stops_a_publication_even_in_a_models_answer(tmp_path, monkeypatch, what):
    monkeypatch.setattr(Path, "home", lambda: Path("/srv/people/lovelace"))
    monkeypatch.setattr(getpass, "getuser", lambda: "lovelace")
    monkeypatch.setattr(socket, "gethostname", lambda: "babbage")
    leaks._of_this_machine.cache_clear()
    said = {
        "a folder of this machine": "/srv/people/lovelace/x",
        "the user's name": "Ask lovelace.",
        leaks.FOUND: TOKEN,
    }
    write_answered(tmp_path, said.get(what, "It runs on babbage."))
    found = list(leaks.leaks(tmp_path))
    leaks._of_this_machine.cache_clear()
    assert {leak.split(", ")[0] for leak in found} == {"README.md", "release.json"}
    assert all(f": {what}" in leak for leak in found)


SECRETS = [TOKEN, "ghp_" + "a1B2" * 9, "glpat-" + "a1B2" * 6, "AKIA" + "A1B2" * 4, "sk-proj-" + "a1B2" * 8]
UPLOADED = [
    *("LICENSE", "NOTICE.txt", "tokenizer.json", "tokenizer.model", "merges.txt", "vocab.json", "chat_template.jinja"),
    *("app.py", "examples.json", "model.sig", "notes.ipynb", "picture.webp", "evaluation/samples.jsonl", "no_ending"),
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("name", UPLOADED)
@pytest.mark.parametrize("where", ["first", "last", "where two pieces meet"])
def test_no_file_is_uploaded_with_a_secret_in_it(tmp_path, monkeypatch, name, secret, where):
    monkeypatch.setattr(leaks, "READ", 1000)
    before = {"first": 0, "last": 3000, "where two pieces meet": 1000 - len(secret) // 2}[where]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"." * (before - 1) + b'"' + secret.encode() + b'"' + b"." * (before or 2000))
    (leak,) = leaks.leaks(tmp_path)
    assert leak.startswith(name)
    assert leak.endswith("a secret")
    assert secret not in leak


def test_looking_for_how_secrets_begin_finds_what_looking_everywhere_finds():
    rng = random.Random(0)
    begins = [begin for alike in leaks.TOKENS for begin in alike]
    parts = [*begins, "-----BEGIN RSA PRIVATE KEY-----", "xox-", "\\n", "\n", "a1B2" * 10, "0" * 16, "abc-", "_", "é"]
    texts = ["".join(rng.choices(parts, k=rng.randint(1, 6))).encode() for _ in range(5_000)]
    secret = [leaks._is_secret(text) for text in texts]
    assert secret == [leaks.IN_BYTES.search(text) is not None for text in texts]
    assert any(secret)
    assert not all(secret)


def test_secrets_in_a_header_and_in_a_table_are_found(tmp_path):
    save_file({"a": np.zeros(3)}, tmp_path / "model.safetensors", {"by": TOKEN})
    table = pa.table({"number": list(range(1000)), "answer": ["no", TOKEN] * 500})
    pq.write_table(table, tmp_path / "bbq.parquet", compression="zstd")
    assert list(leaks.leaks(tmp_path)) == ["bbq.parquet, a secret", "model.safetensors, a secret"]


def test_a_table_that_cannot_be_read_is_still_searched(tmp_path):
    (tmp_path / "bbq.parquet").write_text(f"PAR1 {TOKEN} PAR1")
    assert list(leaks.leaks(tmp_path)) == ["bbq.parquet, a secret"]


@pytest.mark.parametrize("text", ["sk-" + "-" * 40, "-----BEGIN RSA PRIVATE KEY-----", "hf_short", "disk-" + "a" * 10])
def test_a_vocabulary_may_hold_how_a_secret_begins(tmp_path, text):
    assert found(tmp_path, "tokenizer.json", f'"{text}": 17') == []
