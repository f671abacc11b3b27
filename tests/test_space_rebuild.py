"""The Space makes pruned weights again: the same choices as the release's, and the very bytes that the Hub states."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from release.__main__ import run
from release.checkpoint.header import Tensor
from release.pruning.budget import uniform
from release.pruning.grouped import zero_in_rows
from release.pruning.mask_rng import MaskRng
from release.pruning.method import PrunedTensor, Scorer
from release.pruning.rebuild import is_decided
from release.pruning.recipe import Recipe
from release.pruning.registry import METHODS
from release.pruning.selection import zero_smallest
from release.schema.record import Record
from release.verification import weightless
from tests import checkpoints
from tests.hub import HubServer
from tests.remote import lay
from tests.space_fixtures import module, told

rebuild, rows = map(module, ("rebuild", "rows"))

NAME = "model.layers.0.mlp.up_proj.weight"
METHODS_HERE = sorted(rebuild.VERSIONS)


@st.composite
def weights(draw: Any) -> np.ndarray:
    """Few different values, so that ties, zeros of both signs and non-finite numbers are common."""
    kind = np.dtype(draw(st.sampled_from(sorted(rebuild.WORDS.values()))))
    sign = 1 << (8 * kind.itemsize - 1)
    values = st.sampled_from([0, sign, 1, sign + 1, 2, 300, sign // 2, sign - 1, 2 * sign - 1])
    return draw(arrays(kind, st.integers(1, 300), elements=values))


def subject_of(bits: np.ndarray, recipe: Any, shape: tuple[int, ...]) -> tuple[PrunedTensor, Scorer]:
    row = METHODS[recipe.method]
    dtype = next(name for name, word in rebuild.WORDS.items() if np.dtype(word) == bits.dtype)
    draws = MaskRng(recipe.seed, row.key, row.version, NAME)
    subject = PrunedTensor(Tensor(NAME, dtype, shape, 0, bits.nbytes), bits, draws)
    assert row.scorer is not None
    return subject, row.scorer(subject)


def chosen_by_the_release(bits: np.ndarray, recipe: Any) -> np.ndarray:
    out = np.empty_like(bits)
    zero_smallest(*subject_of(bits, recipe, bits.shape), recipe.budgets[NAME], out, allow_nonfinite=True)
    return out


@settings(deadline=None)
@given(weights(), st.floats(0, 1), st.sampled_from(METHODS_HERE), st.integers(0, 5))
def test_the_app_chooses_the_zeros_that_the_release_chose(
    bits: np.ndarray, share: float, method: str, seed: int
) -> None:
    recipe = rebuild.MaskRecipe(method, seed, {NAME: round(share * bits.size)})
    assert np.array_equal(rebuild.zeroed(bits, NAME, recipe), chosen_by_the_release(bits, recipe))


@pytest.mark.parametrize("method", METHODS_HERE)
def test_so_it_does_in_a_tensor_of_several_runs(method: str) -> None:
    bits = np.random.default_rng(0).integers(0, 1 << 16, 8 * rebuild.RUN + 12_345, np.uint16)
    recipe = rebuild.MaskRecipe(method, 42, {NAME: bits.size // 3})
    assert np.array_equal(rebuild.zeroed(bits, NAME, recipe), chosen_by_the_release(bits, recipe))


@settings(deadline=None)
@given(weights(), st.data(), st.floats(0, 1), st.sampled_from(METHODS_HERE), st.integers(0, 5))
def test_so_it_does_row_by_row(bits: np.ndarray, data: Any, share: float, method: str, seed: int) -> None:
    width = data.draw(st.sampled_from([each for each in range(1, bits.size + 1) if bits.size % each == 0]))
    due = rows.due_in_rows({NAME: bits.size}, {NAME: width}, Decimal(str(round(share, 3))))
    expected = uniform({NAME: bits.size}, Decimal(str(round(share, 3)))).parts[NAME].pieces(bits.size // width)
    assert due[NAME].tolist() == expected
    recipe, shape = rebuild.MaskRecipe(method, seed, due), (bits.size // width, width)
    out = np.empty_like(bits)
    zero_in_rows(*subject_of(bits, recipe, shape), due[NAME], out)
    assert np.array_equal(rebuild.zeroed(bits, NAME, recipe), out)


def test_so_it_does_in_rows_of_several_runs() -> None:
    width = 1_001
    bits = np.random.default_rng(0).integers(0, 1 << 16, 3 * (rows.RUN // width) * width + 7 * width, np.uint16)
    for method in METHODS_HERE:
        due = rows.due_in_rows({NAME: bits.size}, {NAME: width}, Decimal("0.333"))
        recipe, out = rebuild.MaskRecipe(method, 42, due), np.empty_like(bits)
        zero_in_rows(*subject_of(bits, recipe, (bits.size // width, width)), due[NAME], out)
        assert np.array_equal(rebuild.zeroed(bits, NAME, recipe), out), method


@pytest.mark.parametrize("method", METHODS_HERE)
def test_the_methods_are_known_in_their_present_version(method: str) -> None:
    assert METHODS[method].version == rebuild.VERSIONS[method]


# Against a Hub

BASE = "ada/base"
VARIANTS = {
    "random": ["--method", "random", "--sparsity", "0.3"],
    "magnitude": ["--method", "magnitude", "--sparsity", "0.5"],
    "rows": ["--method", "magnitude", "--sparsity", "0.5", "--scope", "row"],
    "pattern": ["--method", "random", "--pattern", "2:4"],
    "masked": ["--method", "magnitude", "--sparsity", "0.5", "--scope", "global", "--with-mask"],
    "calibrated": ["--method", "wanda", "--sparsity", "0.5", *checkpoints.CALIBRATION],
}
REBUILT = ("random", "magnitude", "rows", "masked")
UNREACHABLE = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from lens import lens
from lineup import Source
from models import LoadError, load
from reading import facts
source = Source("ada/there", base="ada/base")
with ThreadPoolExecutor() as pool:  # each waits for the Hub for as long as the library does
    model, card, items = (pool.submit(ask, source) for ask in (load, facts, lens))
try:
    model.result()
except LoadError as error:
    print(json.dumps([str(error), card.result().trouble, items.result().trouble]))
"""
SCRIPT = """
import json, sys
from lineup import from_readme
from models import load
from pathlib import Path
found = from_readme(Path(sys.argv[1]))
load(found.dense)
for source in found.pruned:
    loaded = load(source)
    print(json.dumps({"id": source.id, "zeros": sum(int((w == 0).sum()) for w in loaded.model.parameters())}))
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.make(tmp_path_factory.mktemp("rebuild") / "base", "llama", shard="30KB")


@pytest.fixture(scope="module")
def variants(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("variants")
    for name, options in VARIANTS.items():
        assert run(["prune", str(base), *options, "--out", str(root / name)]) == 0
    return {name: root / name for name in VARIANTS}


@pytest.fixture
def hub(base: Path, tmp_path: Path) -> Iterator[HubServer]:
    with HubServer(tmp_path / "hub") as server:
        lay(server, BASE, base)
        yield server


def loaded(hub: HubServer, folder: Path, *names: str) -> dict[str, int]:
    """Load base and variants as the app does; returns how many zeros each variant holds."""
    readme = folder / "README.md"
    readme.write_text(f"---\nmodels: [{', '.join([BASE, *(f'ada/{name}' for name in names)])}]\n---\n")
    return {each["id"].removeprefix("ada/"): each["zeros"] for each in told(hub.url, folder, SCRIPT, str(readme))}


def zeros(folder: Path) -> int:
    return sum(int((tensor == 0).sum()) for tensor in checkpoints.tensors(folder).values())


def downloads(hub: HubServer, folder: Path) -> Counter[str]:
    """How often each weight file of a model was fetched, not only asked about."""
    digests = {hashlib.sha256(path.read_bytes()).hexdigest(): path.name for path in folder.glob("*.safetensors")}
    asked = [seen.path.rsplit("/", 1)[1] for seen in hub.seen if seen.method == "GET" and "/lfs/" in seen.path]
    return Counter(digests[digest] for digest in asked if digest in digests)


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith((".rebuilt", ".incomplete", ".made"))]


@pytest.mark.long
def test_weights_that_seed_and_base_decide_are_made_and_all_others_downloaded(
    hub: HubServer, base: Path, variants: dict[str, Path], tmp_path: Path
) -> None:
    for name, folder in variants.items():
        lay(hub, f"ada/{name}", folder)
    found = loaded(hub, tmp_path, *variants)
    assert found == {name: zeros(folder) for name, folder in variants.items()}
    files = {path.name: 1 for path in variants["random"].glob("*.safetensors")}
    assert len(files) > 1
    assert downloads(hub, base) == files
    for name, folder in variants.items():
        assert downloads(hub, folder) == ({} if name in REBUILT else files), name
    assert not leftovers(tmp_path)
    hub.seen.clear()
    loaded(hub, tmp_path, "random")
    assert not downloads(hub, variants["random"])
    assert not any("sparsity.csv" in seen.path for seen in hub.seen), "what is there is made again"


def lay_without_weights(hub: HubServer, name: str, folder: Path, place: Path, **pruning: Any) -> None:
    """Lay a release on the Hub without its weights; its base was moved on since."""
    record = Record.read(folder)
    view = weightless.lay_out(folder, place / name, record)
    pruned_from = hub.store.repo("models", BASE)
    assert pruned_from is not None
    commit = pruned_from.branches["main"]
    lean = weightless.recipe_of(record).model_copy(
        update={
            "base": record.base.model_copy(update={"id": BASE, "revision": commit}),
            "pruning": record.pruning.model_copy(update=pruning),
        }
    )
    lay(hub, f"ada/{name}", view, **{"release.json": lean.to_json()})


@pytest.mark.long
def test_a_repository_without_weights_is_made_whole_from_its_base_at_the_commit_on_record(
    hub: HubServer, base: Path, variants: dict[str, Path], tmp_path: Path
) -> None:
    lean = ("random", "magnitude", "masked")
    for name in lean:
        lay_without_weights(hub, name, variants[name], tmp_path)
    lay(hub, BASE, base, **{"README.md": "Moved on."})
    assert loaded(hub, tmp_path, *lean) == {name: zeros(variants[name]) for name in lean}
    for name in lean:
        [folder] = (tmp_path / "home" / "hub" / f"models--ada--{name}" / "made").iterdir()
        made = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
        assert made == {path.name: path.read_bytes() for path in variants[name].glob("*.safetensors")}
    assert not leftovers(tmp_path)


SPOILT_LEAN = """
import json
from lineup import Source
from models import LoadError, load
load(Source("ada/base"))
try:
    load(Source("ada/spoilt", base="ada/base"))
except LoadError as error:
    print(json.dumps(str(error)))
"""


@pytest.mark.long
def test_what_a_recipe_does_not_give_is_not_loaded(hub: HubServer, variants: dict[str, Path], tmp_path: Path) -> None:
    lay_without_weights(hub, "spoilt", variants["random"], tmp_path, seed=7)
    [said] = told(hub.url, tmp_path, SPOILT_LEAN)
    assert "on record" in said
    assert "release verify" in said
    assert not leftovers(tmp_path)


def test_what_the_app_makes_without_a_mask_is_what_a_push_lets_go_without_one(variants: dict[str, Path]) -> None:
    for folder in variants.values():
        record = Record.read(folder)
        known = Recipe.recorded(record.pruning)
        app = rebuild.decided(json.loads((folder / "release.json").read_text()))
        assert app == (weightless.is_plain(known) and is_decided(known))


def altered_record(folder: Path) -> dict[str, str]:
    record = json.loads((folder / "release.json").read_text())
    record["pruning"]["seed"] += 1
    return {"release.json": json.dumps(record)}


def other_base(folder: Path) -> dict[str, str]:
    record = json.loads((folder / "release.json").read_text())
    for file in record["base"]["files"]:
        file["sha256"] = "0" * 64
    return {"release.json": json.dumps(record)}


SPOILT: dict[str, Callable[[Path], dict[str, str]]] = {
    "seed": altered_record,
    "base": other_base,
    "recipe": lambda _: {"release.json": "{}"},
    "record": lambda _: {"release.json": "[]"},
    "nesting": lambda _: {"release.json": "[" * 100_000},
    "table": lambda _: {"sparsity.csv": "name\nx\n"},
    "cell": lambda _: {"sparsity.csv": "name,module,budget\n" + "x" * 200_000},
}


@pytest.mark.long
def test_what_does_not_come_out_as_the_hub_states_it_is_downloaded(
    hub: HubServer, variants: dict[str, Path], tmp_path: Path
) -> None:
    folder = variants["random"]
    for name, spoil in SPOILT.items():
        lay(hub, f"ada/{name}", folder, **spoil(folder))
    assert loaded(hub, tmp_path, *SPOILT) == dict.fromkeys(SPOILT, zeros(folder))
    assert set(downloads(hub, folder).values()) == {len(SPOILT)}
    assert not leftovers(tmp_path)


@pytest.mark.long  # the client waits and tries again, a minute in all
def test_a_hub_that_cannot_be_reached_is_said_not_raised(tmp_path: Path) -> None:
    [(model, card, items)] = told("http://127.0.0.1:9", tmp_path, UNREACHABLE)
    assert model.startswith("ada/there could not be loaded")
    assert "try again" in model
    assert card.startswith("Its card could not be read")
    assert items
