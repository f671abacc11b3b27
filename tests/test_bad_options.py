"""Options that are refused: at once, in one line with a remedy, and by a dry run as by the run itself."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from release.__main__ import run
from tests.commands import OFF

REFUSED = (
    *("--sparsity 0", "--sparsity abc", "--sparsity 10", "--sparsity 0.1,0.3", "--sparsity nan"),
    *("--seed -1", "--seed abc", "--sample-seed -1", "--threads -1", "--threads 2000", "--seeds 0", "--seeds 21"),
    *("--pattern 3:2", "--pattern 2:4", "--scope block", "--allocation owl", "--allocation some"),
    *("--method wand", "--method magnitude --seeds 2", "--method sparsegpt --with-mask", "--uncalibrated maybe"),
    *("--method wanda --calibration {here}/none.txt", "--method wanda --calibration {here}/empty.txt"),
    *("--calibration-samples 0", "--calibration-length 1", "--study {here}/none.yaml", "--study {here}/empty.txt"),
    *("--bbq 0", "--bbq some", "--bbq 8 --bbq-scoring letter", "--bbq 8 --bbq-categories Nope", "--precision 2"),
    *("--bbq 8 --precision 0.1", "--bbq 8 --bbq-data {here}/none", "--bbq 8 --bbq-data {here}"),
    *("--perplexity 0", "--perplexity 2 --window 1", "--perplexity 2 --stride 0", "--perplexity 2 --window 999999"),
    *("--perplexity 2 --text {here}/none.txt", "--perplexity 2 --text {here}/empty.txt", "--perplexity-preset some"),
    *("--latency 0", "--latency 8 --latency-engine abacus", "--tasks-limit 5", "--divergence some", "--answers some"),
    *("--crows-pairs 0", "--stereoset some", "--winobias -3", "--evals nothing", "--evals bbq --bbq off"),
    *("--import-lm-eval {here}/none.json {here}/none.json", "--eval-dtype float64", "--log-format csv"),
    *("--device gpu", "--device cuda:7", "--max-memory lots", "--to 'my lab'", "--into model", "--gated maybe"),
    *("--into ada/a --into ada/b", "--pr --revision dev", "--space-timeout 0", "--resource-group 'a b'"),
    *("--contact ftp://x", "--base-id model", "--license 'no such'", "--base-note ''", "--weights some"),
    *("--sign {here}/none.pem", "--method sparsegpt --weights none", "--out {here}/empty.txt", "--zzz"),
)
"""What is wrong with a command line of `publish` that is right without it."""

NOT_OF_PRUNING = ("--device", "--sign", "--seeds", "--bbq", "--perplexity", "--latency", "--tasks", "--answers")
PRUNING = (
    *("", "--method wanda --device cuda:7"),
    *(each for each in REFUSED if not each.startswith(NOT_OF_PRUNING)),
)
MEASURED = (
    *("--bbq 0", "--perplexity 2 --text {here}/none.txt", "--device gpu", "--device cuda:7", "--eval-dtype float64"),
    *("--bbq 8 --bbq-data {here}", "--evals nothing", "--latency 8 --latency-engine abacus", "--out {here}/empty.txt"),
)
REFUSED_ELSEWHERE = (
    *(
        "push {here}/none",
        "push {here}",
        "push {here}/none --dry-run",
        "push {here} --gated maybe",
        "push {here} --local",
    ),
    *("sweep {here}/none.yaml", "sweep {here}/empty.txt", "sweep {here}/none.yaml --dry-run", "sweep --parallel 0"),
    *("sweep {here}/none.yaml --ray --jobs cpu-basic", "sweep {here}/none.yaml --ray nowhere"),
    *("sweep {here}/none.yaml --jobs cpu-basic --job-timeout long", "verify {here}", "verify {here} --key {here}/none"),
    *("verify {here} --spot-check 0", "rebuild {here} --base demo --out {here}/made", "card {here}", "demo {here}"),
    *(
        "cache --clear nothing",
        "report {here} {here}",
        "watch model",
        "doctor --out",
        "methods --jsn",
        "publish demo --seeds",
    ),
)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "empty.txt").write_text("")
    return tmp_path


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run what has to be refused; return the refusal and its remedy."""
    code, said = run(words), capsys.readouterr()
    assert code == 2, said.err
    seen = said.err[said.err.index("Error: ") :]
    assert said.out == ""
    assert "Traceback" not in seen
    assert len(seen.splitlines()) > 1, "a remedy stands on a line of its own"
    return seen


def split(line: str, here: Path) -> list[str]:

    return shlex.split(line.format(here=here))


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_dry_run_refuses_what_publishing_refuses_in_the_same_words(
    wrong: str, here: Path, base_folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["publish", str(base_folders["llama"]), "-m", "random", "-s", "0.3", *OFF, "-o", str(here / "out")]
    where = [] if any(word in wrong for word in ("--to", "--into")) else ["--local"]
    both = [refusal([*words, *where, *split(wrong, here), *dry], capsys) for dry in ([], ["--dry-run"])]
    assert both[0] == both[1]
    assert not (here / "out").exists()


@pytest.mark.parametrize("wrong", PRUNING[::3])
def test_a_dry_run_refuses_what_pruning_refuses_in_the_same_words(
    wrong: str, here: Path, base_folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prune", str(base_folders["llama"]), "-m", "random", "-s", "0.3,0.3" if not wrong else "0.3"]
    words += ["-o", str(here / "out"), *split(wrong, here)]
    both = [refusal([*words, *dry], capsys) for dry in ([], ["--dry-run"])]
    assert both[0] == both[1]
    assert not (here / "out").exists()


@pytest.mark.parametrize("wrong", MEASURED)
def test_measuring_refuses_a_bad_option_before_any_work(
    wrong: str, here: Path, base_folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(base_folders["llama"])
    told = refusal(["measure", folder, "--base", folder, *OFF, *split(wrong, here)], capsys)
    assert told


@pytest.mark.parametrize("line", REFUSED_ELSEWHERE)
def test_every_other_command_refuses_in_one_line_with_a_remedy(
    line: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert refusal(split(line, here), capsys)


# A folder that holds something else

CHANGED = [
    ("-s 0.5", "--sparsity is 0.3 there, 0.5 here"),
    ("--seed 43", "--seed is 42 there, 43 here"),
    ("-m magnitude", "--method is random there, magnitude here"),
    ("--pattern 2:4 -s 0.5", "--pattern is not given there, 2:4 here"),
]


@pytest.mark.parametrize(("other", "apart"), CHANGED)
def test_a_folder_of_other_settings_is_refused_before_the_base_is_looked_at(
    other: str, apart: str, here: Path, release: Path, base_folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    made = shutil.copytree(release, here / "made")
    words = ["prune", str(base_folders["llama"]), "-m", "random", "-s", "0.3", "-o", str(made), *other.split()]
    for dry in ([], ["--dry-run"]):
        told = refusal([*words, *dry], capsys)
        assert "made holds something else: --" in told
        assert apart in told
        assert "Give another --out" in told


def test_what_a_finished_release_was_measured_by_is_not_replaced_without_a_word(
    here: Path, base_folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "text.txt").write_text("All that is gold does not glitter, not all those who wander are lost. " * 400)
    words = ["publish", str(base_folders["llama"]), "-m", "random", "-s", "0.3", *OFF, "--local", "-o", str(here / "o")]
    assert run(words) == 0
    record = here / "o/llama-random-s30/model/release.json"
    before = record.read_bytes()
    capsys.readouterr()
    more = ["--perplexity", "2", "--text", str(here / "text.txt"), "--window", "64"]
    for dry in ([], ["--dry-run"]):
        told = refusal([*words, *more, *dry], capsys)
        assert "was measured otherwise: --perplexity is off there, 2 here" in told
        assert "Give --overwrite" in told
    assert run(words) == 0
    assert record.read_bytes() == before
    assert run([*words, *more, "--overwrite"]) == 0
    assert b'"perplexity": {' in record.read_bytes()


def test_a_push_without_a_login_says_what_it_would_send(
    release: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = {path: path.stat().st_mtime_ns for path in release.rglob("*")}
    assert run(["push", str(release), "--to", "lab", "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    shown = [path for path in release.rglob("*") if path.is_file()]
    assert (told["files"], told["bytes_to_send"]) == (len(shown), sum(path.stat().st_size for path in shown))
    assert told["repositories"] == ["lab/llama-random-s30"]
    assert run(["push", str(release), "--weights", "none", "--into", "lab/own", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "lab/own" in said
    assert "The Hub       was not asked." in said
    assert {path: path.stat().st_mtime_ns for path in release.rglob("*")} == before


@pytest.mark.parametrize(
    ("command", "out", "why"),
    [
        ("rebuild {release} --base {base}", "{release}", "is the release itself"),
        ("rebuild {release} --base {base}", "{release}/model", "lies inside a release"),
        ("rebuild {release} --base {base}", "{base}/made", "lies inside the base model"),
    ],
)
def test_nothing_is_rebuilt_in_the_place_of_what_it_is_made_of(
    command: str, out: str, why: str, release: Path, base_folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"release": release, "base": base_folders["llama"]}
    before = {path for folder in given.values() for path in folder.rglob("*")}
    assert why in refusal([*command.format(**given).split(), "--out", out.format(**given)], capsys)
    assert {path for folder in given.values() for path in folder.rglob("*")} == before


def test_what_is_to_be_measured_is_looked_for_before_anything_is_laid_out(
    here: Path, base_folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal(["measure", str(here / "none"), "--base", str(base_folders["llama"])], capsys)
    assert "There is no folder" in told
