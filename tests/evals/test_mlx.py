"""MLX, by mlx-lm, beside transformers: the same answers, timed by the same design."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

import release.__main__ as main
import release.models
from release.card.render import render
from release.errors import BadOption, MissingSource, UnusableBase
from release.evals import run
from release.evals.bbq.items import Item
from release.evals.bbq.prompts import Prompter
from release.evals.latency.table import WARMUP, read_timings, record_of, write_timings
from release.evals.latency.timed import Pair, time_pair
from release.evals.work import ModelPair
from release.models.engine import Engine
from release.models.engines import ENGINES, engine
from release.models.load import read_tokenizer
from release.models.logprobs import read
from release.models.timed_answer import NEW_TOKENS
from release.models.tree import Query
from release.progress import Console
from release.report import show_measurements
from release.schema.measurements import Measurements
from release.schema.record import Record
from release.settings.command import understood
from release.settings.measuring import Measuring
from release.values import DataSource, EngineName
from tests import checkpoints, records

CPU = torch.device("cpu")
PROMPTS = 20

Bbq = tuple[tuple[Item, ...], DataSource]


def some_at_once(architectures: Iterable[str]) -> list[object]:
    """Qwen2 in every run of the tests, the others where there is more time."""
    return [pytest.param(name, marks=[pytest.mark.long] if name != "qwen2" else []) for name in architectures]


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints without ties: in fp32 two engines' sums differ by less than the likeliest tokens do.

    Weights as large as these make attention look somewhere, so that the answer depends on the prompt.
    """
    root, sizes = tmp_path_factory.mktemp("fp32"), {"initializer_range": 0.4, "max_position_embeddings": 2048}
    return {
        name: checkpoints.make(root / name, name, dtype=torch.float32, **sizes) for name in checkpoints.ARCHITECTURES
    }


def answers(runs: Engine, folder: Path, texts: list[str]) -> list[tuple[int, ...]]:
    prompter = Prompter(read_tokenizer(folder))
    with runs.exchanged(folder, folder, CPU) as take:
        return [runs.answer(take(0), prompter, text).tokens for text in texts]


def prompts(bbq: Bbq, count: int) -> list[str]:
    """Questions alone: tiny models read single bytes."""
    return list(dict.fromkeys(item.question for item in bbq[0]))[:count]


@pytest.mark.parametrize("architecture", some_at_once(checkpoints.ARCHITECTURES))
def test_both_engines_answer_with_the_same_tokens(exact: dict[str, Path], bbq: Bbq, architecture: str) -> None:
    texts = prompts(bbq, PROMPTS)
    first, second = (answers(engine(name), exact[architecture], texts) for name in ("transformers", "mlx"))
    assert {len(tokens) for tokens in first} == {NEW_TOKENS}
    assert first == second
    assert len(set(first)) > 1  # a model that always says the same would agree with anything


@pytest.mark.long
@pytest.mark.parametrize("architecture", some_at_once(["llama", "qwen2", "mistral"]))
@pytest.mark.parametrize(
    "rotary",
    [
        {"rope_type": "default", "rope_theta": 300.0},
        {"rope_type": "linear", "rope_theta": 300.0, "factor": 4.0},
    ],
    ids=lambda rotary: rotary["rope_type"],
)
def test_rotary_embeddings_are_those_of_the_configuration_however_it_is_written(
    exact: dict[str, Path], tmp_path: Path, bbq: Bbq, architecture: str, rotary: dict[str, object]
) -> None:
    folder = checkpoints.copy(exact[architecture], tmp_path / "turned")
    checkpoints.edit_config(folder, rope_parameters=rotary)
    texts = prompts(bbq, 5)
    first, second = (answers(engine(name), folder, texts) for name in ("transformers", "mlx"))
    assert first == second
    assert second != answers(engine("mlx"), exact[architecture], texts)


@pytest.mark.long
def test_no_answer_ends_early(exact: dict[str, Path], tmp_path: Path, bbq: Bbq) -> None:
    folder = checkpoints.copy(exact["llama"], tmp_path / "ends")
    ends = list(range(0, 256, 2))
    checkpoints.edit_config(folder, eos_token_id=ends)
    (folder / "generation_config.json").unlink()
    texts = prompts(bbq, 5)
    first, second = (answers(engine(name), folder, texts) for name in ("transformers", "mlx"))
    assert first == second
    assert not {token for tokens in second for token in tokens} & set(ends)


def doubled(source: Path, target: Path) -> Path:
    """A copy of a checkpoint in which the matrices of one shard are another's."""
    checkpoints.copy(source, target)
    first = min(target.glob("*.safetensors"))
    tensors = {name: tensor * 2 if tensor.dim() == 2 else tensor for name, tensor in load_file(first).items()}
    save_file(tensors, first, metadata={"format": "pt"})
    return target


def test_each_side_answers_with_its_own_weights(tmp_path: Path, tiny: dict[str, Path]) -> None:
    mlx_engine = engine("mlx")
    other = doubled(tiny["llama"], tmp_path / "other")
    ids = [[1, 2, 3]]
    with mlx_engine.exchanged(tiny["llama"], other, CPU) as take:
        said = [logits(take(side).model, ids) for side in (0, 1, 1, 0)]
    with mlx_engine.side_by_side(tiny["llama"], other, CPU) as take:
        alone = [logits(take(side).model, ids) for side in (0, 1)]
    assert not np.array_equal(*alone)
    for found, side in zip(said, (0, 1, 1, 0), strict=True):
        assert np.array_equal(found, alone[side])


def logits(model: object, ids: list[list[int]]) -> np.ndarray:
    import mlx.core as mx

    assert callable(model)
    return np.array(model(mx.array(ids)).astype(mx.float32))


def test_the_record_names_the_engine_and_follows_from_its_table(
    tmp_path: Path, tiny: dict[str, Path], bbq: Bbq
) -> None:
    items = bbq[0][: WARMUP + 3]
    pair = Pair("mlx", tiny["qwen2"], tiny["qwen2"], alike=True)
    timings = time_pair(pair, items, CPU, Console(quiet=True))
    found = record_of(timings, bbq[1], 1.0)
    assert (found.engine, found.items, found.dtype, found.threads) == ("mlx", 3, "bfloat16", None)
    assert [package.name for package in found.packages] == list(ENGINES["mlx"].packages)
    assert all(package.version for package in found.packages)
    write_timings(tmp_path / "latency-mlx.parquet", items, timings)
    asked, again = read_timings((tmp_path / "latency-mlx.parquet").read_bytes(), found)
    assert asked == [(item.category, item.example_id) for item in items]
    assert record_of(again, bbq[1], 1.0) == found


@pytest.mark.long  # a process of its own, which imports torch and MLX
def test_a_fresh_process_times_both_models_by_each_engine(
    tmp_path: Path, tiny: dict[str, Path], bbq: Bbq, console: Console
) -> None:
    asked = {"latency": "3", "latency_engine": ("mlx", "transformers"), "device": "cpu"}
    plan = Measuring(bbq="off", perplexity="off", answers="off", **asked)
    eval_plan = run.prepare(tiny["llama"], plan, console)
    found = run.measure(eval_plan, ModelPair(tiny["llama"], tiny["llama"]), tmp_path, console)
    assert [each.engine for each in found.latencies] == ["mlx", "transformers"]
    assert {path.name for path in (tmp_path / "evaluation").iterdir()} == {"latency.parquet", "latency-mlx.parquet"}
    figures = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert figures == {"latency", "latency-mlx"}


def test_models_of_other_types_are_timed_beside_each_other(tmp_path: Path, tiny: dict[str, Path], bbq: Bbq) -> None:
    other = checkpoints.make(tmp_path / "wide", dtype=torch.float32)
    pair = Pair("mlx", tiny["llama"], other, alike=False)
    timings = time_pair(pair, bbq[0][: WARMUP + 2], CPU, Console(quiet=True))
    assert (timings.seconds > 0).all()


def unknown(folder: Path) -> str:
    checkpoints.edit_config(folder, model_type="bloom", architectures=["BloomForCausalLM"])
    return "bloom not supported"


def unfilled(folder: Path) -> str:
    checkpoints.edit_config(folder, num_hidden_layers=3)
    return "Missing [0-9]+ parameters"


def of_its_own_code(folder: Path) -> str:
    (folder / "mine.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")
    checkpoints.edit_config(folder, model_file="mine.py")
    return "trust_remote_code=True"  # of a long message the middle is cut


def left_over(folder: Path) -> str:
    save_file({"left.over": torch.ones(2)}, folder / "model-old.safetensors", metadata={"format": "pt"})
    return "reads model.*safetensors alone.*model-old.safetensors"


REFUSED = (unknown, unfilled, of_its_own_code, left_over)


@pytest.mark.parametrize("spoil", REFUSED, ids=lambda spoil: spoil.__name__)
def test_what_mlx_cannot_run_as_it_stands_is_refused_by_name_before_any_work(
    tmp_path: Path, tiny: dict[str, Path], console: Console, spoil: object
) -> None:
    folder = checkpoints.copy(tiny["llama"], tmp_path / "model")
    assert callable(spoil)
    seen = spoil(folder)
    plan = Measuring(bbq="off", perplexity="off", latency="3", latency_engine=("mlx",), device="cpu")
    with pytest.raises(UnusableBase, match=seen) as caught:
        run.prepare(folder, plan, console)
    assert "'model'" in caught.value.seen or "of model" in caught.value.seen
    assert "--latency-engine transformers" in caught.value.remedy
    assert not (folder / "ran").exists()


@pytest.fixture
def _without_mlx(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has not installed it."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mlx", "mlx_lm")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "release.models.mlx_engine", raising=False)
    monkeypatch.delattr(release.models, "mlx_engine", raising=False)
    for name in ("mlx", "mlx_lm"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("_without_mlx")
def test_where_it_is_not_installed_the_line_that_installs_it_is_named(tiny: dict[str, Path], console: Console) -> None:
    plan = Measuring(bbq="off", perplexity="off", latency="3", latency_engine=("mlx",), device="cpu")
    with pytest.raises(MissingSource, match="Engine mlx cannot be used here") as caught:
        run.prepare(tiny["llama"], plan, console)
    assert "pip install 'prunecard[mlx]'" in caught.value.remedy
    assert engine("transformers").place(CPU).name == "cpu"


@pytest.mark.parametrize(
    ("text", "names"),
    [("mlx", ("mlx",)), ("transformers,mlx", ("transformers", "mlx")), ("mlx, transformers", ("mlx", "transformers"))],
)
def test_engines_are_named_with_commas_between_them(text: str, names: tuple[str, ...]) -> None:
    assert understood(Measuring, {"latency_engine": text}).latency_engine == names


@pytest.mark.parametrize(("text", "seen"), [("", "understood"), ("onnx", "understood"), ("mlx,mlx", "twice")])
def test_an_engine_that_is_not_known_or_named_twice_is_refused(text: str, seen: str) -> None:
    with pytest.raises(BadOption, match=seen):
        understood(Measuring, {"latency_engine": text})


def test_card_and_screen_have_a_row_for_each_engine(capsys: pytest.CaptureFixture[str]) -> None:
    found = records.example_measurements(other_latencies=(records.example_mlx_latency(),))
    card = render(records.example_record(measurements=found))
    assert "| Latency per answer | " in card
    assert "| Latency per answer by mlx | " in card
    assert "Apple M2 Max, bfloat16; mlx 0.32.4, mlx-lm 0.32.2." in card
    show_measurements(found, as_json=False)
    assert "latency by mlx, ms" in capsys.readouterr().out


def asked(folder: Path, out: Path, console: Console, **changes: object) -> Measurements:
    """What `measure` finds of a model beside itself."""
    plan = Measuring(bbq="11", perplexity="off", latency="off", device="cpu").model_copy(update=changes)
    return run.measure(run.prepare(folder, plan, console), ModelPair(folder, folder), out, console)


@pytest.mark.parametrize("architecture", some_at_once(["qwen2", "llama", "gemma2"]))
@pytest.mark.long
@pytest.mark.parametrize("reading", ["generate", "letters"])
def test_bbq_is_answered_alike_by_both_engines(
    exact: dict[str, Path], tmp_path: Path, console: Console, reading: str, architecture: str
) -> None:
    tables = []
    for name in ("transformers", "mlx"):
        found = asked(exact[architecture], tmp_path / name, console, bbq="4", bbq_scoring=reading, bbq_engine=name)
        assert found.bbq is not None
        assert found.bbq.engine == name
        assert [package.name for package in found.bbq.packages] == list(ENGINES[found.bbq.engine].packages)
        tables.append(pq.read_table(tmp_path / name / "evaluation" / "bbq.parquet").to_pydict())
    first, second = tables
    assert first.keys() == second.keys()
    for column, values in first.items():
        if isinstance(values[0], float):
            assert np.allclose(values, second[column], rtol=0, atol=1e-3), column
        else:
            assert values == second[column], column


@pytest.mark.long  # every prompt read twice
def test_rounding_is_measured_in_a_smaller_type(exact: dict[str, Path], tmp_path: Path, console: Console) -> None:
    found = asked(exact["qwen2"], tmp_path, console, bbq_engine="mlx", eval_dtype="bfloat16", bbq="6").bbq
    assert found is not None
    assert found.rounding is not None
    assert found.rounding.n == 6


def test_an_engine_that_computes_something_else_is_refused_before_any_work(
    exact: dict[str, Path], tmp_path: Path, console: Console
) -> None:
    folder = checkpoints.copy(exact["mistral"], tmp_path / "narrow")
    checkpoints.edit_config(folder, sliding_window=16)  # which mlx-lm takes no notice of
    with pytest.raises(UnusableBase, match="mlx computes something else with narrow") as caught:
        asked(folder, tmp_path / "out", console, bbq_engine="mlx")
    assert "--bbq-engine transformers" in caught.value.remedy
    assert not (tmp_path / "out").exists()


def test_the_card_says_what_answered(console: Console) -> None:
    packages = records.example_mlx_latency().packages
    found = records.example_measurements(bbq=records.example_bbq(engine="mlx", packages=packages))
    card = render(records.example_record(measurements=found))
    assert "by mlx (mlx 0.32.4, mlx-lm 0.32.2)" in card
    assert "the output matrix always in float32" not in card


@pytest.mark.long  # a measured release
def test_a_release_that_mlx_answered_and_timed_is_verified_and_asked_again(
    exact: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, options = str(exact["qwen2"]), ["--bbq", "24", "--bbq-scoring", "generate", "--bbq-engine", "mlx"]
    options += ["--latency", "3", "--latency-engine", "transformers,mlx", "--perplexity", "off", "--device", "cpu"]
    command = ["publish", base, "--method", "random", "--sparsity", "0.1", "--local"]
    assert main.run([*command, *options, "--out", str(tmp_path / "out")]) == 0
    [folder] = (tmp_path / "out").iterdir()
    record = Record.read(folder / "model")
    assert "--bbq-engine mlx" in record.plan.command
    assert "--latency-engine transformers,mlx" in record.plan.command
    capsys.readouterr()
    assert main.run(["verify", str(folder), "--base", base, "--spot-check", "6", "--json"]) == 0
    checks = {check["name"]: check["ok"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert {name: checks[name] for name in ("latency", "latency-mlx", "bbq", "spot-check bbq")} == dict.fromkeys(
        ("latency", "latency-mlx", "bbq", "spot-check bbq"), True
    )


def greedy(name: EngineName, folder: Path, prompts: list[list[int]], new: int) -> list[list[int]]:
    """The likeliest next tokens in fp32, where two engines' sums hardly differ."""
    said: list[list[int]] = [[] for _ in prompts]
    with engine(name).opened(folder, CPU, torch.float32, Console(quiet=True)) as reader:
        for _ in range(new):
            asked = [Query((*ids, *tokens)) for ids, tokens in zip(prompts, said, strict=True)]
            for index, rows in read(reader, asked, lambda _: None, alone=True):
                said[index].append(int(rows[-1].argmax()))
    return said


@pytest.mark.demo
@pytest.mark.long  # a real model, read by both engines
def test_both_engines_find_the_same_greedy_tokens_of_the_demo_model(demo_folder: Path, bbq: Bbq) -> None:
    # Bare questions: without a GPU, MLX takes a fifth of a second for each token that it reads of this model in fp32.
    ids = Prompter(read_tokenizer(demo_folder)).encode(prompts(bbq, 2))
    first, second = (greedy(name, demo_folder, ids, 3) for name in ("transformers", "mlx"))
    assert first == second
    assert len(set(map(tuple, first))) > 1
