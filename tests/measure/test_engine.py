import random
from pathlib import Path

import numpy as np
import pytest
import torch

from release.measure import engine
from release.measure.model import loaded, read_tokenizer
from release.measure.prompts import ROTATIONS, Prompter
from release.measure.sample import draw
from release.progress import Console
from release.record import DataSource
from release.sources.bbq import Item
from tests import checkpoints

CPU = torch.device("cpu")


def sharing_prompts(count: int = 40) -> list[list[int]]:
    """Prompts that branch off one another at many places."""
    rng = random.Random(0)
    prompts = [[rng.randrange(3, 250) for _ in range(60)]]
    while len(prompts) < count:
        stem = rng.choice(prompts)
        prompts.append(
            stem[: rng.randrange(1, len(stem))] + [rng.randrange(3, 250) for _ in range(rng.randrange(1, 40))]
        )
    return prompts


def one_by_one(model: torch.nn.Module, prompts: list[list[int]]) -> np.ndarray:
    """The definition: a forward pass a prompt, softmax over the whole vocabulary."""
    with torch.inference_mode():
        rows = [torch.log_softmax(model(torch.tensor([p])).logits[0, -1].double(), dim=-1) for p in prompts]
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("architecture", checkpoints.ARCHITECTURES)
def test_trees_read_what_single_prompts_read(tiny: dict[str, Path], architecture: str, console: Console) -> None:
    prompts = sharing_prompts()
    with loaded(tiny[architecture], CPU, torch.float32) as model:
        assert engine.choose(model, prompts, console) is engine.trees
        found = engine.next_token_logprobs(model, prompts, range(256), console, "x")
        assert np.abs(found - one_by_one(model, prompts)).max() < 1e-4


@pytest.mark.parametrize("architecture", ["mistral", "gemma2", "phi3"])
def test_beyond_a_sliding_window_prompts_are_read_alone(
    tmp_path: Path, tiny: dict[str, Path], architecture: str, console: Console
) -> None:
    folder = checkpoints.copy(tiny[architecture], tmp_path / "model")
    checkpoints.edit_config(folder, sliding_window=16)
    prompts = sharing_prompts(12)
    with loaded(folder, CPU, torch.float32) as model:
        assert engine.choose(model, prompts, console) is engine.plain
        found = engine.next_token_logprobs(model, prompts, range(256), console, "x")
        assert np.abs(found - one_by_one(model, prompts)).max() < 1e-4


def test_a_model_that_takes_no_tree_is_read_alone(console: Console) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    model = MambaForCausalLM(MambaConfig(vocab_size=256, hidden_size=16, num_hidden_layers=1, state_size=4)).eval()
    prompts = sharing_prompts(6)
    assert engine.choose(model, prompts, console) is engine.plain
    found = engine.next_token_logprobs(model, prompts, range(256), console, "x")
    assert np.abs(found - one_by_one(model, prompts)).max() < 1e-4


@pytest.mark.demo
def test_the_demo_model_reads_bbq_in_trees_as_alone(
    demo_folder: Path, bbq: tuple[tuple[Item, ...], DataSource], console: Console
) -> None:
    prompter = Prompter(read_tokenizer(demo_folder))
    items = draw(bbq[0], "4", seed=1).items
    texts = [prompter.text(item, rotation) for item in items for rotation in range(ROTATIONS)]
    prompts = prompter.encode(texts)
    with loaded(demo_folder, CPU, torch.float32) as model:
        found = engine.next_token_logprobs(model, prompts, prompter.letters(texts[0]), console, "x")
        expected = one_by_one(model, prompts)[:, prompter.letters(texts[0])]
    assert np.abs(found - expected).max() < 1e-4
