"""Devices that cannot be here are refused before torch is loaded; whatever can be is left to torch."""

import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from release.__main__ import run
from release.devices import Surroundings, absent, nvidia_gpus, require_possible, torch_build
from release.errors import BadOption
from release.sweep.demands import ELSEWHERE
from release.sweep.job import open_sweep

VERSION = {"__version__": "2.99.0", "cuda": "", "hip": "", "xpu": ""}
CPU, CUDA, ROCM, XPU = VERSION, VERSION | {"cuda": "13.0"}, VERSION | {"hip": "7.1"}, VERSION | {"xpu": "2025"}

CASES: list[tuple[str, str, Mapping[str, str], int | None, tuple[str, ...], str | None]] = [
    ("cpu", "linux", CPU, 0, (), None),
    ("auto", "linux", CPU, 0, (), None),
    ("cuda", "linux", CPU, 8, (), "built without CUDA"),
    ("cuda:0", "darwin", CPU, None, (), "built without CUDA"),
    ("cuda", "linux", {}, 0, (), None),
    ("cuda", "linux", CUDA, 0, (), "no driver"),
    ("cuda:0", "linux", CUDA, 1, (), None),
    ("cuda:7", "linux", CUDA, 2, (), "is cuda:1"),
    ("cuda:7", "linux", CUDA, None, (), None),
    ("cuda", "linux", ROCM, 0, (), "/dev/kfd"),
    ("cuda:1", "linux", ROCM, 0, ("/dev/kfd",), None),
    ("mps", "linux", CPU, 0, (), "macOS"),
    ("mps", "darwin", CPU, None, (), None),
    ("xpu", "linux", CUDA, 1, ("/dev/dri",), "built without XPU"),
    ("xpu:0", "linux", XPU, 0, ("/dev/dri",), None),
    ("xpu", "linux", XPU, 0, (), "/dev/dri"),
    ("xpu", "win32", XPU, 0, (), None),
    ("hpu", "linux", CPU, 0, (), "habana_frameworks"),
    ("hpu", "linux", CPU, 0, ("habana_frameworks",), None),
    ("mtia", "linux", CPU, 0, (), "mtia is not installed"),
]


@pytest.mark.parametrize(("asked", "system", "built", "gpus", "there", "why"), CASES)
def test_what_cannot_be_here_is_said_and_what_can_be_is_not(
    asked: str, system: str, built: Mapping[str, str], gpus: int | None, there: tuple[str, ...], why: str | None
) -> None:
    around = Surroundings(system, built, lambda: gpus, there.__contains__, there.__contains__)
    told = absent(asked, around)
    assert told is None if why is None else told is not None and why in told
    if why is None:
        require_possible(asked, around)
        return
    with pytest.raises(BadOption) as caught:
        require_possible(asked, around)
    assert caught.value.seen == f"Device '{asked}' cannot be used ({told})."
    offered = caught.value.remedy.removeprefix("Give ").removesuffix(".").split(", ")
    assert (offered[0], offered[-1]) == ("cpu", "auto")
    assert all(absent(kind, around) is None for kind in offered)


def test_what_torch_was_built_for_is_read_as_torch_says_it() -> None:
    import torch

    said = {"cuda": torch.version.cuda, "hip": torch.version.hip, "xpu": torch.version.xpu}
    assert torch_build() == {"__version__": torch.__version__} | {kind: found or "" for kind, found in said.items()}
    gpus = nvidia_gpus(sys.platform)
    assert gpus is None or gpus >= torch.cuda.device_count()


LINES = (
    *(
        "publish demo -m random -s 10% --local --device {}",
        "publish demo -m random -s 10% --local --device {} --dry-run",
    ),
    *("prune demo -m wanda -s 10% -o out --device {}", "prune demo -m wanda -s 10% -o out --device {} --dry-run"),
    *(
        "measure none --base demo --device {}",
        "verify none --rebuild --device {}",
        "verify none --spot-check 2 --device {}",
    ),
)
SWEEPS = ("sweep grid.yaml --out out", "sweep grid.yaml --out out --dry-run", "sweep grid.yaml --out out --parallel 2")
FIRST = """
import contextlib, io, sys
from release.__main__ import run
for words in {lines!r}:
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        print(run(words), repr(told.getvalue()))
print({{"torch", "transformers"}} & set(sys.modules))
"""


def test_every_command_refuses_before_torch_is_loaded(tmp_path: Path) -> None:
    device = "cuda:0" if sys.platform == "darwin" else "mps"
    grid = tmp_path / "grid.yaml"
    grid.write_text(f"models: [demo]\nmethods: [random]\nsparsities: [0.1]\noptions: {{device: '{device}'}}\n")
    lines = [shlex.split(line.format(device)) for line in (*LINES, *SWEEPS)]
    ran = subprocess.run(
        [sys.executable, "-c", FIRST.format(lines=lines)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    *told, loaded = ran.stdout.splitlines()
    with pytest.raises(BadOption) as caught:
        require_possible(device)
    seen, remedy = caught.value.seen, caught.value.remedy
    cell = f"Grid grid.yaml …\nError: demo-random-s10 cannot be built here. {seen}\n{remedy} {ELSEWHERE}\n"
    refused = [f"Error: {seen}\n{remedy}\n"] * len(LINES) + [cell] * len(SWEEPS)
    assert told == [f"2 {each!r}" for each in refused]
    assert loaded == "set()"
    assert list(tmp_path.iterdir()) == [grid]


def test_a_sweep_asks_of_this_machine_only_what_is_built_here(tmp_path: Path, llama: Path) -> None:
    device, grid = "cuda:0" if sys.platform == "darwin" else "mps", tmp_path / "grid.yaml"
    only = f"overrides: [{{when: {{method: wanda}}, options: {{device: '{device}'}}}}]"
    grid.write_text(f"models: ['{llama}']\nmethods: [random, wanda]\nsparsities: [0.1]\n{only}\n")
    words = ["sweep", str(grid), "--out", str(tmp_path / "out"), "--dry-run"]
    assert [run([*words, *more]) for more in ([], ["--ray"], ["--jobs", "a10g-small"])] == [2, 0, 0]
    assert [run([*words, "--only", f"method={name}"]) for name in ("random", "wanda")] == [0, 2]
    job = open_sweep(grid, tmp_path / "out")
    [_, wanda] = job.cells
    job.board.failed(wanda, "It failed on another machine.", "Try again.")
    assert [run([*words, *more]) for more in ([], ["--retry-failed"])] == [0, 2]
