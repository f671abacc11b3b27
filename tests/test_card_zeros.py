"""What a card says becomes of the zeros is so, and its snippet keeps them: tried on a small model."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from release.card.render import render
from tests.records import example_record

SNIPPET = re.search(r"```python\n(import torch\n.*?)```", render(example_record()), re.DOTALL)


class Kept:
    """A small model of whose linear layers every second weight is zero, and the card's snippet run on it."""

    def __init__(self, folder: Path) -> None:
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        with torch.no_grad():
            for weight in self.weights():
                weight.view(-1)[::2] = 0
        self.names: dict[str, Any] = {"model": self.model}
        assert SNIPPET is not None
        exec(SNIPPET[1], self.names)

    def weights(self) -> Iterator[torch.Tensor]:
        return (weight for name, weight in self.model.named_parameters() if name.endswith("proj.weight"))

    def zeros(self) -> float:
        return sum(int((weight == 0).sum()) for weight in self.weights()) / sum(w.numel() for w in self.weights())

    def keep(self) -> None:
        self.names["keep_zeros"](self.model)


@pytest.fixture
def kept(base_folders: dict[str, Path]) -> Kept:
    return Kept(base_folders["llama"])


def test_the_first_step_of_fine_tuning_fills_the_zeros_and_the_snippet_keeps_them(kept: Kept) -> None:
    assert kept.zeros() >= 0.5
    before, other = kept.zeros(), kept.model.lm_head.weight.detach().clone()
    optimizer = torch.optim.AdamW(kept.model.parameters(), lr=1e-2)
    ids = torch.tensor([[1, 2, 3, 4]])
    kept.model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    assert kept.zeros() < before / 3  # a weight without a gradient stays as it is
    kept.keep()
    assert kept.zeros() == before
    assert not torch.equal(kept.model.lm_head.weight, other)


def test_merging_a_lora_fills_the_zeros_and_the_snippet_keeps_them(kept: Kept) -> None:
    before, draws = kept.zeros(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in kept.weights():
            rows, columns = weight.shape
            weight += torch.randn(rows, 2, generator=draws) @ torch.randn(2, columns, generator=draws)
    assert kept.zeros() < 0.01
    kept.keep()
    assert kept.zeros() == before


def test_quantizing_with_a_zero_point_at_zero_keeps_zeros_and_adds_some_and_an_offset_moves_them(kept: Kept) -> None:
    weight = next(kept.weights()).detach()
    zero = weight == 0
    blocks = weight.reshape(weight.shape[0], -1)
    scale = blocks.abs().amax(1, keepdim=True) / 7
    symmetric = (blocks / scale).round() * scale
    assert bool((symmetric[zero] == 0).all())
    assert int((symmetric == 0).sum()) > int(zero.sum())
    low, high = blocks.amin(1, keepdim=True), blocks.amax(1, keepdim=True)
    step = (high - low) / 15
    offset = ((blocks - low) / step).round() * step + low
    assert int((offset[zero] == 0).sum()) < int(zero.sum())
