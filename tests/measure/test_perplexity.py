import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from release.errors import UnusableData
from release.measure import perplexity
from release.measure.model import loaded
from release.measure.subject import Subject
from release.measure.windows import cut_windows, losses_of
from release.measurements import DataSource, Perplexity
from release.progress import Console
from tests import checkpoints

CPU = torch.device("cpu")
TEXT = "".join(f"Line {i} tells that {i * 7919 % 97} is a number. " for i in range(60))
SOURCE = DataSource(name="x", origin="a file", revision=None, licence=None, sha256="0")


def test_perplexity_is_the_hand_written_loops(tiny: dict[str, Path], console: Console) -> None:
    windows = cut_windows(TEXT, "x", checkpoints.tokenizer(), 5, window=64)
    with Subject("dense", tiny["llama"], None, CPU, torch.float32, console) as subject:
        readings = losses_of(subject, windows)
        again = losses_of(subject, windows)
        assert (readings.recalled, again.recalled) == (0, 5)
        assert np.array_equal(readings.losses, again.losses)
    with loaded(tiny["llama"], CPU, torch.float32) as model:
        total, scored = 0.0, 0
        model.requires_grad_(False)
        for row in windows.tolist():
            logits = model(torch.tensor([row])).logits[0].double()
            for place in range(1, len(row)):
                total -= float(torch.log_softmax(logits[place - 1], dim=-1)[row[place]])
                scored += 1
    result = perplexity.compare(perplexity.Windows.of(windows), readings, readings, SOURCE, "float32")
    assert result.dense.value == pytest.approx(math.exp(total / scored), rel=1e-5)
    assert result.tokens == scored == 5 * 63
    assert (result.ratio.value, result.ratio.low, result.ratio.high) == (1, 1, 1)
    assert result.token_sha256 == hashlib.sha256(np.array(windows, dtype="<i4").tobytes()).hexdigest()


def test_windows_follow_each_other_without_overlap() -> None:
    tokenizer = checkpoints.tokenizer()
    windows = cut_windows(TEXT, "x", tokenizer, 3, window=50)
    assert windows.ravel().tolist() == tokenizer(TEXT, add_special_tokens=False)["input_ids"][:150]


def test_each_window_begins_as_the_tokenizer_begins_a_text() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = checkpoints.tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    windows = cut_windows(TEXT, "x", tokenizer, 3, window=50)
    assert windows[:, 0].tolist() == [1, 1, 1]
    assert windows[:, 1:].ravel().tolist() == tokenizer(TEXT, add_special_tokens=False)["input_ids"][:147]


def test_a_text_that_is_too_short_is_refused() -> None:
    with pytest.raises(UnusableData, match="need 1600"):
        cut_windows("short", "x", checkpoints.tokenizer(), 100, window=16)


def test_a_broken_model_is_named(tmp_path: Path, tiny: dict[str, Path], console: Console) -> None:
    folder = checkpoints.broken(tiny["llama"], tmp_path / "broken")
    windows = cut_windows(TEXT, "x", checkpoints.tokenizer(), 2, window=64)
    with (
        Subject("pruned", folder, None, CPU, torch.float32, console) as subject,
        pytest.raises(UnusableData, match="The pruned model returned NaN"),
    ):
        losses_of(subject, windows)


@pytest.mark.parametrize(
    ("count", "found"), [(2, 2), (12, 12), (23, 23), (24, 12), (32, 16), (36, 12), (256, 42), (10_000, 454)]
)
def test_neighbouring_windows_make_a_block_and_there_are_twelve_where_windows_allow(count: int, found: int) -> None:
    of = perplexity.blocks(count)
    sizes = np.bincount(of)
    assert (len(sizes), len(of)) == (found, count)
    assert (np.diff(of) >= 0).all()
    assert sizes.max() - sizes.min() <= 1


def compared(dense: np.ndarray, pruned: np.ndarray) -> Perplexity:
    sides = (perplexity.Readings(losses, recalled=0, seconds=1.0) for losses in (dense, pruned))
    windows = perplexity.Windows.of(np.ones((len(dense), 8), dtype=np.int32))
    return perplexity.compare(windows, *sides, SOURCE, "float32")


def test_fewer_than_twelve_windows_give_no_interval() -> None:
    losses = np.random.default_rng(0).normal(3, 0.2, size=(2, 24))
    assert compared(*losses[:, :11]).ratio.low is None
    assert compared(*losses).ratio.low is not None


@pytest.mark.parametrize("echo", [0.0, 0.5])
def test_the_interval_holds_the_truth_where_neighbours_are_alike(echo: float) -> None:
    """Losses that follow their neighbour's; windows taken for independent would cover 76 % of worlds at 0.5."""
    rng, hits, worlds = np.random.default_rng(3), 0, 400
    for _ in range(worlds):
        noise = rng.normal(0, 0.1, size=300)
        moved = np.zeros(300)
        for place in range(1, 300):
            moved[place] = echo * moved[place - 1] + noise[place]
        dense = rng.normal(3, 0.2, size=256)
        ratio = compared(dense, dense + 0.1 + moved[44:]).ratio
        hits += ratio.low <= np.exp(0.1) <= ratio.high
    assert 0.91 < hits / worlds < 0.98
