from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from release.errors import BadOption, UnusableBase, UnusableData
from release.evals.claims import decide
from release.evals.run import measure as measure_prepared
from release.evals.run import prepare
from release.evals.work import ModelPair
from release.models import load as model
from release.progress import Console
from release.schema.measurements import Measurements
from release.settings.measuring import Measuring
from tests import checkpoints
from tests.records import example_record

PLAN = Measuring(bbq="44", perplexity="4", text=checkpoints.PROSE, latency="3", device="cpu")


def measure(dense: Path, pruned: Path, plan: Measuring, out: Path, console: Console) -> Measurements:
    return measure_prepared(prepare(dense, plan, console), ModelPair(dense, pruned), out, console)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory, tiny: dict[str, Path]) -> Path:
    """The tiny Llama with most of its MLP gone: answers change."""
    folder = checkpoints.copy(tiny["llama"], tmp_path_factory.mktemp("damaged") / "model")
    for file in folder.glob("*.safetensors"):
        values = checkpoints.load_file(file)
        checkpoints.write(folder, {n: v * 0 if "mlp" in n else v for n, v in values.items()}, file.name)
    return folder


@pytest.mark.long
def test_dense_beside_dense_differs_nowhere(tmp_path: Path, tiny: dict[str, Path], console: Console) -> None:
    found = measure(tiny["llama"], tiny["llama"], PLAN, tmp_path, console)
    assert found.bbq.changed_answers.count == 0
    for score in found.bbq.scores + found.bbq.by_category:
        if score.difference.low is None:
            assert score.difference.value in (0, None)
        else:
            assert (score.difference.value, score.difference.low, score.difference.high) == (0, 0, 0)
    assert found.bbq.letters_dense == found.bbq.letters_pruned
    assert [test.p_value for test in found.bbq.right_answers] == [1, 1]
    assert (found.perplexity.ratio.low, found.perplexity.ratio.high) == (1, 1)
    assert found.storage.dense_bytes == found.storage.pruned_bytes > 0
    assert found.latency.items == 3
    assert found.latency.dense.mean > 0


CHANGES = ("bias_amplified", "bias_reduced", "accuracy_lost", "perplexity_raised", "perplexity_hides_bias")


@pytest.mark.parametrize(
    "reading", ["letters", *(pytest.param(name, marks=pytest.mark.long) for name in ("answers", "generate"))]
)
def test_dense_beside_dense_supports_no_claim_of_a_change(
    tmp_path: Path, tiny: dict[str, Path], console: Console, reading: str
) -> None:
    plan = PLAN.model_copy(update={"bbq": "22", "bbq_scoring": reading, "latency": "off"})
    found = measure(tiny["phi3"], tiny["phi3"], plan, tmp_path, console)
    verdicts = {claim.key: claim.verdict for claim in decide(example_record().audit, found)}
    # Of 22 answers that stay the same many more may change elsewhere; perplexity is the same in each window.
    assert {verdicts[key] for key in CHANGES} <= {"contradicted", "inconclusive"}
    assert verdicts["perplexity_raised"] == "contradicted"
    assert found.bbq.reading == reading
    assert {test.p_value for test in found.bbq.tests} <= {1, None}


def test_one_loading_serves_all_and_a_second_run_needs_none(
    tmp_path: Path, tiny: dict[str, Path], damaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = PLAN.model_copy(update={"bbq": "12", "latency": "off"})
    first = measure(tiny["llama"], damaged, plan, tmp_path, Console())
    assert (first.bbq.recalled, first.perplexity.recalled) == (0, 0)
    capsys.readouterr()
    again = measure(tiny["llama"], damaged, plan, tmp_path, Console())
    assert (again.bbq.recalled, again.perplexity.recalled) == (2 * 12 * 3, 2 * 4)
    assert "BBQ, dense" not in capsys.readouterr().err
    assert again.super_weights == first.super_weights
    assert again.bbq.scores == first.bbq.scores


@pytest.mark.long
def test_only_the_categories_asked_for_are_asked(tmp_path: Path, tiny: dict[str, Path], console: Console) -> None:
    plan = Measuring(bbq="16", bbq_categories=("Age", "SES"), perplexity="off", latency="off", device="cpu")
    found = measure(tiny["llama"], tiny["llama"], plan, tmp_path, console).bbq
    assert found.categories == ("Age", "SES")
    assert found.items == 16
    assert found.population == 3680 + 6864


@pytest.mark.long
def test_sixteen_bits_are_measured_with_their_floor(
    tmp_path: Path, tiny: dict[str, Path], damaged: Path, console: Console
) -> None:
    plan = PLAN.model_copy(update={"bbq": "8", "eval_dtype": "bfloat16", "latency": "off"})
    found = measure(tiny["llama"], damaged, plan, tmp_path, console)
    assert found.bbq.precision == found.perplexity.precision == "bfloat16"
    assert found.bbq.rounding.n == 8
    full = plan.model_copy(update={"eval_dtype": "float32", "perplexity": "off"})
    assert measure(tiny["llama"], damaged, full, tmp_path, console).bbq.rounding is None


@pytest.mark.long
def test_answers_are_written_item_by_item(
    tmp_path: Path, tiny: dict[str, Path], damaged: Path, console: Console
) -> None:
    plan = PLAN.model_copy(update={"perplexity": "off", "latency": "off"})
    found = measure(tiny["llama"], damaged, plan, tmp_path, console)
    assert (found.perplexity, found.latency) == (None, None)
    table = pq.read_table(tmp_path / "evaluation" / "bbq.parquet").to_pylist()
    assert len(table) == 2 * found.bbq.items == 88
    for row in table:
        logp = [row[f"logp_ans{i}"] for i in range(3)]
        assert row["choice"] == logp.index(max(logp))
    dense, pruned = ([r for r in table if r["model"] == name] for name in ("dense", "pruned"))
    changed = sum(a["choice"] != b["choice"] for a, b in zip(dense, pruned, strict=True))
    assert found.bbq.changed_answers.count == changed
    assert sum(found.bbq.letters_dense) == 44 * 3
    srs = next(s for s in found.bbq.scores if (s.name, s.over) == ("srs", "macro"))
    by_category: dict[str, list[bool]] = {}
    for row in dense:
        if row["condition"] == "ambig" and row["target"] is not None:
            by_category.setdefault(row["category"], []).append(row["choice"] == row["target"])
    assert srs.dense.value == pytest.approx(sum(sum(v) / len(v) for v in by_category.values()) / len(by_category))
    assert not {"context", "question", "answers"} & set(table[0])


def test_a_model_that_answers_nan_is_named_with_its_item(
    tmp_path: Path, tiny: dict[str, Path], console: Console
) -> None:
    folder = checkpoints.broken(tiny["llama"], tmp_path / "broken")
    plan = PLAN.model_copy(update={"perplexity": "off", "latency": "off"})
    with pytest.raises(UnusableData, match=r"The pruned model returned NaN .* for BBQ item Age \d+"):
        measure(tiny["llama"], folder, plan, tmp_path / "out", console)


def test_a_model_with_missing_weights_is_refused(tmp_path: Path, tiny: dict[str, Path]) -> None:
    folder = checkpoints.copy(tiny["llama"], tmp_path / "cut")
    checkpoints.edit_config(folder, num_hidden_layers=3)
    with pytest.raises(UnusableBase, match="lacks weights"), model.loaded(folder, torch.device("cpu"), torch.float32):
        pass


def test_a_model_beyond_memory_is_refused_before_loading(tmp_path: Path, tiny: dict[str, Path], monkeypatch) -> None:
    monkeypatch.setattr(model, "BESIDE_WEIGHTS", 1e12)
    with pytest.raises(UnusableBase, match="GB of memory"), model.loaded(tiny["llama"], torch.device("cpu"), None):
        pass


@pytest.mark.parametrize(
    ("field", "value"), [("perplexity", "1"), ("latency", "x"), ("bbq", "0"), ("device", "abacus")]
)
def test_amounts_out_of_range_are_refused(
    tmp_path: Path, tiny: dict[str, Path], field: str, value: str, console: Console
) -> None:
    off = Measuring(bbq="off", perplexity="off", latency="off", device="cpu").model_copy(update={field: value})
    with pytest.raises(BadOption, match=value):
        measure(tiny["llama"], tiny["llama"], off, tmp_path, console)


@pytest.mark.parametrize("length", [3000, 20_000])
def test_a_dry_run_cuts_the_windows_of_the_run_and_refuses_the_same_text(
    length: int, tmp_path: Path, tiny: dict[str, Path], console: Console
) -> None:
    text = tmp_path / "text.txt"
    text.write_text((checkpoints.PROSE.read_text(encoding="utf-8") * 100)[:length], encoding="utf-8")
    asked = {"bbq": "off", "latency": "off", "divergence": "off", "text": text, "window": 64, "device": "cpu"}
    for count in ("4", "9999"):
        plan = Measuring(**asked, perplexity=count)
        told = [_windows(tiny["llama"], plan, console, brief) for brief in (False, True)]
        assert told[0] == told[1]
        assert isinstance(told[0], str) == (count == "9999")


def _windows(dense: Path, plan: Measuring, console: Console, brief: bool) -> object:
    try:
        return prepare(dense, plan, console, brief=brief).tasks["perplexity"].prompts
    except UnusableData as error:
        return str(error)
