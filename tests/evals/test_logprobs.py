"""Trees, single sequences and blocks read the same log-probabilities."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from release.checkpoint.folder import open_checkpoint
from release.evals.bbq.items import Item
from release.evals.bbq.prompts import ROTATIONS, Prompter
from release.evals.bbq.sample import draw
from release.models import load as model
from release.models import logprobs, reader
from release.models.blocks import BlockModel
from release.models.load import loaded, read_tokenizer
from release.models.reader import Blockwise, ModelReader, Resident, opened
from release.models.tree import RUN, Query
from release.progress import Console
from release.values import DataSource
from tests import checkpoints

CPU = torch.device("cpu")


def sharing(count: int = 40, last: int = 1) -> list[Query]:
    """Sequences that branch off one another at many places; in one tree they make several runs."""
    rng = random.Random(0)
    prompts = [[rng.randrange(3, 250) for _ in range(60)]]
    while len(prompts) < count:
        stem = rng.choice(prompts)
        prompts.append(
            stem[: rng.randrange(1, len(stem))] + [rng.randrange(3, 250) for _ in range(rng.randrange(1, 40))]
        )
    return [Query(tuple(prompt), min(last, len(prompt))) for prompt in prompts]


def one_by_one(module: torch.nn.Module, sequences: list[Query]) -> list[np.ndarray]:
    """The definition: a forward pass a sequence, softmax over the whole vocabulary."""
    with torch.inference_mode():
        passes = [(module(torch.tensor([s.tokens])).logits[0, -s.last :], s) for s in sequences]
        return [torch.log_softmax(logits.double(), dim=-1).numpy() for logits, _ in passes]


def read(reading: ModelReader, sequences: list[Query], alone: bool = False) -> list[np.ndarray]:
    found = {index: rows.clone().numpy() for index, rows in logprobs.read(reading, sequences, lambda _: None, alone)}
    return [found[index] for index in range(len(sequences))]


def difference(some: list[np.ndarray], others: list[np.ndarray]) -> float:
    return max(float(np.abs(one - other).max()) for one, other in zip(some, others, strict=True))


@pytest.mark.parametrize(("last", "architecture"), checkpoints.crossed([1, 7]))
def test_trees_and_blocks_read_what_single_sequences_read(
    tiny: dict[str, Path], architecture: str, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequences = sharing(last=last)
    with loaded(tiny[architecture], CPU, torch.float32) as module:
        truth = one_by_one(module, sequences)
        resident = Resident(module)
        assert difference(read(resident, sequences), truth) < 1e-4
        assert difference(read(resident, sequences, alone=True), truth) < 1e-4
        assert resident.in_trees
        assert max(len(each.tokens) for each, _ in logprobs.trees(resident, sequences)) > 3 * RUN
    monkeypatch.setattr(reader, "LEAST", 1 << 18)
    monkeypatch.setattr(reader, "ROOM", 0)
    monkeypatch.setitem(logprobs.NODES, "cpu", 300)
    with BlockModel(open_checkpoint(tiny[architecture]), CPU) as blocks:
        blockwise = Blockwise(blocks, CPU, torch.float32)
        assert difference(read(blockwise, sequences), truth) < 1e-4
        assert blockwise.in_trees


class Seen(TorchFunctionMode):
    """Notes how many nodes attend at once."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths: set[int] = set()

    def __torch_function__(self, function, _, args=(), kwargs=None):
        if function is torch.nn.functional.scaled_dot_product_attention:
            self.lengths.add(args[0].shape[-2])
        return function(*args, **(kwargs or {}))


def test_a_trees_attention_is_computed_in_runs(tiny: dict[str, Path]) -> None:
    with loaded(tiny["llama"], CPU, torch.float32) as module, Seen() as seen:
        resident = Resident(module)
        resident.in_trees = True
        read(resident, sharing())
    assert seen.lengths == {RUN}


@pytest.mark.parametrize("lengths", [[200], [200, 120, 3]], ids=["one sequence", "beginnings of one sequence"])
def test_what_never_branches_is_read_as_the_plain_sequence_it_is(tiny: dict[str, Path], lengths: list[int]) -> None:
    whole = tuple(random.Random(0).choices(range(3, 250), k=200))
    sequences = [Query(whole[:length], min(length, 50)) for length in lengths]
    with loaded(tiny["llama"], CPU, torch.float32) as module, Seen() as seen:
        resident = Resident(module)
        resident.in_trees = True
        found = read(resident, sequences)
        assert seen.lengths == {200}
        assert difference(found, one_by_one(module, sequences)) < 1e-4


@pytest.mark.parametrize("architecture", ["mistral", "gemma2", "phi3"])
def test_beyond_a_sliding_window_sequences_are_read_alone(
    tmp_path: Path, tiny: dict[str, Path], architecture: str
) -> None:
    folder = checkpoints.copy(tiny[architecture], tmp_path / "model")
    checkpoints.edit_config(folder, sliding_window=16)
    sequences = sharing(12)
    with loaded(folder, CPU, torch.float32) as module:
        truth, resident = one_by_one(module, sequences), Resident(module)
        assert not logprobs.takes_trees(resident, sequences)
        assert difference(read(resident, sequences), truth) < 1e-4
    with BlockModel(open_checkpoint(folder), CPU) as blocks:
        assert difference(read(Blockwise(blocks, CPU, torch.float32), sequences), truth) < 1e-4


def test_a_model_that_takes_no_tree_is_read_alone() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    config = MambaConfig(vocab_size=256, hidden_size=16, num_hidden_layers=1, state_size=4)
    module = MambaForCausalLM(config).eval()
    sequences, resident = sharing(6), Resident(module)
    assert not logprobs.takes_trees(resident, sequences)
    assert difference(read(resident, sequences), one_by_one(module, sequences)) < 1e-4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_output_matrix_is_applied_in_full_precision(tiny: dict[str, Path], dtype: torch.dtype) -> None:
    sequences = sharing(8)
    with loaded(tiny["llama"], CPU, dtype) as module:
        with torch.inference_mode():
            hidden = [module.model(torch.tensor([s.tokens])).last_hidden_state[0, -1] for s in sequences]
            weight = module.get_output_embeddings().weight.float()
            truth = [torch.log_softmax(row.float() @ weight.T, dim=-1)[None].numpy() for row in hidden]
        assert difference(read(Resident(module), sequences, alone=True), truth) < 1e-5
        assert module.get_input_embeddings().weight.dtype == dtype
    with BlockModel(open_checkpoint(tiny["llama"]), CPU, dtype) as blocks:
        assert difference(read(Blockwise(blocks, CPU, dtype), sequences, alone=True), truth) < 1e-5


def test_a_model_larger_than_memory_is_read_block_by_block_and_said_so(
    tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sequences = sharing(6)
    with opened(tiny["phi3"], CPU, torch.float32, Console()) as whole:
        assert isinstance(whole, Resident)
        truth = read(whole, sequences)
    monkeypatch.setattr(model, "BESIDE_WEIGHTS", 1e12)
    with opened(tiny["phi3"], CPU, torch.float32, Console()) as parted:
        assert isinstance(parted, Blockwise)
        assert difference(read(parted, sequences), truth) < 1e-4
    assert "does not fit into memory as float32; it is read block by block" in capsys.readouterr().err


def test_the_share_done_adds_up_to_the_whole(tiny: dict[str, Path]) -> None:
    with loaded(tiny["llama"], CPU, torch.float32) as module, BlockModel(open_checkpoint(tiny["llama"]), CPU) as blocks:
        for reading in (Resident(module), Blockwise(blocks, CPU, torch.float32)):
            done: list[float] = []
            list(logprobs.read(reading, sharing(), done.append))
            assert sum(done) == pytest.approx(1)


@pytest.mark.demo
@pytest.mark.long
def test_the_demo_model_reads_bbq_in_trees_and_blocks_as_alone(
    demo_folder: Path, bbq: tuple[tuple[Item, ...], DataSource]
) -> None:
    prompter = Prompter(read_tokenizer(demo_folder))
    items = draw(bbq[0], "4", seed=1).items
    texts = [prompter.text(item, rotation) for item in items for rotation in range(ROTATIONS)]
    sequences = [Query(tuple(prompt)) for prompt in prompter.encode(texts)]
    letters = list(prompter.letters(texts[0]))
    with loaded(demo_folder, CPU, torch.float32) as module:
        truth = [rows[:, letters] for rows in one_by_one(module, sequences)]
        found = [rows[:, letters] for rows in read(Resident(module), sequences)]
    with BlockModel(open_checkpoint(demo_folder), CPU) as blocks:
        parted = [rows[:, letters] for rows in read(Blockwise(blocks, CPU, torch.float32), sequences)]
    assert difference(found, truth) < 1e-4
    assert difference(parted, truth) < 1e-4
