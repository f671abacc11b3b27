"""Studies, READMEs, texts and options that nobody can use: one message each, and nothing left behind."""

import os
import shutil
from pathlib import Path

import pytest

from release.__main__ import run
from release.schema.record import Record
from tests import checkpoints
from tests.refusal import expect_refusal, prune, publish, said_once

pytestmark = pytest.mark.timeout(60)

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
)
BROKEN_YAML = {
    "date: 2024-99-99": "month must be in 1..12",
    "n: " + "9" * 5_000: "a number of more than 300 digits",
    "n: " + "1:" * 5_000 + "1": "a number of more than 300 digits",
    "n: !!float abc": "could not convert",
    "n: !!int ''": "is no YAML that can be read",
    "n: !!bool abc": "is no YAML that can be read",
    "n: !!timestamp abc": "is no YAML that can be read",
    "n: " + "[" * 100_000: "in one another",
    "n: " + "[" * 500 + "]" * 500: "in one another",
    "n: " + "{a: " * 500 + "}" * 500: "in one another",
    "n: &n [*n]": "refers to itself",
    "n: *n": "undefined alias",
    BOMB: "more than 100,000 values",
    "n: [\n" + "x,\n" * 250_000 + "]": "more than 100,000 values",
    "n: " + "x" * 2_000_000: "which is as much as is read of it",
    "n: !!python/object/apply:os.system [id]": "uses the tag",
    "n: !!set {a, b}": "uses the tag",
    "n: !mine x": "uses the tag",
    "? [a]\n: b": "is no YAML that can be read",
    "a: b: c": "is no YAML that can be read",
    "a: 'x": "is no YAML that can be read",
    "a: \x1b[2J": "is no YAML that can be read",
    "- a\n- b": "holds no fields",
    "just words": "holds no fields",
}
NAMES = [text[:30] for text in BROKEN_YAML]


@pytest.mark.parametrize(("text", "words"), [*BROKEN_YAML.items(), ("", "holds no fields")], ids=[*NAMES, "nothing"])
def test_a_study_that_cannot_be_read_is_refused(text, words, llama, tmp_path, capsys, little_memory):
    (tmp_path / "study.yaml").write_text(text)
    code = prune(llama, tmp_path / "out", "--study", str(tmp_path / "study.yaml"))
    expect_refusal(code, tmp_path / "out", capsys, "The study study.yaml", words, "docs/study.md")


STUDY = "title: t\nauthors: a\nbibtex: '@misc{x}'\n"
FIELDS = {
    "title: ''": "title",
    "title: [x]": "title",
    "bibtex: x": "bibtex",
    "arxiv: 1": "arxiv",
    "url: javascript:x": "url",
    "sparsities: [1e999999]": "sparsities",
    "sparsities: ['1e-999999']": "sparsities",
    "sparsities: [2]": "sparsities",
    "sparsities: [.nan]": "sparsities",
    "sparsities: [x]": "sparsities",
    "suffix: ../x": "suffix",
    "suffix: " + "x" * 100: "suffix",
    "results: [3]": "results",
    "models: 3": "models",
    "unknown: 3": "unknown",
    "3: x": "3",
}


@pytest.mark.parametrize(("line", "words"), FIELDS.items(), ids=[text[:30] for text in FIELDS])
def test_a_study_with_a_wrong_field_names_it(line, words, llama, tmp_path, capsys):
    field = line.partition(":")[0]
    rest = "".join(f"{each}\n" for each in STUDY.splitlines() if not each.startswith(f"{field}:"))
    (tmp_path / "study.yaml").write_text(rest + line)
    code = prune(llama, tmp_path / "out", "--study", str(tmp_path / "study.yaml"))
    expect_refusal(code, tmp_path / "out", capsys, "study.yaml", words)


@pytest.mark.quick_rows(5)
@pytest.mark.parametrize(("text", "words"), BROKEN_YAML.items(), ids=NAMES)
def test_a_base_whose_readme_is_broken_is_pruned_and_said_to_state_no_licence(
    text, words, llama, tmp_path, capsys, little_memory
):
    (llama / "README.md").write_text(f"---\nlicense: mit\n{text}\n---\n# Base\n")
    assert prune(llama, tmp_path / "out") == 0
    said = capsys.readouterr().err
    if "just" not in text and not text.startswith("- "):
        assert words in said
    assert "count as not stated" in said
    assert Record.read(tmp_path / "out").base.licence.id is None


def made(release: Path, out: Path) -> Path:
    return Path(shutil.copytree(release, out))


@pytest.mark.quick_rows(12)
@pytest.mark.parametrize("command", ["card", "verify"])
@pytest.mark.parametrize(("text", "words"), BROKEN_YAML.items(), ids=NAMES)
def test_a_card_whose_front_matter_is_broken_is_named(command, text, words, release, tmp_path, capsys, little_memory):
    out = made(release, tmp_path / "out")
    card = (out / "README.md").read_text().replace("---\n", f"---\n{text}\n", 1)
    (out / "README.md").write_text(card)
    capsys.readouterr()
    code = run([command, str(out)])
    said = capsys.readouterr()
    assert code == (2 if command == "card" else 1)
    assert "the front matter" in said.out + said.err
    assert "Traceback" not in said.err
    assert (out / "README.md").read_text() == card


@pytest.mark.parametrize("line", ["3: x", "null: x", "2024-01-01: x", "1.5: {2: [3]}", "true: x", "mine: 2024-01-01"])
@pytest.mark.parametrize("command", [["card"], ["card", "--diff"], ["verify"]])
def test_odd_names_in_a_front_matter_are_a_persons_own(command, line, release, tmp_path, capsys):
    out = made(release, tmp_path / "out")
    (out / "README.md").write_text((out / "README.md").read_text().replace("---\n", f"---\n{line}\n", 1))
    capsys.readouterr()
    assert run([command[0], str(out), *command[1:]]) == 0, capsys.readouterr()


@pytest.mark.parametrize("tag", ["{a: b}", "[x, y]", "3", "null", "2024-01-01"])
def test_a_tag_that_is_no_word_is_named(tag, release, tmp_path, capsys):
    out = made(release, tmp_path / "out")
    card = (out / "README.md").read_text()
    assert "tags:\n" in card
    (out / "README.md").write_text(card.replace("tags:\n", f"tags:\n- {tag}\n", 1))
    capsys.readouterr()
    assert run(["card", str(out)]) == 2
    said_once(capsys, "tags holds an entry that is no text")


def pipe(path: Path) -> str:
    os.mkfifo(path)
    return "is no regular file"


def endless(path: Path) -> str:
    path.symlink_to("/dev/zero")
    return "is no regular file"


def folder(path: Path) -> str:
    path.mkdir()
    return "cannot be read"


def missing(path: Path) -> str:
    return "cannot be read"


def latin(path: Path) -> str:
    path.write_bytes("Grüße ".encode("latin-1") * 1_000)
    return "is no UTF-8 text (byte 2)"


def binary(path: Path) -> str:
    path.write_bytes(bytes(range(256)) * 100)
    return "is no UTF-8 text"


def blank(path: Path) -> str:
    path.write_text(" \n" * 1_000)
    return "holds no text"


def short(path: Path) -> str:
    path.write_text("a few words")
    return "words.txt"


def too_large(path: Path) -> str:
    with path.open("wb") as file:
        file.truncate(65 << 20)
    return "which is as much as is read of it"


@pytest.mark.parametrize("spoil", [pipe, endless, folder, missing, latin, binary, blank, short, too_large])
@pytest.mark.parametrize("option", ["--text", "--calibration"])
def test_a_text_that_is_none_is_refused(option, spoil, llama, tmp_path, capsys, little_memory):
    words = spoil(tmp_path / "words.txt")
    if option == "--text":
        code = publish(llama, tmp_path / "out", "--perplexity", "2", "--text", str(tmp_path / "words.txt"))
    else:
        code = prune(llama, tmp_path / "out", "--calibration", str(tmp_path / "words.txt"), method="wanda")
        words = words if spoil in (latin, binary, blank, short, too_large) else "no calibration text"
    expect_refusal(code, tmp_path / "out", capsys, "words.txt", words)


@pytest.mark.long
def test_a_text_of_one_long_line_is_read_in_little_memory(llama, tmp_path, little_memory):
    (tmp_path / "line.txt").write_text("word " * 1_000_000)
    assert publish(llama, tmp_path / "out", "--perplexity", "2", "--text", str(tmp_path / "line.txt")) == 0


@pytest.mark.parametrize("spoil", [pipe, endless, folder, missing, latin])
def test_a_study_that_is_no_file_is_refused(spoil, llama, tmp_path, capsys, little_memory):
    words = spoil(tmp_path / "study.yaml")
    code = prune(llama, tmp_path / "out", "--study", str(tmp_path / "study.yaml"))
    expect_refusal(code, tmp_path / "out", capsys, "The study study.yaml", words)


LONG = "9" * 5_000
OPTIONS = [
    (["--pattern", f"{LONG}:{LONG}"], "is not understood"),
    (["--pattern", "2:4\x1b[2J"], "is not understood"),
    (["--pattern", "٢:٤"], "is not understood"),
    (["--seed", LONG], "--seed"),
    (["--seed", "-1"], "--seed"),
    (["--seed", "1" * 30], "--seed"),
    (["--threads", LONG], "--threads"),
    (["--threads", "100000"], "--threads"),
    (["--threads", "-1"], "--threads"),
    (["--calibration-samples", "1" * 30], "--calibration-samples"),
    (["--calibration-samples", LONG], "--calibration-samples"),
    (["--calibration-samples", "0"], "--calibration-samples"),
    (["--calibration-length", "1" * 30], "--calibration-length"),
    (["--method", "x" * 100_000], "There is no pruning method"),
    (["--method", "\x1b]0;owned\x07"], "There is no pruning method"),
    (["--scope", "x" * 100_000], "is not understood"),
    (["--allocation", "\x1b[2J"], "is not understood"),
    (["--uncalibrated", "x" * 100_000], "is not understood"),
    (["--sparsity", "1e-999999"], "more than 30 decimals"),
    (["--sparsity", "0." + "1" * 5_000], "more than 30 decimals"),
    (["--sparsity", "1e999999"], "is not between 0 and 1"),
    (["--sparsity", LONG], "is not between 0 and 1"),
    (["--sparsity", "sNaN"], "is not a number"),
    (["--sparsity", "-0"], "is not between 0 and 1"),
    (["--sparsity", "0.1,1e-999999"], "more than 30 decimals"),
    (["--sparsity", "0.1\x00"], "is not a number"),
    (["--sparsity", "1e99999999999999999999"], "Sparsity"),
    (["--calibration", "x" * 300], "x"),
    (["--calibration", "a\x00b"], "There is no calibration text"),
    (["--study", "a\x00b"], "null byte"),
    (["--study", "x" * 5_000], "cannot be read"),
]


@pytest.mark.parametrize(("words", "expected"), OPTIONS, ids=[" ".join(words)[:40] for words, _ in OPTIONS])
def test_an_option_out_of_all_bounds_is_refused(words, expected, llama, tmp_path, capsys, little_memory):
    expect_refusal(prune(llama, tmp_path / "out", *words), tmp_path / "out", capsys, expected)


@pytest.mark.parametrize("option", ["--bbq", "--perplexity", "--latency"])
@pytest.mark.parametrize("value", [LONG, "1" * 10, "٣", "1_000", "+5", " 5", "5 ", "0x10", "1e3", "\x1b[2J"])
def test_an_amount_out_of_all_bounds_is_refused(option, value, llama, tmp_path, capsys):
    code = publish(llama, tmp_path / "out", option, value)
    expect_refusal(code, tmp_path / "out", capsys, option, "is not understood", "999,999,999")


@pytest.mark.parametrize("method", ["random", "wanda"])
@pytest.mark.parametrize(
    "device", ["meta", "meta:0", "abacus", "cuda:99", "cpu:x", "", "\x1b[2J", "x" * 100_000, "xla", "mps"]
)
def test_a_device_that_computes_nothing_here_is_refused_before_any_work(device, method, llama, tmp_path, capsys):
    code = publish(llama, tmp_path / "out", "--device", device, *checkpoints.CALIBRATION, method=method)
    expect_refusal(code, tmp_path / "out", capsys, "Device", "cpu")


@pytest.mark.parametrize("command", ["publish", "verify", "card", "push", "measure", "rebuild"])
@pytest.mark.parametrize("path", ["x" * 5_000, "a\x00b", "nowhere/at/all", "\x1b[2J", "/dev/null", "\ud800"])
def test_a_path_that_leads_nowhere_is_refused(command, path, tmp_path, capsys):
    more = {
        "publish": ["--method", "random", "--sparsity", "0.1", "--local", "--out", str(tmp_path / "out")],
        "measure": ["--base", path],
        "rebuild": ["--base", path, "--out", str(tmp_path / "out")],
    }
    code = run([command, path, *more.get(command, [])])
    said_once(capsys)
    assert code == 2
    assert not (tmp_path / "out").exists()
