"""What long work says of itself: which step of how many, how much of what, how fast, and how long still."""

import io
import pickle
from pathlib import Path

import pytest
import torch

from release.__main__ import run
from release.models.load import loaded
from release.models.reader import Pass, Resident
from release.plan import Plan
from release.progress import BYTES, Console, Pace, Screen
from release.pruning.recipe import Recipe
from release.settings.measuring import Measuring
from release.settings.option import share
from release.stages import Stage, of_pruning, of_publishing
from tests.commands import OFF

DEMO = Plan(model="demo", recipe=Recipe.of("random", share("10%"), 42))


@pytest.mark.parametrize(
    ("pace", "said"),
    [
        (Pace(121e6, 269e6, 0.5, BYTES), "45 %, 121 MB of 269 MB, 242 MB/s"),
        (Pace(43.7, 180, 10, "prompts"), "24 %, 43 of 180 prompts, 4.4 a second, about 31 s left"),
        (Pace(0.5, 30, 10, "blocks"), "2 %, 0 of 30 blocks, 20.0 s each, about 9 min 50 s left"),
        (Pace(0.25, 1, 60), "25 %, about 3 min 0 s left"),
        (Pace(0, 180, 10, "prompts"), "0 %, 0 of 180 prompts"),
        (Pace(180, 180, 10, "prompts"), "100 %, 180 of 180 prompts, 18.0 a second"),
        (Pace(3, 2, 1), "100 %"),
        (
            Pace(2e8, 4e8, 10, "weights"),
            "50 %, 200,000,000 of 400,000,000 weights, 20,000,000 a second, about 10 s left",
        ),
        (Pace(0, 0, 0, BYTES), "100 %, 0 B of 0 B"),
    ],
)
def test_a_step_says_how_much_how_fast_and_how_long_still(pace: Pace, said: str) -> None:
    assert str(pace) == said


def test_a_long_step_without_a_terminal_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, 30.0, 60.0, 120.0])
    monkeypatch.setattr("release.progress.time.monotonic", lambda: next(now))
    console = Console()
    console.plan(("prune", "measure"))
    console.begin("measure")
    with console.step("BBQ, dense", 400, "prompts") as advance:
        advance(100)
        advance(100)
    assert capsys.readouterr().err.splitlines() == [
        "Step 2 of 2: measure",
        "[2/2] BBQ, dense …",
        "[2/2] BBQ, dense … 25 %, 100 of 400 prompts, 3.3 a second, about 1 min 30 s left",
        "[2/2] BBQ, dense … 50 %, 200 of 400 prompts, 3.3 a second, about 1 min 0 s left",
        "[2/2] BBQ, dense … done in 2 min 0 s, 1.7 a second",
    ]


def test_a_stage_that_is_not_ahead_is_part_of_the_one_that_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.begin("prune")
    console.plan(("prune", "audit", "audit", "card"))
    for stage in ("audit", "prune", "audit", "audit", "card"):
        console.begin(stage)
    assert capsys.readouterr().err.split("\n") == ["Step 2 of 4: audit", "Step 3 of 4: audit", "Step 4 of 4: card", ""]


def test_another_process_speaks_at_the_same_place(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.plan(("prune", "measure"))
    console.begin("measure")
    capsys.readouterr()
    with pickle.loads(pickle.dumps(console)).step("Latency", 1):
        pass
    assert capsys.readouterr().err.startswith("[2/2] Latency …\n")
    assert pickle.loads(pickle.dumps(Console(quiet=True))).rich.quiet


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_terminal_cuts_the_label_and_no_number(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console, shown = Console(), io.StringIO()
    screen = Screen(file=shown, force_terminal=True, width=width, color_system=None, legacy_windows=False)
    console.rich = screen
    with console.step("Latency by transformers, dense and pruned in turns", 269_000_000, BYTES) as advance:
        advance(121_000_000)
    last = shown.getvalue().replace("\x1b[2K", "").split("\r")[-1].split("\n")[0]
    assert len(last.rstrip()) <= width
    assert "0:00:0" in last
    assert " 45%" in last
    assert ("121 MB of 269 MB" in last) == (width >= 110)


@pytest.mark.parametrize(
    ("plan", "stages"),
    [
        (DEMO, "CHECK PRUNE AUDIT DENSE PRUNED COMPARE RECORD UPLOAD"),
        (DEMO.model_copy(update={"local": True}), "CHECK PRUNE AUDIT DENSE PRUNED COMPARE RECORD"),
        (DEMO.unmeasured(), "CHECK PRUNE AUDIT RECORD"),
        (
            DEMO.model_copy(update={"measuring": Measuring(precision=share("0.1")), "local": True}),
            "CHECK PRUNE AUDIT LOOK DENSE PRUNED COMPARE RECORD",
        ),
        (
            DEMO.model_copy(update={"building": DEMO.building.model_copy(update={"seeds": 3})}),
            "CHECK PRUNE AUDIT DENSE PRUNED COMPARE MASK MASK RECORD UPLOAD",
        ),
    ],
)
def test_the_stages_of_a_release_follow_from_its_plan(plan: Plan, stages: str) -> None:
    assert [stage.name for stage in of_publishing(plan)] == stages.split()
    assert of_pruning([2]) == (Stage.CHECK, Stage.PRUNE, Stage.AUDIT, Stage.AUDIT, Stage.RECORD, Stage.RECORD)


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (["publish", "{base}", "-m", "random", "-s", "30%", *OFF, "--local", "-o", "{out}"], 4),
        pytest.param(
            ["publish", "{base}", "-m", "random", "-s", "30%", *OFF, "--bbq", "4", "--local", "-o", "{out}"],
            7,
            marks=pytest.mark.long,
        ),
        (["prune", "{base}", "-m", "random", "-s", "30%,50%", "-o", "{out}"], 6),
    ],
)
def test_every_step_that_is_counted_is_taken(
    words: list[str], steps: int, llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([word.format(base=llama, out=tmp_path / "out") for word in words]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Step ")]
    assert [line.partition(":")[0] for line in told] == [f"Step {number} of {steps}" for number in range(1, steps + 1)]


def test_a_pass_tells_how_far_it_is_before_it_ends(base_folders: dict[str, Path]) -> None:
    told: list[float] = []
    with loaded(base_folders["llama"], torch.device("cpu"), torch.float32) as module:
        layers = module.config.num_hidden_layers
        passes = [Pass([1, 2, 3], [2]), Pass([1, 2, 3, 4, 5], [4])]
        ends = [len(told) for _ in Resident(module).run(passes, told.append)]
        assert not any(layer._forward_hooks for layer in module.modules())
    assert ends[0] == layers > 1
    assert sum(told[: layers + 1]) == pytest.approx(3)
    assert sum(told) == pytest.approx(8)
