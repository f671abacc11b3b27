"""Several masks: the published one is as it would be alone, and how far the others lie from it is on record."""

import json
import math
from pathlib import Path

import pytest

from release.__main__ import run
from release.card import render as card
from release.checkpoint.files import Folder
from release.evals import claims
from release.evals import masks as measuring
from release.evals.spread import spread_of
from release.pruning.registry import METHODS
from release.report import show_measurements
from release.schema.measurements import Mask
from release.schema.record import Record
from release.settings.building import BuildOptions
from release.verification import recompute
from tests import checkpoints
from tests.random_records import VOID_WORDS
from tests.records import example_masks, example_measurements, example_record
from tests.refusal import expect_refusal, publish

ONE_SEED = "How much another seed would change was not measured"
ASKED = ["--bbq", "24", "--perplexity", "4", "--text", str(checkpoints.PROSE), "--device", "cpu"]


def mask(seed: int, value: float | None) -> Mask:
    return Mask(seed=seed, srs=value, lean=value, log_perplexity=value)


def test_the_spread_is_that_worked_out_by_hand():
    found = spread_of([mask(1, 0.1), mask(2, 0.2), mask(3, 0.6)]).srs
    assert found.mean == pytest.approx(0.3)
    deviation = math.sqrt((0.04 + 0.01 + 0.09) / 2)
    assert found.deviation.value == pytest.approx(deviation)
    # The quantiles of chi-squared on 2 degrees of freedom are −2·ln(1 − p).
    bounds = (deviation * math.sqrt(2 / (-2 * math.log(tail))) for tail in (0.025, 0.975))
    assert (found.deviation.low, found.deviation.high) == pytest.approx(tuple(bounds))
    assert found.deviation.df == 2


def test_masks_that_do_the_same_have_no_spread():
    deviation = spread_of([mask(seed, 0.25) for seed in range(4)]).lean.deviation
    assert (deviation.value, deviation.low, deviation.high) == (0, 0, 0)


@pytest.mark.parametrize("values", [(0.1, None), (None, None), (1e300, -1e300), (0.1,)])
def test_where_a_change_is_not_known_for_two_masks_there_is_no_spread(values):
    found = spread_of([mask(seed, value) for seed, value in enumerate(values)])
    assert (found.srs.mean, found.srs.deviation.value) == (None, None)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"random"}))
def test_a_method_whose_mask_the_seed_does_not_decide_is_refused(method, llama, tmp_path, capsys):
    code = publish(llama, tmp_path / "out", "--seeds", "3", "--bbq", "8", method=method)
    expect_refusal(code, tmp_path / "out", capsys, method, "--method random")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seeds", "0"], "--seeds"),
        (["--seeds", "21"], "--seeds"),
        (["--seeds", "-3"], "--seeds"),
        (["--seeds", "many"], "--seeds"),
        (["--seeds", "2", "--seed", str((1 << 63) - 1)], "--seed"),
        (["--seeds", "2", "--bbq", "off"], "both are off"),
    ],
)
def test_masks_that_cannot_be_made_or_compared_are_refused(words, said, llama, tmp_path, capsys):
    code = publish(llama, tmp_path / "out", "--bbq", "8", *words)
    expect_refusal(code, tmp_path / "out", capsys, said)


@pytest.mark.long
def test_a_dry_run_says_how_many_masks(llama, tmp_path, capsys):
    assert publish(llama, tmp_path / "out", "--perplexity", "4", "--seeds", "3", "--seed", "7", "--dry-run") == 0
    assert "3 measured, seeds 7 to 9; the first is published" in capsys.readouterr().out


def made(base: Path, out: Path, *more: str) -> Path:
    command = ["publish", str(base), "--method", "random", "--sparsity", "0.6", "--local", "--out", str(out)]
    assert run([*command, *ASKED, "--latency", "off", *more]) == 0
    [folder] = out.iterdir()
    return folder


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, base_folders: dict[str, Path]) -> Path:
    """A tiny base that can read BBQ's prompts."""
    folder = checkpoints.copy(base_folders["llama"], tmp_path_factory.mktemp("reader") / "llama")
    checkpoints.edit_config(folder, max_position_embeddings=2048)
    return folder


@pytest.fixture(scope="module")
def both(reader: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same release with one mask and with three."""
    root = tmp_path_factory.mktemp("both")
    return made(reader, root / "one"), made(reader, root / "three", "--seeds", "3")


@pytest.mark.long
def test_the_published_files_and_numbers_are_the_same_with_further_masks_and_without(both):
    one, three = (Record.read(folder / "model") for folder in both)
    assert one.audit.files == three.audit.files
    assert one.files == three.files
    run_only = {"seconds": 0.0, "recalled": 0}
    for part in ("bbq", "perplexity"):
        first, second = (getattr(record.measurements, part).model_copy(update=run_only) for record in (one, three))
        assert first == second
    assert one.claims == three.claims
    names = [{p.relative_to(f).as_posix() for p in (f / "model").rglob("*")} for f in both]
    assert names[0] == names[1]


@pytest.mark.long
def test_each_mask_is_measured_as_a_release_of_its_seed_is(both, reader, tmp_path):
    masks = Record.read(both[1] / "model").measurements.masks
    assert [each.seed for each in masks.masks] == [42, 43, 44]
    assert masks.log_perplexity.deviation.value > 0
    other = Record.read(made(reader, tmp_path / "other", "--seed", "43") / "model").measurements.perplexity
    assert masks.masks[1].log_perplexity == pytest.approx(math.log(other.ratio.value), rel=1e-9)


@pytest.mark.long
def test_nothing_is_left_of_further_masks(both):
    left = [path.name for path in (both[1] / "work").rglob("*")]
    assert "further" not in left
    assert not [name for name in left if name.endswith(".safetensors")]


@pytest.mark.long
def test_record_command_card_and_verification_carry_them(both, reader, capsys):
    model = both[1] / "model"
    record = Record.read(model)
    assert record.plan.building.seeds == 3
    assert "--seeds 3" in record.plan.command
    assert "### Between masks" in (model / "README.md").read_text(encoding="utf-8")
    assert ONE_SEED in (both[0] / "model" / "README.md").read_text(encoding="utf-8")
    capsys.readouterr()
    assert run(["verify", str(both[1]), "--base", str(reader), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    found = {check["name"]: check for check in answer["checks"]}
    assert any("not published" in each for each in answer["unproven"])
    assert found["masks"]["ok"] is None
    assert found["claims"]["ok"]


@pytest.mark.long
def test_a_run_that_was_stopped_goes_on_and_leaves_nothing(reader, tmp_path, monkeypatch):
    asked = []

    def stopped(client, seed, *others):
        asked.append(seed)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return measured(client, seed, *others)

    measured = measuring.measured
    monkeypatch.setattr(measuring, "measured", stopped)
    command = ["publish", str(reader), "--method", "random", "--sparsity", "0.6", "--local", "--out", str(tmp_path)]
    command += [*ASKED, "--latency", "off", "--seeds", "3"]
    assert run(command) != 0
    [folder] = tmp_path.iterdir()
    assert not (folder / "work" / "further").exists()
    (folder / "work" / "further" / "model").mkdir(parents=True)  # as a kill leaves it
    (folder / "work" / "further" / "model" / "model.safetensors").write_bytes(b"half")
    assert run(command) == 0
    assert len(asked) == 3, "the first further mask was known"
    assert not (folder / "work" / "further").exists()
    assert len(Record.read(folder / "model").measurements.masks.masks) == 3


OTHER_FIRST = (mask(42, 0.5), mask(43, 0.02), mask(44, 0.03))


@pytest.mark.parametrize(
    ("masks", "seeds", "ok"),
    [
        (example_masks(0.02, 0.03), 3, None),
        (example_masks(0.02, 0.03), 4, False),
        (None, 3, False),
        (example_masks(0.02, 0.03).model_copy(update={"srs": example_masks(0.0, 0.0).srs}), 3, False),
        (
            example_masks(0.02, 0.03).model_copy(update={"masks": OTHER_FIRST}),
            3,
            False,
        ),
        (example_masks(0.02, 0.03).model_copy(update={"masks": ()}), 3, False),
        (example_masks(0.02, 0.03), 10**40, False),
    ],
)
def test_a_spread_that_does_not_follow_from_its_masks_is_noticed(masks, seeds, ok, tmp_path):
    plan = example_record().plan.model_copy(update={"building": BuildOptions(seeds=seeds)})
    record = example_record(plan=plan, measurements=example_measurements(masks=masks))
    [found] = [check for check in recompute.checks(Folder(tmp_path), record) if check.name == "masks"]
    assert found.ok is ok


def test_claims_are_decided_without_the_further_masks():
    audit, found = example_record().audit, example_measurements()
    assert claims.decide(audit, found) == claims.decide(
        audit, found.model_copy(update={"masks": example_masks(0.5, -0.5)})
    )


def test_the_card_and_the_screen_show_every_mask_and_the_spread(capsys):
    masks = example_masks(0.0252, 0.0452)
    text = card.render(example_record(measurements=example_measurements(masks=masks)))
    assert "| 42 (published) | +0.0052 |" in text
    assert "| 44 | +0.0452 | +0.0452 | +0.0452 |" in text
    assert "| Standard deviation | 0.0200 |" in text
    assert "3 masks were made and measured" in text
    assert ONE_SEED not in text
    assert VOID_WORDS.search(text) is None
    show_measurements(example_measurements(masks=masks), as_json=False)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "SD between masks, SRS 0.0200 0.0104 … 0.1257 3" in lines
