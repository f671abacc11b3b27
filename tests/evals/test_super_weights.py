"""A planted super weight is found by its place, and looked up in the pruned files."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from release.card.render import render
from release.checkpoint.count import places
from release.checkpoint.folder import open_checkpoint
from release.evals.engine.subject import EvaluatedModel, Runtime
from release.evals.run import measure, prepare
from release.evals.super_weights.find import (
    LEAST_SPIKE,
    MOST,
    Spike,
    look_up,
    peak,
    projections,
    seen,
    standing_out,
    stored_weight,
)
from release.evals.super_weights.result import SuperWeights
from release.evals.work import ModelPair
from release.models.load import loaded, read_tokenizer
from release.progress import Console
from release.report import show_measurements
from release.settings.measuring import Measuring
from tests import checkpoints
from tests.records import example_measurements, example_record

LookUp = Callable[[Path], SuperWeights | None]

CPU = torch.device("cpu")
BLOCK, ROW, COLUMN = 1, 7, 29
DOWN = f"model.layers.{BLOCK}.mlp.down_proj.weight"
RAISED = {
    "llama": ("up_proj", COLUMN),
    "phi3": ("gate_up_proj", checkpoints.SMALL["intermediate_size"] + COLUMN),
    "gemma2": ("up_proj", COLUMN),
    "qwen3": ("up_proj", COLUMN),
}
"""Which row of which matrix makes the input channel."""
OFF = Measuring(bbq="off", perplexity="off", latency="off", device="cpu")


def change(folder: Path, name: str, place: object, value: float, factor: float = 0) -> None:
    """Set part of a stored tensor to `value` plus `factor` times what it was."""
    for file in folder.glob("*.safetensors"):
        values = checkpoints.load_file(file)
        if name in values:
            values[name][place] = values[name][place] * factor + value
            checkpoints.write(folder, values, file.name)


def plant(source: Path, folder: Path, architecture: str = "llama") -> Path:
    """Copy a checkpoint and make one weight and its input channel stand out."""
    checkpoints.copy(source, folder)
    module, row = RAISED[architecture]
    change(folder, f"model.layers.{BLOCK}.mlp.{module}.weight", row, 0, factor=200)
    change(folder, DOWN, (ROW, COLUMN), 50)
    return folder


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, base_folders: dict[str, Path]) -> Path:
    """The tiny Llama with a super weight; not to be changed."""
    return plant(base_folders["llama"], tmp_path_factory.mktemp("planted") / "model")


def super_weights(subject: EvaluatedModel, tokenizer: object, pruned: Path) -> SuperWeights | None:
    found = seen(subject, tokenizer)
    return None if found is None else look_up(found, subject.folder, pruned)


@pytest.fixture(scope="module")
def looked(planted: Path) -> Iterator[LookUp]:
    """Looks the planted model's candidates up in another folder; the model is loaded once."""
    tokenizer = read_tokenizer(planted)
    with EvaluatedModel("dense", planted, Runtime(CPU, torch.float32), Console(quiet=True)) as subject:
        yield lambda pruned: super_weights(subject, tokenizer, pruned)


def look(dense: Path, pruned: Path) -> SuperWeights | None:
    with EvaluatedModel("dense", dense, Runtime(CPU, torch.float32), Console(quiet=True)) as subject:
        return super_weights(subject, read_tokenizer(dense), pruned)


@pytest.mark.parametrize("architecture", RAISED)
def test_a_planted_super_weight_is_the_first_candidate(
    architecture: str, tmp_path: Path, base_folders: dict[str, Path]
) -> None:
    folder = plant(base_folders[architecture], tmp_path / "planted", architecture)
    found = look(folder, folder)
    [first] = found.candidates
    assert (first.tensor, first.row, first.column, first.dense) == (DOWN, ROW, COLUMN, 50)
    assert first.spike > LEAST_SPIKE
    assert first.output == pytest.approx(50 * first.input, rel=0.01)
    assert not first.zeroed


def test_two_looks_see_the_same(planted: Path, looked: LookUp) -> None:
    assert looked(planted) == looked(planted)


@pytest.mark.parametrize(("value", "zeroed"), [(0.0, True), (-0.0, True), (1e-30, False), (float("nan"), False)])
def test_a_hit_is_read_from_the_pruned_files(
    value: float, zeroed: bool, planted: Path, looked: LookUp, tmp_path: Path
) -> None:
    pruned = checkpoints.copy(planted, tmp_path / "pruned")
    change(pruned, DOWN, (ROW, COLUMN), value)
    found = looked(pruned)
    assert [one.zeroed for one in found.candidates] == [zeroed]
    assert found.hits == zeroed
    first = found.candidates[0]
    assert (first.tensor, first.row, first.column, first.dense) == (DOWN, ROW, COLUMN, 50)


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        ([], []),
        ([LEAST_SPIKE - 0.1, 3.0], []),
        ([50.0, 400.0, LEAST_SPIKE, 99.0], [1, 2]),
        ([200.0, 50_000.0, 499.0, 500.0], [1, 3]),
        ([300.0 + i for i in range(MOST + 2)], [6, 5, 4, 3, 2]),
    ],
)
def test_only_what_stands_out_is_kept_by_falling_spike(sizes: list[float], kept: list[int]) -> None:
    found = {str(place): Spike(0, 0, 1.0, 1.0, size) for place, size in enumerate(sizes)}
    assert standing_out(found) == [str(place) for place in kept]


def test_that_no_spike_stands_out_is_a_finding(tmp_path: Path) -> None:
    folder = checkpoints.make(tmp_path / "deep", num_hidden_layers=MOST + 2)
    found = look(folder, folder)
    assert (found.blocks, found.candidates) == (MOST + 2, ())
    card = render(example_record(measurements=example_measurements(super_weights=found)))
    assert "**Super weights:** no candidate stands out in the dense model." in card


@pytest.mark.parametrize(
    ("architecture", "module", "sizes"),
    [
        ("llama", "mlp", {}),
        ("llama", "mlp", {"intermediate_size": 32}),
        ("llama", "mlp", {"intermediate_size": 24}),
        ("llama", "mlp", {"head_dim": 32}),
        ("phi3", "mlp", {}),
        ("gemma4", "mlp", {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 256}),
        ("falcon_h1", "feed_forward", {}),
    ],
)
def test_each_block_has_one_projection_back_to_the_residual_stream(
    architecture: str, module: str, sizes: dict[str, int], tmp_path: Path
) -> None:
    folder = checkpoints.make(tmp_path / "base", architecture, **sizes)
    with loaded(folder, CPU, torch.float32) as model:
        found = list(projections(model, open_checkpoint(folder).shapes))
    assert found == [f"model.layers.{block}.{module}.down_proj.weight" for block in range(2)]


@pytest.mark.parametrize(("architecture", "as_stored"), [("mixtral", True), ("mixtral", False), ("qwen2_moe", True)])
def test_a_mixture_of_experts_has_none(architecture: str, as_stored: bool, tmp_path: Path) -> None:
    folder = checkpoints.make(tmp_path / "base", architecture, as_stored=as_stored)
    assert look(folder, folder) is None


def test_a_model_without_blocks_named_layers_has_none() -> None:
    model = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=256))
    assert projections(model, {name: tuple(value.shape) for name, value in model.state_dict().items()}) == {}


def test_files_of_other_shapes_are_not_compared(looked: LookUp, tmp_path: Path) -> None:
    narrow = checkpoints.make(tmp_path / "narrow", intermediate_size=40)
    shallow = checkpoints.make(tmp_path / "shallow", num_hidden_layers=1)
    assert looked(narrow) is None
    assert looked(shallow) is None


def test_packed_weights_are_not_compared(planted: Path, looked: LookUp, tmp_path: Path) -> None:
    packed = checkpoints.copy(planted, tmp_path / "packed")
    for file in packed.glob("*.safetensors"):
        values = checkpoints.load_file(file)
        checkpoints.write(packed, {n: v.to(torch.int8) if n == DOWN else v for n, v in values.items()}, file.name)
    assert looked(packed) is None


@pytest.mark.parametrize("spoilt", [float("nan"), float("inf")])
def test_a_block_that_is_not_finite_has_no_candidate(spoilt: float, planted: Path, tmp_path: Path) -> None:
    folder = checkpoints.copy(planted, tmp_path / "spoilt")
    change(folder, DOWN, (3, 5), spoilt)
    assert look(folder, folder).candidates == ()


def test_a_spike_is_measured_against_the_layers_median_output() -> None:
    weight = torch.tensor([[1.0, 0.5], [0.0, -2.0], [1.0, 0.0]])
    inputs = torch.tensor([[1.0, 0.0], [3.0, -8.0]])
    outputs = torch.tensor([[1.0, 0.0, 1.0], [-1.0, 16.0, 3.0]])  # inputs @ weight.T; median of the sizes: 1
    assert peak(weight, inputs, outputs) == Spike(row=1, column=1, input=-8, output=16, size=16)
    assert peak(weight, inputs, outputs * torch.tensor([2.0, 1.0, 2.0])).size == 8


def test_the_output_is_read_at_the_token_of_the_inputs_peak() -> None:
    inputs, outputs = torch.tensor([[1.0], [-2.0]]), torch.tensor([[9.0, 1.0], [1.0, 4.0]])
    assert peak(torch.tensor([[1.0], [1.0]]), inputs, outputs) == Spike(row=1, column=0, input=-2, output=4, size=2)


def test_a_layer_that_gives_nothing_has_no_peak() -> None:
    weight, inputs = torch.zeros(4, 3), torch.ones(2, 3)
    assert peak(weight, inputs, inputs @ weight.T) is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_one_weight_is_read_as_the_library_reads_it(dtype: torch.dtype, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 7))).to(dtype)
    checkpoints.write(tmp_path, {"a": values[:, :3].contiguous(), "w": values})
    place = places(open_checkpoint(tmp_path))["w"]
    read = [[stored_weight(place, row, column) for column in range(7)] for row in range(5)]
    assert read == values.double().tolist()


@pytest.mark.parametrize(
    ("measuring", "precision"),
    [
        ({"perplexity": "2"}, "float32"),
        pytest.param({"latency": "2"}, "float32", marks=pytest.mark.long),
        ({}, None),
    ],
)
def test_they_are_looked_for_only_where_a_model_is_loaded_anyway(
    measuring: dict[str, str], precision: str | None, planted: Path, tmp_path: Path, console: Console
) -> None:
    dense = checkpoints.copy(planted, tmp_path / "dense")
    checkpoints.edit_config(dense, max_position_embeddings=2048)
    text = tmp_path / "own.txt"
    text.write_text("Rivers run into the sea. " * 50, encoding="utf-8")
    plan = OFF.model_copy(update=measuring | {"text": text})
    found = measure(prepare(dense, plan, console), ModelPair(dense, dense), tmp_path, console).super_weights
    assert (found and found.precision) == precision
    assert found is None or (found.candidates[0].row, found.candidates[0].column) == (ROW, COLUMN)


def test_card_and_screen_tell_how_many_were_hit(capsys: pytest.CaptureFixture[str]) -> None:
    card = render(example_record())
    assert "**Super weights:** pruning zeroed 1 of 2 candidates." in card
    assert "| 525 | 808 | 1.7344 | 402.8 | 688.5 | 8,123.4 | not zero |" in card
    assert "| 1113 | 808 | 1.7344 | 402.8 | 688.5 | 312.0 | **zero** |" in card
    assert "@misc{yu2024superweight," in card
    show_measurements(example_measurements(), as_json=False)
    assert "super weights zeroed" in capsys.readouterr().out


def test_a_card_without_them_does_not_name_them() -> None:
    card = render(example_record(measurements=example_measurements(super_weights=None)))
    assert "uper weight" not in card
    assert "yu2024superweight" not in card
