"""What quantizing and merging do to zeros is counted on the files, by the arithmetic that other tools use."""

from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from release.card.render import render
from release.checkpoint.files import Folder
from release.checkpoint.folder import open_checkpoint
from release.checkpoint.prunable import prunable
from release.evals.zeros.result import TreatedZeros, Zeros
from release.evals.zeros.treat import TREATMENTS, by_groups, with_offset
from release.evals.zeros.work import count
from release.verification import recompute
from tests.records import example_measurements, example_record

GGUF = {by_groups: gguf.GGMLQuantizationType.Q4_0, with_offset: gguf.GGMLQuantizationType.Q4_1}


def half_zero(seed: int, rows: int = 16, columns: int = 64) -> torch.Tensor:
    """A matrix of which half the weights are zero, in steps that fp16 holds, so that a scale's rounding is none."""
    draws = torch.Generator().manual_seed(seed)
    weight = torch.randint(-127, 128, (rows, columns), generator=draws).float() / 128
    return weight * (torch.rand(rows, columns, generator=draws) < 0.5)


@pytest.mark.parametrize("sign", [lambda weight: weight, torch.abs], ids=["both signs", "no sign"])
@pytest.mark.parametrize("treatment", GGUF, ids=lambda each: each.__name__)
@pytest.mark.parametrize("seed", range(3))
def test_four_bits_leave_the_zeros_that_ggufs_own_quantizer_leaves(treatment: Any, sign: Any, seed: int) -> None:
    weight = sign(half_zero(seed))
    theirs = gguf.quants.dequantize(gguf.quants.quantize(weight.numpy(), GGUF[treatment]), GGUF[treatment])
    ours, found, zero = treatment(weight) == 0, torch.from_numpy(theirs.copy()) == 0, weight == 0
    assert (int((ours & zero).sum()), int((ours & ~zero).sum())) == (
        int((found & zero).sum()),
        int((found & ~zero).sum()),
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["int8", "q4_0"]), st.sampled_from([8, 32, 40, 96]))
def test_a_scale_alone_keeps_every_zero(seed: int, name: str, columns: int) -> None:
    weight = half_zero(seed, 4, columns)
    found = TREATMENTS[name](weight, torch.float32, torch.Generator())
    assert bool((found[weight == 0] == 0).all())
    assert bool((found - weight).abs().max() <= weight.abs().max())


def test_the_zeros_of_a_folder_are_counted_matrix_by_matrix(base_folders: dict[str, Path]) -> None:
    folder = base_folders["llama"]
    steps: list[float] = []
    found = count(folder, steps.append)
    checkpoint = open_checkpoint(folder)
    assert found.zeros + found.others == sum(
        checkpoint.shapes[n][0] * checkpoint.shapes[n][1] for n in prunable(checkpoint)
    )
    assert [each.treatment for each in found.treatments] == list(TREATMENTS)
    by = {each.treatment: each for each in found.treatments}
    assert (by["int8"].kept, by["q4_0"].kept) == (found.zeros, found.zeros)
    assert by["int8"].added < by["q4_0"].added
    assert sum(steps) == sum(tensor.numel for tensor in checkpoint.tensors())
    assert count(folder, lambda _: None) == found


def of_record(**changes: int) -> Zeros:
    audit = example_record().audit
    zeros = audit.zeroed_parameters
    others = audit.prunable_parameters - zeros
    facts = {"zeros": zeros, "others": others, "kept": zeros, "offset": zeros // 40, "lora": 0, "added": others // 100}
    facts |= changes
    kept = {"int8": facts["kept"], "q4_0": zeros, "q4_1": facts["offset"], "lora": facts["lora"]}
    treated = tuple(TreatedZeros(treatment=name, kept=left, added=facts["added"]) for name, left in kept.items())
    return Zeros(zeros=facts["zeros"], others=facts["others"], treatments=treated)


@pytest.mark.parametrize(
    ("changes", "ok"),
    [({}, True), ({"zeros": 7}, False), ({"others": 7}, False), ({"kept": 7}, False), ({"offset": 2**60}, False)],
)
def test_counts_that_the_audit_or_arithmetic_contradicts_are_found(
    changes: dict[str, int], ok: bool, tmp_path: Path
) -> None:
    record = example_record(measurements=example_measurements(zeros=of_record(**changes)))
    [check] = [each for each in recompute.checks(Folder(tmp_path), record) if each.name == "zeros next"]
    assert check.ok is ok


def test_the_card_says_what_was_tried_on_these_files() -> None:
    card = render(example_record(measurements=example_measurements(zeros=of_record())))
    [quantizing] = [line for line in card.replace("\u00a0", " ").split("\n") if line.startswith("- **Quantizing**")]
    four = "100.0 % in GGUF’s Q4\\_0, 2.5 % in its Q4\\_1"
    assert quantizing == f"- **Quantizing** these files keeps 100.0 % of the zeros in 8 bits, {four}."
    assert "\n- **Merging a LoRA** (rank 8, drawn at random) keeps 0.0\u00a0%.\n" in card
