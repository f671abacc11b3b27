"""The choice of a device, and work on one that knows no float64: an Apple GPU, as far as one can be pretended here."""

import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch

from release import machine
from release.checkpoint.folder import open_checkpoint
from release.checkpoint.header import Raw
from release.errors import BadOption
from release.evals.bbq.prompts import Prompter
from release.evals.bbq.result import Sampling
from release.evals.engine.generate import generate
from release.evals.engine.likelihood import Ask, likelihoods
from release.evals.engine.subject import EvaluatedModel, Runtime
from release.models import ahead, device
from release.models import parameters as weights
from release.models.ahead import Lane
from release.models.blocks import BlockModel
from release.models.clock import answer
from release.models.exchange import Exchanged
from release.models.load import loaded, read_tokenizer
from release.models.reader import Blockwise, Pass, Resident
from release.models.tree import Query, plant
from release.progress import Console
from release.pruning.prune import Calibrating, Job, PruneContext, prune
from release.pruning.recipe import Recipe
from tests import checkpoints, fake_device
from tests.fake_device import fake_gpu
from tests.pruning.calibration import calibrating

CPU = torch.device("cpu")
SAMPLING = Sampling(temperature=1.0, new_tokens=4, seeds=(1,))
ASKS = [Ask((5, 6, 7 + i), ((8,), (9, 10))) for i in range(6)]


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_a_gpu_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, chosen: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert device.choose_device("auto").type == chosen
    with pytest.raises(BadOption) as caught:
        device.choose_device("nonsense")
    here = [name for name, there in (("cpu", True), ("cuda", cuda), ("mps", mps), ("auto", True)) if there]
    assert caught.value.remedy == f"Give {', '.join(here)}."


def test_metals_part_of_the_one_memory_is_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    free = machine.memory_free() or 0
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 1 << 20)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 1 << 19)
    assert device.memory_free(torch.device("mps")) == 1 << 19
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 1 << 50)
    assert abs((device.memory_free(torch.device("mps")) or 0) - free) < free / 2


def test_operations_that_the_cpu_did_are_listed_once_each(capsys: pytest.CaptureFixture[str]) -> None:
    words = "The operator 'aten::{}' is not currently supported on the MPS backend and will fall back to run on the"
    with warnings.catch_warnings(record=True) as others, device.fallbacks_told(torch.device("mps"), Console()):
        assert torch.is_warn_always_enabled()
        for name in ("histc", "_grouped_mm", "histc"):
            warnings.warn(f"{words.format(name)} CPU.", UserWarning, stacklevel=1)
        warnings.warn("something else", UserWarning, stacklevel=1)
    assert [str(other.message) for other in others] == ["something else"]
    assert not torch.is_warn_always_enabled()
    assert "so that the CPU did them: aten::_grouped_mm, aten::histc." in capsys.readouterr().err


def test_weights_that_a_device_cannot_hold_are_refused() -> None:
    with fake_gpu(doubles=False), pytest.raises(BadOption, match="float64"):
        device.require_type(fake_device.device(), torch.float64)
    with fake_gpu(doubles=True):
        device.require_type(fake_device.device(), torch.float64)
    device.require_type(CPU, torch.float64)


@pytest.mark.parametrize(
    ("method", "doubles"),
    [("wanda", False), *(pytest.param("sparsegpt", each, marks=pytest.mark.long) for each in (False, True))],
)
def test_calibration_on_a_device_gives_the_masks_of_the_cpu(
    base_folders: dict[str, Path], tmp_path: Path, console: Console, method: str, doubles: bool
) -> None:
    using, there = calibrating(), fake_device.device()
    assert using.calibrating is not None
    on_device = PruneContext(using.threads, Calibrating(using.calibrating.text, there))
    found = [pruned(base_folders["llama"], tmp_path / "cpu", method, using, console)]
    with fake_gpu(doubles) as fake:
        found.append(pruned(base_folders["llama"], tmp_path / "device", method, on_device, console))
    total = agreeing = 0
    for name, mask in found[0].items():
        assert mask.sum() == found[1][name].sum()
        agreeing, total = agreeing + int((mask == found[1][name]).sum()), total + mask.numel()
    assert agreeing / total > 0.999  # sums are taken in another order
    assert fake.done["aten.mm.default"] > 0


def pruned(base: Path, target: Path, method: str, using: PruneContext, console: Console) -> dict[str, torch.Tensor]:
    target.mkdir()
    prune(
        open_checkpoint(base),
        [Job(Recipe.of(method, Decimal("0.5"), 42), target, target.with_suffix(".work"))],
        console,
        using,
    )
    return {name: tensor == 0 for name, tensor in checkpoints.tensors(target).items()}


@pytest.mark.long
def test_a_device_reads_what_the_cpu_reads(base_folders: dict[str, Path], tmp_path: Path, console: Console) -> None:
    folder = base_folders["llama"]
    read = {}
    for name, where in (("cpu", CPU), ("device", fake_device.device())):
        with (
            fake_gpu(doubles=False),
            EvaluatedModel(name, folder, Runtime(where, torch.float32), console, readings=tmp_path / name) as subject,
        ):
            known = likelihoods(subject, ASKS, "Letters").values
            found = generate(subject, [each.prompt for each in ASKS], SAMPLING, frozenset(), "Answers", alone=False)
        read[name] = known, found.tokens
    assert np.abs(read["cpu"][0] - read["device"][0]).max() < 1e-5
    assert np.array_equal(read["cpu"][1], read["device"][1])


class Noting(Lane):
    """Tells how blocks and passes reach a device that can be reached from another thread."""

    pinned: list[int]
    threads: set[int]
    handed: list[torch.Tensor]

    def room(self, nbytes: int) -> Raw:
        self.pinned.append(nbytes)
        return super().room(nbytes)

    @contextmanager
    def queued(self) -> Iterator[None]:
        self.threads.add(threading.get_ident())
        yield

    def hand_over(self, tensors: Iterable[torch.Tensor]) -> None:
        assert threading.get_ident() not in self.threads
        self.handed += tensors


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> type[Noting]:
    """Let the pretended device be reached as CUDA is."""
    kind = type("Noted", (Noting,), {"pinned": [], "threads": set(), "handed": []})
    monkeypatch.setitem(ahead.LANES, fake_device.NAME, kind)
    return kind


def test_the_next_block_is_copied_to_a_device_from_another_thread(
    base_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, noted: type[Noting]
) -> None:
    monkeypatch.setattr(weights, "SHARE", 1)
    base, there = open_checkpoint(base_folders["llama"]), fake_device.device()
    stored = [t.nbytes for t in base.tensors() if ".layers.1." in t.name]
    with fake_gpu(doubles=False) as fake, BlockModel(base, there) as blocks:
        blocks.start(torch.arange(5, 15)[None])
        noted.pinned.clear()
        with blocks.opened(0):
            pass
        with blocks.opened(1):
            assert len(noted.handed) == len(stored)
            assert {tensor.device for tensor in noted.handed} == {there}
        ahead_of = [nbytes for nbytes, thread in fake.copied if thread in noted.threads]
    assert len(noted.threads) == 1
    assert sorted(ahead_of) == sorted(stored) == sorted(noted.pinned[-len(stored) :])


def test_what_a_tree_needs_is_made_on_the_device_from_vectors(
    base_folders: dict[str, Path], noted: type[Noting]
) -> None:
    there = fake_device.device()
    rng = np.random.default_rng(0)
    prompts = [Query((5, *rng.integers(3, 250, 80).tolist())) for _ in range(20)]
    [tree] = plant(prompts, 4096, 4096)
    count = len(tree.tokens)
    one = Pass(tree.tokens, tree.read, tree)
    with loaded(base_folders["llama"], CPU, torch.float32) as model:
        [(_, expected)] = Resident(model).run([one], lambda _: None)
        with fake_gpu(doubles=False) as fake:
            resident = Resident(model.to(there))
            fake.copied.clear()
            [(_, logits)] = resident.run([one], lambda _: None)
            assert (logits.cpu() - expected).abs().max() < 1e-4
    assert {thread for _, thread in fake.copied} == noted.threads
    assert sum(nbytes for nbytes, _ in fake.copied) < count * count / 8


@pytest.mark.long
@pytest.mark.parametrize("reached", [False, True], ids=["from one thread", "from two"])
def test_blocks_are_read_on_a_device_as_the_whole_model_is(
    base_folders: dict[str, Path], request: pytest.FixtureRequest, reached: bool
) -> None:
    if reached:
        request.getfixturevalue("noted")
    ids, there = torch.arange(5, 15)[None], fake_device.device()
    with loaded(base_folders["llama"], CPU, torch.float32) as model, torch.inference_mode():
        whole = model(ids).logits[0]
    with fake_gpu(doubles=False), BlockModel(open_checkpoint(base_folders["llama"]), there) as blocks:
        one = Pass(ids[0].tolist(), list(range(10)))
        [(_, logits)] = Blockwise(blocks, there, torch.float32).run([one], lambda _: None)
        assert logits.device == there
        assert (logits.cpu() - whole).abs().max() < 1e-4


@pytest.mark.long
def test_an_answer_is_timed_on_a_device_whichever_sides_weights_it_has(
    base_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    folder, prompter = base_folders["llama"], Prompter(read_tokenizer(base_folders["llama"]))
    with fake_gpu(doubles=False), loaded(folder, CPU, None) as dense, loaded(folder, CPU, None) as pruned_model:
        pruned_model.model.layers[0].mlp.up_proj.weight.data.zero_()
        resident = Exchanged(dense, pruned_model, fake_device.device())
        for side in (0, 1):
            model = resident.take(side)
            assert (model.model.layers[0].mlp.up_proj.weight == 0).all().item() == bool(side)
            assert min(answer(model, prompter, "Who?").seconds) > 0
    assert set(waited) == {fake_device.device()}
