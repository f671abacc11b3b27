"""The divergence: it is that of plain full-precision passes, 0 for equal models, and follows from its table."""

import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from release.card.render import render
from release.errors import BadOption, DiskFull, UnusableData
from release.evals.divergence import kept as kept_of
from release.evals.divergence.again import again
from release.evals.divergence.amount import amount, evenly
from release.evals.divergence.claims import KEPT, MOVED, kept, moved
from release.evals.divergence.compare import AskedPositions, compare
from release.evals.divergence.kept import KeptLogProbs
from release.evals.divergence.positions import compared
from release.evals.divergence.result import Divergence
from release.evals.divergence.shared import SharedLogProbs
from release.evals.divergence.table import read_positions, write_positions
from release.evals.run import EvalPlan, prepare, readings
from release.evals.run import compared as results_of
from release.evals.work import ModelPair
from release.models.load import loaded
from release.progress import Console
from release.settings.measuring import Measuring
from release.sources.cache import shared_in
from tests import checkpoints
from tests.commands import run
from tests.records import example_measurements, example_record

TEXT = "".join(f"Line {i} tells that {i * 7919 % 97} is a number. " for i in range(200))
CPU = torch.device("cpu")
WINDOWS = 8


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def pruned(tiny: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half of the weights of the tiny Llama."""
    out = tmp_path_factory.mktemp("pruned") / "model"
    words = ["prune", str(tiny["llama"]), "--method", "magnitude", "--sparsity", "0.5", "--out", str(out)]
    assert run(words) == 0
    return out


def planned(dense: Path, text: Path, console: Console, **asked: Any) -> EvalPlan:
    words = {"evals": ("perplexity",), "perplexity": str(WINDOWS), "text": text, "device": "cpu"}
    return prepare(dense, Measuring.of(**words | asked), console)


def read(plan: EvalPlan, dense: Path, pruned: Path, console: Console) -> tuple[dict[str, Any], Any]:
    """Read both models, and return the results and what was read of the pruned one."""
    settled, found, _ = readings(plan, ModelPair(dense, pruned), console)
    return results_of(settled, found), found["pruned"]["divergence"]


def by_hand(folder: Path, windows: np.ndarray) -> torch.Tensor:
    """Log-probabilities of plain passes, window by window, in double precision."""
    with loaded(folder, CPU, torch.float32) as model, torch.inference_mode():
        rows = [model(torch.tensor([row])).logits[0, :-1].double() for row in windows.tolist()]
        return torch.stack([torch.log_softmax(each, dim=-1) for each in rows])


def test_it_is_that_of_plain_passes_in_full_precision(
    tiny: dict[str, Path], pruned: Path, text: Path, console: Console
) -> None:
    with closing(planned(tiny["llama"], text, console)) as plan:
        found, positions = read(plan, tiny["llama"], pruned, console)
    windows: Any = plan.tasks["perplexity"]
    p, q = (by_hand(folder, windows.windows) for folder in (tiny["llama"], pruned))
    divergence = (p.exp() * (p - q)).sum(dim=-1)
    result: Divergence = found["divergence"]
    kl, same, right = result.scores
    assert kl.pruned.value == pytest.approx(float(divergence.mean()), rel=1e-5)
    assert np.allclose(positions[:, :, 0], divergence.numpy(), rtol=1e-3, atol=1e-7)
    assert same.pruned.value == pytest.approx(float((p.argmax(-1) == q.argmax(-1)).double().mean()))
    target = torch.tensor(windows.windows[:, 1:]).long()[..., None]
    chances = [side.gather(2, target).exp() for side in (p, q)]
    assert right.dense.value == pytest.approx(float(chances[0].mean()), rel=1e-5)
    assert right.difference.value == pytest.approx(float((chances[1] - chances[0]).mean()), abs=1e-7)
    assert result.right_rms.value == pytest.approx(float(((chances[1] - chances[0]) ** 2).mean().sqrt()), rel=1e-4)
    expected = np.quantile(divergence.numpy(), [0.5, 0.99, 0.999])
    assert [result.median.value, result.p99.value, result.p999.value] == pytest.approx(expected, rel=1e-4)
    assert found["perplexity"].dense.value == pytest.approx(float(torch.exp(-p.gather(2, target).mean())), rel=1e-5)


def test_a_model_beside_itself_diverges_by_exactly_nothing(tiny: dict[str, Path], text: Path, console: Console) -> None:
    with closing(planned(tiny["llama"], text, console, perplexity="16")) as plan:
        found, positions = read(plan, tiny["llama"], tiny["llama"], console)
    assert not positions[:, :, 0].any()
    assert positions[:, :, 1].all()
    kl, same, right = found["divergence"].scores
    assert (kl.pruned.value, kl.pruned.low, kl.pruned.high) == (0, 0, 0)
    assert (same.pruned.value, right.difference.value, found["divergence"].largest) == (1, 0, 0)
    measured = example_measurements(divergence=found["divergence"])
    assert (moved(None, measured).verdict, kept(None, measured).verdict) == ("contradicted", "supported")
    assert "exactly 0" in render(example_record(measurements=measured))


class Counting(Console):
    """Remembers the names of its steps, but for those that load a model."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.steps: list[str] = []

    def step(self, name: str, *rest: Any, **more: Any) -> Any:
        self.steps += [] if name.startswith("Load") else [name]
        return super().step(name, *rest, **more)


DENSE, PRUNED = "Perplexity, dense", "Perplexity, pruned"


def test_no_model_is_read_twice_and_a_dense_one_once_for_all_its_copies(
    tiny: dict[str, Path], pruned: Path, text: Path
) -> None:
    console = Counting()
    with closing(planned(tiny["llama"], text, console)) as plan:
        first, _ = read(plan, tiny["llama"], pruned, console)
        assert console.steps == [DENSE, PRUNED]
        again, _ = read(plan, tiny["llama"], pruned, console)
        assert console.steps == [DENSE, PRUNED]
        assert again["divergence"] == first["divergence"]
        read(plan, tiny["llama"], tiny["llama"], console)
        assert console.steps == [DENSE, PRUNED, PRUNED]
    # What was kept is gone; of a new copy both sides are read again.
    with closing(planned(tiny["llama"], text, console)) as plan:
        assert read(plan, tiny["llama"], pruned, console)[0]["divergence"] == first["divergence"]
        assert console.steps == [DENSE, PRUNED, PRUNED]
        read(plan, pruned, tiny["llama"], console)
        assert console.steps == [DENSE, PRUNED, PRUNED, DENSE, PRUNED]


def test_one_window_at_a_time_is_in_memory_and_nothing_stays_on_the_disk(tmp_path: Path) -> None:
    kept = KeptLogProbs(tmp_path / "cache", 3, 5)
    rows = [torch.randn(3, 5) for _ in range(4)]
    assert kept.holds("a") == frozenset()
    for number, each in enumerate(rows):
        kept.put(number, each)
    assert all(torch.equal(kept.of(number, CPU), each) for number, each in enumerate(rows))
    found = kept.of(1, CPU)
    found += 1  # changes nothing on the disk
    assert torch.equal(kept.of(1, CPU), rows[1])
    assert kept.holds("a") == {0, 1, 2, 3}
    assert kept.holds("b") == frozenset()
    kept.put(0, rows[2])
    assert torch.equal(kept.of(0, CPU), rows[2])
    kept.close()
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.fixture
def shared(tmp_path: Path, console: Console) -> Callable[..., SharedLogProbs]:
    """What the tasks of a sweep share, as one of them sees it."""
    return lambda windows=(4, 1): SharedLogProbs(tmp_path / "shared", (3, 5), "asked", windows, console)


def test_what_one_task_read_of_a_dense_model_is_there_for_the_others(shared: Callable[..., SharedLogProbs]) -> None:
    rows = {1: torch.randn(3, 5), 4: torch.randn(3, 5)}
    one, two = shared(), shared()
    assert one.holds("dense") == frozenset()
    one.put(4, rows[4])
    assert one.holds("dense") == {4}
    one.put(1, rows[1])
    one.close()
    assert two.holds("dense") == {1, 4}
    two.put(1, rows[4])  # a pass that is made all the same changes nothing
    assert all(torch.equal(two.of(number, CPU), each) for number, each in rows.items())
    assert two.holds("another") == frozenset()
    two.close()


def test_what_a_task_left_half_is_read_anew(shared: Callable[..., SharedLogProbs]) -> None:
    one, two = shared(), shared()
    one.holds("dense")
    one.put(1, torch.zeros(3, 5))
    one.close()
    assert two.holds("dense") == frozenset()
    two.close()


def test_two_tasks_that_write_at_a_time_keep_each_its_own(shared: Callable[..., SharedLogProbs]) -> None:
    """Turns keep them apart; where none could be had, neither spoils what the other reads."""
    rows = torch.randn(4, 3, 5)
    one, two = shared(), shared()
    one.holds("dense")
    assert two.holds("dense") == frozenset()
    for task, (first, last) in ((one, rows[:2]), (two, rows[2:])):
        task.put(1, first)
        task.put(4, last)
    for task, (first, last) in ((one, rows[:2]), (two, rows[2:])):
        assert torch.equal(task.of(1, CPU), first)
        assert torch.equal(task.of(4, CPU), last)
        task.close()
    later = shared()
    assert later.holds("dense") == {1, 4}
    assert torch.equal(later.of(4, CPU), rows[3])
    later.close()
    assert len(list(later.folder.iterdir())) == 1, "nothing half is left"


def test_a_shared_folder_without_room_leaves_each_task_to_itself(
    tiny: dict[str, Path], text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    console = Console(quiet=True)
    monkeypatch.setattr(console, "say", told.append)
    monkeypatch.setattr(SharedLogProbs, "nbytes", 1 << 60)
    with shared_in(tmp_path / "shared"), closing(planned(tiny["llama"], text, console)) as plan:
        assert not isinstance(plan.tasks["divergence"].kept, SharedLogProbs)
    assert "So this task reads the dense model for itself." in told[-1]


def test_a_file_that_a_kill_would_leave_has_no_name(tmp_path: Path) -> None:
    kept = KeptLogProbs(tmp_path, 3, 5)
    kept.put(0, torch.zeros(3, 5))
    assert os.name == "nt" or list(tmp_path.iterdir()) == []


def test_too_little_disk_is_told_before_any_work(tiny: dict[str, Path], text: Path, console: Console, monkeypatch):
    monkeypatch.setattr(kept_of, "SPARE", 1 << 60)
    with pytest.raises(DiskFull, match="8 windows take 1153 PB") as caught:
        planned(tiny["llama"], text, console)
    assert "--divergence off" in caught.value.remedy
    planned(tiny["llama"], text, console, divergence="off")


def test_models_of_other_vocabularies_are_refused_before_either_is_read(
    tiny: dict[str, Path], tmp_path: Path, text: Path
) -> None:
    console = Counting()
    other = checkpoints.copy(tiny["llama"], tmp_path / "other")
    checkpoints.edit_config(other, vocab_size=321)
    with closing(planned(tiny["llama"], text, console)) as plan, pytest.raises(UnusableData, match="321") as caught:
        read(plan, tiny["llama"], other, console)
    assert console.steps == []
    assert "--divergence off" in caught.value.remedy


def test_a_broken_model_is_named(tiny: dict[str, Path], tmp_path: Path, text: Path, console: Console) -> None:
    folder = checkpoints.broken(tiny["llama"], tmp_path / "broken")
    with (
        closing(planned(tiny["llama"], text, console)) as plan,
        pytest.raises(UnusableData, match="The pruned model returned NaN"),
    ):
        read(plan, tiny["llama"], folder, console)


LOGITS = st.lists(st.floats(-30, 30, width=32), min_size=7, max_size=7)


@given(st.lists(st.tuples(LOGITS, LOGITS), min_size=1, max_size=5))
def test_positions_are_compared_as_the_formulas_say(rows):
    p, q = (torch.tensor([pair[side] for pair in rows]).log_softmax(-1) for side in (0, 1))
    tokens = torch.arange(len(rows)) % 7
    found = compared(p, q, tokens)
    expected = (p.double().exp() * (p.double() - q.double())).sum(-1)
    assert found[:, 0] == pytest.approx(expected.numpy(), rel=1e-4, abs=1e-6)
    assert (found[:, 0] >= 0).all()
    assert found[:, 2].tolist() == [float(p[at, token]) for at, token in enumerate(tokens)]


def test_a_token_that_one_model_rules_out_counts_as_the_definition_says():
    out = -torch.inf
    p = torch.tensor([[0.0, out], [np.log(0.5)] * 2]).float()
    q = torch.tensor([[np.log(0.5)] * 2, [0.0, out]]).float()
    found = compared(p, q, torch.tensor([0, 0]))
    assert found[0, 0] == pytest.approx(np.log(2))
    assert found[1, 0] == np.inf


@given(st.integers(1, 300), st.integers(1, 300))
def test_chosen_windows_lie_evenly_and_each_once(windows, count):
    count = min(windows, count)
    found = list(evenly(windows, count))
    assert len(found) == len(set(found)) == count
    assert found == sorted(found)
    assert 0 <= found[0] <= found[-1] < windows
    steps = np.diff([found[0] - windows, *found, found[0] + windows])
    assert count == 1 or steps[1:-1].max() - steps[1:-1].min() <= 1


@pytest.mark.parametrize(
    ("asked", "windows", "nbytes", "due"),
    [
        ("auto", 32, 50_000_000, 32),
        ("auto", 146, 402_000_000, 39),
        ("auto", 146, 10**12, 16),
        ("full", 146, 10**12, 146),
        ("20", 32, 1, 20),
        ("200", 32, 1, 32),
    ],
)
def test_how_many_windows_are_compared(asked, windows, nbytes, due):
    assert amount(asked, windows, nbytes) == due


def positions_of(divergence: float, same: float, windows: int = 32, size: int = 20) -> np.ndarray:
    rng = np.random.default_rng(1)
    found = np.empty((windows, size, 4), np.float32)
    found[:, :, 0] = divergence * rng.gamma(4, 0.25, (windows, size))
    found[:, :, 1] = rng.random((windows, size)) < same
    found[:, :, 2:] = -rng.random((windows, size, 2)) * 3
    return found


ASKED = AskedPositions(32, 49_152, "float32")


@pytest.mark.parametrize(
    ("divergence", "same", "verdicts"),
    [
        (0.5, 0.7, ("supported", "contradicted")),
        (0.001, 0.99, ("contradicted", "supported")),
        (MOVED, KEPT, ("inconclusive", "inconclusive")),
    ],
)
def test_what_is_claimed_follows_from_the_intervals(divergence, same, verdicts):
    measured = example_measurements(divergence=compare(ASKED, positions_of(divergence, same)))
    found = (moved(None, measured), kept(None, measured))
    assert tuple(each.verdict for each in found) == verdicts
    assert all(each.p_value is not None for each in found)
    for each, score in zip(found, measured.get("divergence").scores, strict=False):
        assert (each.p_value < 0.05) == (each.verdict != "inconclusive"), score


def test_few_windows_claim_nothing():
    found = compare(ASKED, positions_of(0.5, 0.7, windows=15))
    measured = example_measurements(divergence=found)
    assert (moved(None, measured).verdict, kept(None, measured).verdict) == ("inconclusive", "inconclusive")
    assert (found.median.low, found.scores[0].pruned.low) == (None, None)


def test_it_stands_on_the_card_and_only_where_it_was_measured():
    found = compare(ASKED, positions_of(0.5, 0.7))
    card = render(example_record(measurements=example_measurements(divergence=found))).replace("\u00a0", " ")
    assert "| KL divergence, nats per token | 0.000 → **0.487** | +0.487 (+0.467 to +0.509) | ● moved |" in card
    assert "over all 49,152 tokens of the vocabulary" in card
    assert "dutta2024accuracy" in card
    assert "ivergence" not in render(example_record())


def spoilt(rows: list[dict[str, Any]], how: str) -> list[dict[str, Any]]:
    return {
        "dropped": rows[1:],
        "turned": rows[::-1],
        "below zero": [{**rows[0], "divergence": -0.5}, *rows[1:]],
        "above 1": [{**rows[0], "pruned": 0.5}, *rows[1:]],
        "not finite": [{**rows[0], "dense": float("-inf")}, *rows[1:]],
    }[how]


@pytest.mark.parametrize("how", ["dropped", "turned", "below zero", "above 1", "not finite"])
def test_a_table_that_measuring_does_not_write_is_refused(tmp_path: Path, how: str) -> None:
    found, path = positions_of(0.5, 0.7, 4), tmp_path / "divergence.parquet"
    write_positions(path, [0, 2, 4, 6], found)
    assert np.array_equal(read_positions(path.read_bytes(), [0, 2, 4, 6], 20), found)
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist(spoilt(table.to_pylist(), how), table.schema), path)
    with pytest.raises(UnusableData):
        read_positions(path.read_bytes(), [0, 2, 4, 6], 20)


@pytest.mark.parametrize(
    ("words", "due"),
    [
        ({}, "auto"),
        ({"perplexity": "off"}, "auto"),
        ({"evals": ("perplexity",)}, "auto"),
        ({"evals": ("perplexity",), "divergence": "off"}, "off"),
        ({"evals": ("perplexity", "divergence"), "divergence": "8"}, "8"),
        ({"evals": ("bbq",)}, "off"),
    ],
)
def test_it_is_measured_wherever_perplexity_is_unless_it_is_switched_off(words, due):
    assert Measuring.of(**words).divergence == due


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"evals": ("divergence",)}, "lacks perplexity"),
        ({"evals": ("perplexity", "divergence"), "divergence": "off"}, "contradict"),
        ({"perplexity": "off", "divergence": "8"}, "contradict"),
    ],
)
def test_it_is_not_measured_without_perplexity(words, reason):
    with pytest.raises(BadOption, match=reason):
        Measuring.of(**words)


def test_a_release_that_measured_it_is_verified_by_summing_it_up_again(
    tiny: dict[str, Path], tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "publish",
        str(tiny["llama"]),
        "--method",
        "magnitude",
        "--sparsity",
        "0.9",
        "--local",
        "--text",
        str(text),
    ]
    asked = ["--evals", "perplexity", "--perplexity", "6", "--divergence", "4", "--text", str(text), "--device", "cpu"]
    assert run([*words, *asked, "--out", str(tmp_path / "o")]) == 0
    [model] = (tmp_path / "o").glob("*/model")
    measured = json.loads((model / "release.json").read_text(encoding="utf-8"))["measurements"]["divergence"]
    assert (measured["windows"], measured["of_windows"]) == (4, 6)
    capsys.readouterr()
    assert run(["verify", str(model), "--json"]) == 0
    checks = {check["name"]: check["ok"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["divergence"] is True


def test_positions_that_give_another_perplexity_than_the_losses_are_found_out(tmp_path: Path) -> None:
    found = positions_of(0.5, 0.7)
    path = tmp_path / "divergence.parquet"
    write_positions(path, list(range(32)), found)
    result = compare(ASKED, found)
    base = example_measurements()
    sides = (np.exp(-found[:, :, side].mean(dtype=np.float64)) for side in (2, 3))
    dense, pruned = (base.perplexity.dense.model_copy(update={"value": float(value)}) for value in sides)
    honest = base.perplexity.model_copy(
        update={"window": 21, "windows": 32, "tokens": 640, "dense": dense, "pruned": pruned}
    )
    record = example_record(measurements=example_measurements(perplexity=honest, divergence=result))
    assert again(record, result, path.read_bytes()) == result
    forged = honest.model_copy(update={"pruned": dense})
    record = example_record(measurements=example_measurements(perplexity=forged, divergence=result))
    with pytest.raises(UnusableData, match="gives the pruned model a perplexity"):
        again(record, result, path.read_bytes())
