import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import torch

from release.card import render
from release.errors import ReleaseError, UnknownName, UnusableBase
from release.measure import clock, latency
from release.measure.latency import WARMUP, measure_latency, require_room
from release.measure.model import loaded, read_tokenizer
from release.measure.prompts import Prompter
from release.measurements import DataSource, Latency
from release.progress import Console
from release.report import show_measurements
from release.sources.bbq import Item
from tests import checkpoints, records

COUNTED = 6
OTHER_THREADS = 3
CPU = torch.device("cpu")

Bbq = tuple[tuple[Item, ...], DataSource]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads that meet after every tiny operation take most of the time, where other work runs beside them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def measured(
    tmp_path_factory: pytest.TempPathFactory, tiny: dict[str, Path], bbq: Bbq, console: Console
) -> tuple[Latency, Path]:
    """The tiny Llama beside itself, from a process that set torch to other threads."""
    items, data = bbq
    folder = tmp_path_factory.mktemp("measured") / "evaluation"
    taken = items[: WARMUP + COUNTED]
    torch.set_num_threads(OTHER_THREADS)
    try:
        return measure_latency(tiny["llama"], tiny["llama"], taken, data, "cpu", 42, folder, console), folder
    finally:
        torch.set_num_threads(1)


def test_a_fresh_process_times_both_models(measured: tuple[Latency, Path], bbq: Bbq) -> None:
    found, _ = measured
    assert (found.items, found.warmup, found.new_tokens) == (COUNTED, WARMUP, clock.NEW_TOKENS)
    assert (found.device, found.dtype, found.prompts) == ("cpu", "bfloat16", bbq[1])
    assert 0 < found.dense.mean < found.seconds
    assert multiprocessing.active_children() == []


def test_the_process_does_not_inherit_what_torch_was_set_to(measured: tuple[Latency, Path]) -> None:
    assert measured[0].threads == 1


def test_every_answer_is_written_and_the_record_follows_from_the_file(measured: tuple[Latency, Path], bbq: Bbq) -> None:
    found, folder = measured
    rows = pq.read_table(folder / latency.FILE_NAME).to_pylist()
    asked = [item for item in bbq[0][: WARMUP + COUNTED] for _ in latency.MODELS]
    assert [(row["category"], row["example_id"]) for row in rows] == [(i.category, i.example_id) for i in asked]
    assert [row["model"] for row in rows[:4]] == ["dense", "pruned", "pruned", "dense"]
    assert [row["counted"] for row in rows] == [False] * 2 * WARMUP + [True] * 2 * COUNTED
    for kind, side in (("dense", found.dense), ("pruned", found.pruned)):
        mine = [row for row in rows if row["counted"] and row["model"] == kind]
        whole = [row["prefill_seconds"] + row["decode_seconds"] for row in mine]
        assert side.mean == pytest.approx(np.mean(whole))
        assert side.median == pytest.approx(np.median(whole))
        assert found.decode is not None
        decode = [row["decode_seconds"] for row in mine]
        assert getattr(found.decode, kind).p95 == pytest.approx(np.quantile(decode, 0.95))


def test_the_parts_add_up_to_the_whole(measured: tuple[Latency, Path]) -> None:
    found, _ = measured
    assert found.prefill is not None
    assert found.decode is not None
    for kind in latency.MODELS:
        parts = getattr(found.prefill, kind).mean + getattr(found.decode, kind).mean
        assert parts == pytest.approx(getattr(found, kind).mean)


def test_ratios_are_paired_item_by_item(bbq: Bbq) -> None:
    prefill = np.geomspace(0.1, 10, 12)
    seconds = np.stack([np.stack([prefill, prefill], axis=1), np.stack([prefill * 2, prefill], axis=1)], axis=1)
    found = latency.record_of(clock.Timings(seconds, "cpu", "bfloat16", 1), bbq[1], 42, 1.0)
    for part, expected in ((found.prefill, 2), (found.decode, 1), (found, 1.5)):
        assert part is not None
        assert (part.ratio.value, part.ratio.low, part.ratio.high) == pytest.approx([expected] * 3)


def test_card_and_screen_show_both_parts(measured: tuple[Latency, Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = records.example_measurements(latency=measured[0])
    card = render(records.example_record(measurements=found))
    show_measurements(found, as_json=False)
    screen = capsys.readouterr().out
    assert measured[0].prefill is not None
    assert measured[0].decode is not None
    for part in (measured[0], measured[0].prefill, measured[0].decode):
        assert f"{part.pruned.p95:.4f} | {part.ratio.value:.4f} | " in card
        assert f"× {part.ratio.value:,.4g}" in screen


@contextmanager
def slowed(model: torch.nn.Module, prefill: float, step: float) -> Iterator[None]:
    """Add seconds to each pass: over a prompt, and over a single token."""

    def wait(_: torch.nn.Module, __: tuple[object, ...], inputs: dict[str, torch.Tensor]) -> None:
        time.sleep(step if inputs["input_ids"].shape[1] == 1 else prefill)

    handle = model.register_forward_pre_hook(wait, with_kwargs=True)
    yield
    handle.remove()


@pytest.mark.parametrize(("prefill", "step"), [(1.0, 0.0), (0.0, 0.25)])
def test_time_spent_on_the_prompt_and_on_further_tokens_is_told_apart(
    tiny: dict[str, Path], bbq: Bbq, prefill: float, step: float
) -> None:
    prompter = Prompter(read_tokenizer(tiny["llama"]))
    text = prompter.text(bbq[0][0], 0)
    further = clock.NEW_TOKENS - 1
    with loaded(tiny["llama"], CPU, None) as model, slowed(model, prefill, step):
        first, rest = np.min([clock.answer_seconds(model, prompter, text) for _ in range(2)], axis=0)
    # Sleeping takes at least as long as asked; what a busy machine adds is less than the whole sleep of a second.
    assert 0 <= first - prefill < 1
    assert 0 <= rest - further * step < 1


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "mixtral"])
def test_a_model_that_would_stop_early_makes_as_many_tokens(tiny: dict[str, Path], bbq: Bbq, architecture: str) -> None:
    prompter = Prompter(read_tokenizer(tiny[architecture]))
    passes = []
    with loaded(tiny[architecture], CPU, None) as model:
        model.generation_config.eos_token_id = list(range(model.config.vocab_size // 2))
        model.register_forward_pre_hook(lambda *_: passes.append(1))
        clock.answer_seconds(model, prompter, prompter.text(bbq[0][0], 0))
    assert len(passes) == clock.NEW_TOKENS


def test_an_error_inside_the_process_comes_back_as_itself(
    tmp_path: Path, tiny: dict[str, Path], bbq: Bbq, console: Console
) -> None:
    cut = checkpoints.copy(tiny["llama"], tmp_path / "cut")
    checkpoints.edit_config(cut, num_hidden_layers=3)
    with pytest.raises(UnusableBase, match="cut lacks weights") as caught:
        measure_latency(tiny["llama"], cut, bbq[0][:4], bbq[1], "cpu", 42, tmp_path, console)
    assert caught.value.remedy == "Complete the checkpoint."
    assert not (tmp_path / latency.FILE_NAME).exists()


@pytest.mark.parametrize(("sent", "seen"), [(signal.SIGKILL, "want of memory"), (signal.SIGABRT, "SIGABRT")])
def test_a_killed_process_names_the_way_out(
    tiny: dict[str, Path], bbq: Bbq, console: Console, sent: signal.Signals, seen: str
) -> None:
    killer = threading.Thread(target=_kill_child, args=(sent,))
    killer.start()
    with pytest.raises(UnusableBase, match=seen) as caught:
        measure_latency(tiny["llama"], tiny["llama"], bbq[0][:4], bbq[1], "cpu", 42, None, console)
    killer.join()
    assert "--latency off" in caught.value.remedy


def _kill_child(sent: signal.Signals) -> None:
    while not (children := multiprocessing.active_children()):
        time.sleep(0.01)
    os.kill(children[0].pid or 0, sent)


SCRIPT = """
import pickle
import sys
from pathlib import Path
from release.measure.latency import measure_latency
from release.progress import Console

if __name__ == "__main__":
    item, data = pickle.loads(Path(sys.argv[1]).read_bytes())
    folder = Path(sys.argv[2])
    while True:
        try:
            measure_latency(folder, folder, (item,) * 5000, data, "cpu", 42, None, Console())
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr, flush=True)
"""


def test_an_interrupt_or_the_end_of_its_parent_ends_the_process_without_a_traceback(
    tmp_path: Path, tiny: dict[str, Path], bbq: Bbq
) -> None:
    parent = _start(tmp_path, tiny["llama"], bbq)
    said = []

    starting = _child_of(parent)
    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: to both
    said += _until(parent, "interrupted")
    assert not _alive(starting)

    answering = _child_of(parent)
    said += _until(parent, "Latency")
    os.killpg(parent.pid, signal.SIGINT)
    said += _until(parent, "interrupted")
    assert not _alive(answering)

    orphan = _child_of(parent)
    parent.kill()
    orphan.wait(timeout=30)
    assert "Traceback" not in "".join(said) + parent.communicate()[1]


def _start(tmp_path: Path, model: Path, bbq: Bbq) -> subprocess.Popen[str]:
    script, question = tmp_path / "script.py", tmp_path / "question"
    script.write_text(SCRIPT)
    question.write_bytes(pickle.dumps((bbq[0][0], bbq[1])))
    return subprocess.Popen(
        [sys.executable, str(script), str(question), str(model)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def _child_of(parent: subprocess.Popen[str]) -> psutil.Process:
    """Wait for the process that measures; the other child of `multiprocessing` only keeps count of resources."""
    for _ in range(3000):
        for child in psutil.Process(parent.pid).children():
            if any("spawn_main" in word for word in child.cmdline()):
                return child
        time.sleep(0.01)
    raise TimeoutError


def _until(parent: subprocess.Popen[str], word: str) -> Iterator[str]:
    """Read what a process says up to a line with a word."""
    assert parent.stderr is not None
    for line in iter(parent.stderr.readline, ""):
        yield line
        if word in line:
            return
    raise EOFError(word)


def _alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_pair_beyond_memory_is_refused_before_any_work(tiny: dict[str, Path]) -> None:
    require_room(tiny["llama"], 100_000, CPU)
    with pytest.raises(UnusableBase, match=r"beside each other need 1150000.0 GB of memory on cpu") as caught:
        require_room(tiny["llama"], 10**15, CPU)
    assert "--latency off" in caught.value.remedy


def _all_errors(kind: type[ReleaseError] = ReleaseError) -> Iterator[type[ReleaseError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _all_errors(child)


@pytest.mark.parametrize("kind", list(_all_errors()))
def test_an_error_survives_the_way_to_another_process(kind: type[ReleaseError]) -> None:
    for error in (kind("seen", "remedy"), kind("only seen"), UnknownName.among("method", "wandy", ["wanda"])):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.seen, again.remedy) == (
            type(error),
            str(error),
            error.seen,
            error.remedy,
        )
