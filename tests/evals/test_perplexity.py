import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from release.errors import UnusableData
from release.evals.engine.subject import EvaluatedModel, Runtime
from release.evals.perplexity import compare as perplexity
from release.evals.perplexity.result import Perplexity
from release.evals.perplexity.windows import cut_windows, losses_of
from release.models.load import loaded
from release.progress import Console
from release.values import DataSource
from tests import checkpoints

CPU = torch.device("cpu")
TEXT = "".join(f"Line {i} tells that {i * 7919 % 97} is a number. " for i in range(60))
SOURCE = DataSource(name="x", origin="a file", revision=None, licence=None, sha256="0")


def test_perplexity_is_the_hand_written_loops(tiny: dict[str, Path], console: Console) -> None:
    windows = cut_windows(TEXT, "x", checkpoints.tokenizer(), 5, window=64)
    with EvaluatedModel("dense", tiny["llama"], Runtime(CPU, torch.float32), console) as subject:
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
        EvaluatedModel("pruned", folder, Runtime(CPU, torch.float32), console) as subject,
        pytest.raises(UnusableData, match="The pruned model returned NaN"),
    ):
        losses_of(subject, windows)


def compared(dense: np.ndarray, pruned: np.ndarray) -> Perplexity:
    sides = (perplexity.Readings(losses, recalled=0, seconds=1.0) for losses in (dense, pruned))
    windows = perplexity.Windows.of(np.ones((len(dense), 8), dtype=np.int32))
    return perplexity.compare(windows, *sides, SOURCE, "float32")


def test_fewer_than_sixteen_windows_give_no_interval() -> None:
    losses = np.random.default_rng(0).normal(3, 0.2, size=(2, 16))
    assert compared(*losses[:, :15]).ratio.low is None
    assert compared(*losses).ratio.low is not None


def test_the_ratio_is_that_of_the_two_perplexities_window_by_window() -> None:
    """A change that all windows share is known far better than either model's perplexity."""
    dense = np.random.default_rng(0).normal(3, 0.5, size=64)
    found = compared(dense, dense + 0.1 + np.random.default_rng(1).normal(0, 0.01, size=64))
    assert found.ratio.value == pytest.approx(found.pruned.value / found.dense.value)
    widths = [np.log(each.high / each.low) for each in (found.dense, found.pruned, found.ratio)]
    assert widths[2] < 0.1 * min(widths[:2])
