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
from safetensors.torch import load_file, save_file
from scipy import stats

from release import format as text
from release.card.render import render
from release.errors import ReleaseError, UnknownName, UnusableBase
from release.evals.bbq.items import Item
from release.evals.bbq.prompts import Prompter
from release.evals.claims import wording
from release.evals.forms import digits_beside, digits_of
from release.evals.latency import load as busy
from release.evals.latency import measure as latency
from release.evals.latency import table as timings
from release.evals.latency.measure import TimedPrompts, measure_latency, require_room
from release.evals.latency.result import Latency, Load
from release.evals.latency.table import WARMUP
from release.evals.latency.timed import Pair
from release.machine import cores
from release.models import clock, exchange, transformers_engine
from release.models.load import loaded, read_tokenizer
from release.models.timed_answer import NEW_TOKENS
from release.progress import Console
from release.report import show_measurements
from release.values import DataSource
from tests import checkpoints, records

COUNTED = 6
OTHER_THREADS = 3
CPU = torch.device("cpu")
QUIET = Load(others=0.0, switches=0.0)

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
        return measure_latency(
            Pair.of(tiny["llama"], tiny["llama"]), TimedPrompts(taken, data), "cpu", folder, console
        ), folder
    finally:
        torch.set_num_threads(1)


@pytest.mark.long
def test_a_fresh_process_times_both_models(measured: tuple[Latency, Path], bbq: Bbq) -> None:
    found, _ = measured
    assert (found.items, found.warmup, found.new_tokens) == (COUNTED, WARMUP, NEW_TOKENS)
    assert (found.device, found.dtype, found.prompts) == ("cpu", "bfloat16", bbq[1])
    assert 0 < found.dense.mean < found.seconds
    assert multiprocessing.active_children() == []


@pytest.mark.long
def test_the_process_does_not_inherit_what_torch_was_set_to(measured: tuple[Latency, Path]) -> None:
    assert measured[0].threads == 1


@pytest.mark.long
def test_every_answer_is_written_and_the_record_follows_from_the_file(measured: tuple[Latency, Path], bbq: Bbq) -> None:
    found, folder = measured
    rows = pq.read_table(folder / timings.file_name("transformers")).to_pylist()
    asked = [item for item in bbq[0][: WARMUP + COUNTED] for _ in timings.MODELS]
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


@pytest.mark.long
def test_the_parts_add_up_to_the_whole(measured: tuple[Latency, Path]) -> None:
    found, _ = measured
    assert found.prefill is not None
    assert found.decode is not None
    for kind in timings.MODELS:
        parts = getattr(found.prefill, kind).mean + getattr(found.decode, kind).mean
        assert parts == pytest.approx(getattr(found, kind).mean)


def test_ratios_are_paired_item_by_item(bbq: Bbq) -> None:
    prefill = np.geomspace(0.1, 10, 12)
    seconds = np.stack([np.stack([prefill, prefill], axis=1), np.stack([prefill * 2, prefill], axis=1)], axis=1)
    found = timings.record_of(timings.Timings(seconds, "cpu", "bfloat16", 1, QUIET), bbq[1], 1.0)
    for part, expected in ((found.prefill, 2), (found.decode, 1), (found, 1.5)):
        assert part is not None
        assert (part.ratio.value, part.ratio.low, part.ratio.high) == pytest.approx([expected] * 3)


@pytest.mark.parametrize("processes", [1, latency.PROCESSES])
def test_the_ratio_is_that_of_the_geometric_means_with_students_interval(bbq: Bbq, processes: int) -> None:
    shape = (processes * 10, 2, 2)
    seconds = np.random.default_rng(3).lognormal(-1, 0.1, shape)
    found = timings.record_of(timings.Timings(seconds, "cpu", "bfloat16", 1, QUIET, processes), bbq[1], 1.0)
    counted = seconds.sum(axis=2).reshape(processes, 10, 2)[:, WARMUP:]
    logs = np.log(counted[0] if processes == 1 else np.median(counted, axis=1))
    change = stats.ttest_rel(logs[:, 1], logs[:, 0])
    interval = np.exp(change.confidence_interval(0.95))
    assert found.ratio.value == pytest.approx(found.pruned.geometric_mean / found.dense.geometric_mean)
    assert (found.ratio.low, found.ratio.high, found.ratio.df) == pytest.approx((*interval, len(logs) - 1))
    assert (found.items, found.processes) == (processes * (10 - WARMUP), processes)


def test_each_side_answers_with_its_own_weights_from_the_same_addresses(tmp_path: Path, tiny: dict[str, Path]) -> None:
    other = checkpoints.copy(tiny["llama"], tmp_path / "other")
    [first, *_] = sorted(other.glob("*.safetensors"))
    tensors = {name: tensor * 2 if tensor.dim() == 2 else tensor for name, tensor in load_file(first).items()}
    save_file(tensors, first, metadata={"format": "pt"})
    ids = torch.tensor([[1, 2, 3]])
    with exchange.exchanged(tiny["llama"], other, CPU) as resident, torch.inference_mode():
        places = [tensor.data_ptr() for _, tensor in exchange.weights(resident.model)]
        for side in (0, 1, 1, 0):
            said = resident.take(side)(ids).logits
            with loaded((tiny["llama"], other)[side], CPU, None) as alone:
                assert torch.equal(said, alone(ids).logits)
            assert [tensor.data_ptr() for _, tensor in exchange.weights(resident.model)] == places


@pytest.mark.long  # eight processes, each of which imports torch
def test_models_of_other_types_are_timed_beside_each_other_in_several_processes(
    tmp_path: Path, tiny: dict[str, Path], bbq: Bbq, console: Console
) -> None:
    other = checkpoints.make(tmp_path / "wide", dtype=torch.float32)
    items = (*bbq[0], *bbq[0])[: WARMUP + 6]
    found = measure_latency(Pair.of(tiny["llama"], other), TimedPrompts(items, bbq[1]), "cpu", tmp_path, console)
    assert (found.processes, found.items, found.ratio.df) == (8, 8 * 4, 7)
    rows = pq.read_table(tmp_path / timings.file_name("transformers")).to_pylist()
    assert sum(row["counted"] for row in rows) == 2 * 8 * 4
    assert {row["process"] for row in rows} == set(range(8))


def test_the_type_that_is_timed_is_the_stored_one(tmp_path: Path, tiny: dict[str, Path]) -> None:
    folder = checkpoints.copy(tiny["llama"], tmp_path / "model")
    checkpoints.edit_config(folder, dtype="float32")
    with loaded(folder, CPU, None) as model:
        assert model.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("load", "verdict"),
    [
        (Load(others=0.02, switches=900.0), "supported"),
        (Load(others=0.1, switches=1.0), "supported"),
        (Load(others=0.11, switches=1.0), "inconclusive"),
        (Load(others=None, switches=101.0), "inconclusive"),
        (Load(others=None, switches=99.0), "supported"),
        (Load(others=None, switches=None), "supported"),
    ],
)
def test_a_busy_machine_gives_no_verdict_and_the_card_says_so(load: Load, verdict: str) -> None:
    found = records.example_measurements(latency=records.example_latency(load=load))
    record = records.example_record(measurements=found)
    decided = {claim.key: claim for claim in record.claims}
    for key in ("no_latency_gain", "latency_unchanged"):
        assert decided[key].verdict == verdict
        assert ("busy machine" in decided[key].evidence) == (verdict == "inconclusive")
    assert ("busy machine" in render(record)) == (verdict == "inconclusive")


def test_the_words_of_the_claims_name_the_margin() -> None:
    for key in ("no_latency_gain", "latency_unchanged"):
        for verdict in ("supported", "contradicted", "inconclusive"):
            assert f"{timings.MARGIN:.0%}".replace("%", " %") in wording()[key][verdict]


def test_others_work_is_noticed_while_answers_are_timed_and_only_then() -> None:
    quiet, loud = busy.LoadMeter(), busy.LoadMeter()
    with quiet.timing():
        time.sleep(0.3)
    burn = "import time\nend = time.time() + 20\nwhile time.time() < end: pass"
    with subprocess.Popen([sys.executable, "-c", burn]) as other:
        time.sleep(0.2)
        with loud.timing():
            time.sleep(0.6)
        other.kill()
    before, during = quiet.load().others, loud.load().others
    assert before is not None
    assert during is not None
    assert 0 <= before <= 1
    # One processor is burnt, or everything is taken by others already: less than half of one's share is a broken meter.
    assert 0.5 / cores() < during <= 1


def test_nothing_timed_is_nothing_known() -> None:
    assert busy.LoadMeter().load() == Load(others=None, switches=None)


@pytest.mark.long
def test_card_and_screen_show_both_parts(measured: tuple[Latency, Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = records.example_measurements(latency=measured[0])
    card = render(records.example_record(measurements=found))
    show_measurements(found, as_json=False)
    screen = capsys.readouterr().out
    assert measured[0].prefill is not None
    assert measured[0].decode is not None
    for part in (measured[0], measured[0].prefill, measured[0].decode):
        side, ratio = digits_beside(part.dense.geometric_mean, part.ratio), digits_of(part.ratio)
        assert f"{text.fixed(part.pruned.p95, side)} | {text.fixed(part.ratio.value, ratio)} | " in card
        assert f"× {part.ratio.value:,.4g}" in screen


@contextmanager
def slowed(model: torch.nn.Module, prefill: float, step: float) -> Iterator[None]:
    """Add seconds to each pass: over a prompt, and over a single token."""

    def wait(_: torch.nn.Module, __: tuple[object, ...], inputs: dict[str, torch.Tensor]) -> None:
        time.sleep(step if inputs["input_ids"].shape[1] == 1 else prefill)

    handle = model.register_forward_pre_hook(wait, with_kwargs=True)
    yield
    handle.remove()


@pytest.mark.long
@pytest.mark.parametrize(("prefill", "step"), [(1.0, 0.0), (0.0, 0.25)])
def test_time_spent_on_the_prompt_and_on_further_tokens_is_told_apart(
    tiny: dict[str, Path], bbq: Bbq, prefill: float, step: float
) -> None:
    prompter = Prompter(read_tokenizer(tiny["llama"]))
    text = prompter.text(bbq[0][0], 0)
    further = NEW_TOKENS - 1
    with loaded(tiny["llama"], CPU, None) as model, slowed(model, prefill, step):
        first, rest = np.min([clock.answer(model, prompter, text).seconds for _ in range(2)], axis=0)
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
        clock.answer(model, prompter, prompter.text(bbq[0][0], 0))
    assert len(passes) == NEW_TOKENS


@pytest.mark.long
def test_an_error_inside_the_process_comes_back_as_itself(
    tmp_path: Path, tiny: dict[str, Path], bbq: Bbq, console: Console
) -> None:
    cut = checkpoints.copy(tiny["llama"], tmp_path / "cut")
    checkpoints.edit_config(cut, num_hidden_layers=3)
    with pytest.raises(UnusableBase, match="cut lacks weights") as caught:
        measure_latency(Pair.of(tiny["llama"], cut), TimedPrompts(bbq[0][:4], bbq[1]), "cpu", tmp_path, console)
    assert caught.value.remedy == "Complete the checkpoint."
    assert not (tmp_path / timings.file_name("transformers")).exists()


@pytest.mark.parametrize(("sent", "seen"), [(signal.SIGKILL, "want of memory"), (signal.SIGABRT, "SIGABRT")])
def test_a_killed_process_names_the_way_out(
    tiny: dict[str, Path], bbq: Bbq, console: Console, sent: signal.Signals, seen: str
) -> None:
    killer = threading.Thread(target=_kill_child, args=(sent,))
    killer.start()
    with pytest.raises(UnusableBase, match=seen) as caught:
        measure_latency(Pair.of(tiny["llama"], tiny["llama"]), TimedPrompts(bbq[0][:4], bbq[1]), "cpu", None, console)
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
from release.evals.latency.measure import TimedPrompts, measure_latency
from release.evals.latency.timed import Pair
from release.progress import Console

if __name__ == "__main__":
    item, data = pickle.loads(Path(sys.argv[1]).read_bytes())
    folder = Path(sys.argv[2])
    while True:
        try:
            measure_latency(Pair.of(folder, folder), TimedPrompts((item,) * 5000, data), "cpu", None, Console())
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr, flush=True)
"""


@pytest.mark.long
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
    said += _until(parent, "Latency")  # before, it may not have got its work yet, and nobody can say so any more
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


def test_what_is_beyond_memory_is_refused_before_any_work() -> None:
    here = transformers_engine.place(CPU)
    require_room(100_000, here)
    with pytest.raises(UnusableBase, match=r"needs 1150000.0 GB of memory on cpu") as caught:
        require_room(10**15, here)
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
