"""The laws of pruning, over method × dtype × architecture × sparsity. A new method joins by its registry row."""

import hashlib
import itertools
import zlib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from release.checkpoint.folder import open_checkpoint
from release.checkpoint.header import Tensor, read_header
from release.checkpoint.prunable import prunable as names_of
from release.errors import DiskFull
from release.pruning.budget import Part, rounded_share, uniform
from release.pruning.method import PrunedTensor
from release.pruning.prune import Job, PruneContext, Pruned, prune, sizes_of
from release.pruning.prune_tensor import prune_one
from release.pruning.recipe import Recipe
from release.pruning.registry import METHODS
from tests import checkpoints
from tests.pruning import calibration

SPARSITIES = ("0.1", "0.5", "0.003", "0.97")
DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F64": torch.float64}
SEED = 42


def recipe(method: str, sparsity: str | None, seed: int = SEED, **choices: object) -> Recipe:
    return Recipe.of(method, Decimal(sparsity) if sparsity else None, seed, **choices)


def run(base: Path, target: Path, made: Recipe, console, threads: int = 2) -> dict[str, str]:
    """Prune and return name → SHA-256 of every written file, as read back."""
    sums = write(base, target, made, console, threads).sums
    tensors = {t.name: (p, t) for p in target.iterdir() for t in read_header(p).tensors}
    assert sums == {name: crc_of(*tensors[name]) for name in sums}
    return hashes(target)


def crc_of(path: Path, tensor: Tensor) -> int:
    return zlib.crc32(path.read_bytes()[tensor.start : tensor.start + tensor.nbytes])


def hashes(target: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(target.iterdir())}


def write(base: Path, target: Path, made: Recipe, console, threads: int = 2) -> Pruned:
    target.mkdir(parents=True, exist_ok=True)
    job = Job(made, target, target.with_name(f"{target.name}.work"))
    [pruned] = prune(open_checkpoint(base), [job], console, context_for(made, threads))
    return pruned


def context_for(made: Recipe, threads: int = 2) -> PruneContext:
    return calibration.calibrating(threads=threads) if made.calibration else PruneContext(threads)


def budgets_of(base: Path, sparsity: str) -> dict[str, int]:
    return uniform(sizes_of(open_checkpoint(base)), Decimal(sparsity)).zeros


METHODS_THAT_KEEP = [key for key, row in METHODS.items() if not row.updates_kept_weights]
NESTED = [key for key, row in METHODS.items() if not row.calibrated]
"""Methods whose smaller masks lie inside their larger ones; calibrated ones see other inputs at another sparsity."""
PLAIN = [key for key, row in METHODS.items() if not row.calibrated]


@pytest.mark.quick_rows(6)
@pytest.mark.parametrize(("method", "architecture"), checkpoints.crossed(METHODS, "random", "wanda"))
def test_zeros_are_exact_and_all_else_is_bit_identical(method, architecture, base_folders, tmp_path, console):
    base = base_folders[architecture]
    for sparsity in SPARSITIES:
        target = tmp_path / sparsity
        run(base, target, recipe(method, sparsity), console)
        dense, pruned = checkpoints.tensors(base), checkpoints.tensors(target)
        assert dense.keys() == pruned.keys()
        prunable = names_of(open_checkpoint(base))
        budgets = budgets_of(base, sparsity)
        assert sum(budgets.values()) == rounded_share(Decimal(sparsity), checkpoints.PRUNABLE[architecture])
        for name, before in dense.items():
            was, now = checkpoints.as_bits(before), checkpoints.as_bits(pruned[name])
            if name not in prunable:
                assert np.array_equal(was, now), name
                continue
            assert np.count_nonzero(now == 0) == budgets[name]
            assert METHODS[method].updates_kept_weights or np.array_equal(was[now != 0], now[now != 0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_float_type_is_pruned_exactly(method, dtype, tmp_path, console):
    base = checkpoints.make(tmp_path / "base", dtype=DTYPES[dtype])
    run(base, tmp_path / "out", recipe(method, "0.3"), console)
    prunable = names_of(open_checkpoint(base))
    pruned = checkpoints.tensors(tmp_path / "out")
    zeros = sum(int((pruned[name] == 0).sum()) for name in prunable)
    assert zeros == rounded_share(Decimal("0.3"), checkpoints.PRUNABLE["llama"])


@pytest.mark.parametrize("method", METHODS)
def test_headers_are_the_base_s_byte_for_byte(method, base_folders, tmp_path, console):
    run(base_folders["mixtral"], tmp_path / "out", recipe(method, "0.5"), console)
    base, written = (
        open_checkpoint(base_folders["mixtral"]),
        open_checkpoint_of(tmp_path / "out", base_folders["mixtral"]),
    )
    assert len(base.headers) > 1
    assert [h.raw for h in base.headers] == [h.raw for h in written.headers]


def open_checkpoint_of(folder: Path, base: Path):
    for name in ("config.json", "model.safetensors.index.json"):
        (folder / name).write_bytes((base / name).read_bytes())
    return open_checkpoint(folder)


@pytest.mark.quick_rows(2)
@pytest.mark.parametrize("method", METHODS)
def test_the_bytes_do_not_depend_on_threads_or_sharding(method, base_folders, tmp_path, console):
    base = base_folders["llama"]
    made = recipe(method, "0.5")
    runs = [run(base, tmp_path / f"threads{n}", made, console, n) for n in (1, 2, 3, 7)]
    assert all(r == runs[0] for r in runs)
    checkpoints.write(tmp_path_single := checkpoints.copy(base, tmp_path / "single"), checkpoints.tensors(base))
    for shard in tmp_path_single.glob("model-*"):
        shard.unlink()
    (tmp_path_single / "model.safetensors.index.json").unlink()
    run(tmp_path_single, tmp_path / "whole", made, console)
    sharded, whole = checkpoints.tensors(tmp_path / "threads1"), checkpoints.tensors(tmp_path / "whole")
    assert sharded.keys() == whole.keys()
    assert all(torch.equal(sharded[name], whole[name]) for name in whole)


@pytest.mark.parametrize("method", NESTED)
def test_a_smaller_sparsity_prunes_a_subset(method, base_folders, tmp_path, console):
    zeros = []
    for sparsity in ("0.1", "0.3", "0.7"):
        run(base_folders["llama"], tmp_path / sparsity, recipe(method, sparsity), console)
        pruned = checkpoints.tensors(tmp_path / sparsity)
        zeros.append({name: (t == 0) for name, t in pruned.items()})
    for small, large in itertools.pairwise(zeros):
        for name in small:
            assert not bool((small[name] & ~large[name]).any()), name


def test_another_seed_gives_another_random_mask(base_folders, tmp_path, console):
    one = run(base_folders["llama"], tmp_path / "one", recipe("random", "0.5", 1), console)
    two = run(base_folders["llama"], tmp_path / "two", recipe("random", "0.5", 2), console)
    assert one.keys() == two.keys()
    assert one != two


def test_magnitude_prunes_nothing_larger_than_what_it_keeps(base_folders, tmp_path, console):
    base = base_folders["llama"]
    run(base, tmp_path / "out", recipe("magnitude", "0.5"), console)
    dense, pruned = checkpoints.tensors(base), checkpoints.tensors(tmp_path / "out")
    for name in names_of(open_checkpoint(base)):
        gone = pruned[name] == 0
        assert dense[name][gone].abs().max() <= dense[name][~gone].abs().min()


@pytest.mark.parametrize("method", METHODS)
def test_zeros_of_the_base_count_towards_the_budget(method, llama, tmp_path, console):
    values = checkpoints.tensors(llama)
    name = "model.layers.0.mlp.up_proj.weight"
    values[name].view(-1)[:100] = 0
    values[name].view(-1)[100:120] = -0.0
    for shard in llama.glob("*.safetensors*"):
        shard.unlink()
    checkpoints.write(llama, values)
    run(llama, tmp_path / "out", recipe(method, "0.1"), console)
    budget = budgets_of(llama, "0.1")[name]
    bits = checkpoints.as_bits(checkpoints.tensors(tmp_path / "out")[name]).reshape(-1)
    assert np.count_nonzero(bits == 0) == budget > 120
    assert not bits[:120].any()


@pytest.mark.parametrize("method", METHODS_THAT_KEEP)
def test_a_tensor_with_more_zeros_than_its_budget_keeps_them_and_loses_no_weight(method, llama, tmp_path, console):
    values = checkpoints.tensors(llama)
    name = "model.layers.0.mlp.up_proj.weight"
    values[name].view(-1)[::2] = 0
    for shard in llama.glob("*.safetensors*"):
        shard.unlink()
    checkpoints.write(llama, values)
    run(llama, tmp_path / "out", recipe(method, "0.1"), console)
    assert torch.equal(checkpoints.tensors(tmp_path / "out")[name], values[name])


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    arrays(np.uint16, st.integers(1, 300), elements=st.integers(0, 2**16 - 1)),
    st.sampled_from(sorted(PLAIN)),
    st.floats(0, 1),
)
def test_a_mask_has_exactly_its_budget_for_any_bits(bits, method, share):
    tensor = Tensor("model.layers.0.mlp.up_proj.weight", "BF16", bits.shape, 0, bits.nbytes)
    made = recipe(method, "0.5", allow_nonfinite=True)
    budget = round(share * bits.size)
    zeros = int(np.count_nonzero((bits & 0x7FFF) == 0))
    out = np.empty_like(bits)
    prune_one(PrunedTensor(tensor, bits, made.draws(tensor.name)), Part(budget, bits.size, 0, bits.size), made, out)
    assert np.count_nonzero(out == 0) == max(budget, zeros)
    assert np.array_equal(out[out != 0], bits[out != 0])


@pytest.mark.parametrize(
    "method", [pytest.param(m, marks=() if m in ("random", "sparsegpt") else pytest.mark.long) for m in METHODS]
)
def test_an_interrupted_run_ends_in_the_same_bytes_wherever_it_was_cut(method, base_folders, tmp_path, console):
    base = base_folders["llama"]
    made = recipe(method, "0.5")
    whole = run(base, tmp_path / "whole", made, console)
    tag = made.tag(open_checkpoint(base))
    first = sorted(whole)[0]
    data = (tmp_path / "whole" / first).read_bytes()
    for size in (0, 1, 9, len(data) // 3, len(data) // 2, len(data) - 1, len(data)):
        target = tmp_path / f"cut{size}"
        target.mkdir()
        (target / f".{first}.{tag}.partial").write_bytes(data[:size])
        assert run(base, target, made, console) == whole


def test_a_partial_file_of_another_recipe_is_not_continued(base_folders, tmp_path, console):
    base, target = base_folders["llama"], tmp_path / "out"
    whole = run(base, tmp_path / "whole", recipe("random", "0.5"), console)
    first = sorted(whole)[0]
    target.mkdir()
    other = recipe("random", "0.1").tag(open_checkpoint(base))
    (target / f".{first}.{other}.partial").write_bytes(b"x" * 5000)
    write(base, target, recipe("random", "0.5"), console)
    assert hashlib.sha256((target / first).read_bytes()).hexdigest() == whole[first]


def test_no_room_is_said_before_anything_is_written(tmp_path, console, base_folders):
    base = open_checkpoint(base_folders["llama"])
    tensors = base.headers[0].tensors
    headers = (replace(base.headers[0], tensors=(*tensors, replace(tensors[0], nbytes=1 << 60))), *base.headers[1:])
    job = Job(recipe("random", "0.5"), tmp_path, tmp_path / "work")
    with pytest.raises(DiskFull, match="are needed"):
        prune(replace(base, headers=headers), [job], console, PruneContext(2))
    assert not list(tmp_path.iterdir())


PATTERNS = {"2:4": "0.5", "4:8": "0.5", "1:4": "0.75", "12:16": "0.25"}


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("method", METHODS)
def test_a_pattern_keeps_n_of_every_m_inputs(method, pattern, base_folders, tmp_path, console):
    made = recipe(method, None, pattern=pattern)
    assert made.sparsity == Decimal(PATTERNS[pattern])
    pruned = write(base_folders["llama"], tmp_path / "out", made, console)
    n, m = made.groups
    values = checkpoints.tensors(tmp_path / "out")
    for name in names_of(open_checkpoint(base_folders["llama"])):
        assert bool(((values[name].reshape(-1, m) != 0).sum(1) == n).all()), name
    assert pruned.budgets.total == rounded_share(made.sparsity, checkpoints.PRUNABLE["llama"])


SCOPES = [(name, scope) for name, method in METHODS.items() for scope in method.scopes if scope != "global"]


@pytest.mark.parametrize(("method", "scope"), SCOPES)
def test_every_scope_a_method_knows_holds_the_budget(method, scope, base_folders, tmp_path, console):
    base = base_folders["mistral"]
    write(base, tmp_path / "out", recipe(method, "0.37", scope=scope), console)
    budgets, pruned = budgets_of(base, "0.37"), checkpoints.tensors(tmp_path / "out")
    assert {name: int((pruned[name] == 0).sum()) for name in budgets} == budgets
    if scope == "row":
        for name in budgets:
            per_row = (pruned[name] == 0).sum(1)
            assert int(per_row.max() - per_row.min()) <= 1, name


def test_a_global_cut_prunes_the_smallest_weights_of_the_whole_model(base_folders, tmp_path, console):
    base = base_folders["llama"]
    pruned = write(base, tmp_path / "out", recipe("magnitude", "0.5", scope="global"), console)
    dense, after = checkpoints.tensors(base), checkpoints.tensors(tmp_path / "out")
    names = names_of(open_checkpoint(base))
    gone = torch.cat([dense[name][after[name] == 0].abs() for name in names])
    kept = torch.cat([dense[name][after[name] != 0].abs() for name in names])
    assert gone.max() <= kept.min()
    assert len(gone) == rounded_share(Decimal("0.5"), checkpoints.PRUNABLE["llama"])
    assert pruned.pruning.block_sparsities is not None


@pytest.mark.quick_rows(2)
@pytest.mark.parametrize("method", METHODS)
def test_several_sparsities_from_one_read_are_what_each_gives_alone(method, base_folders, tmp_path, console):
    base = open_checkpoint(base_folders["llama"])
    shares = ("0.1", "0.5", "0.7")
    jobs = []
    for share in shares:
        (tmp_path / share).mkdir()
        jobs.append(Job(recipe(method, share), tmp_path / share, tmp_path / f"{share}.work"))
    together = prune(base, jobs, console, context_for(jobs[0].recipe))
    for share, pruned in zip(shares, together, strict=True):
        alone = write(base.folder, tmp_path / f"alone{share}", recipe(method, share), console)
        assert pruned.sums.keys() == set(names_of(base))
        assert pruned.sums == alone.sums
        assert hashes(tmp_path / share) == hashes(tmp_path / f"alone{share}")
        assert pruned.pruning.together == len(shares)


@pytest.mark.parametrize("method", [key for key, row in METHODS.items() if row.calibrated])
def test_owl_shares_differ_by_block_and_the_total_stands(method, base_folders, tmp_path, console):
    base = base_folders["gemma2"]
    made = recipe(method, "0.6", allocation="owl")
    pruned = write(base, tmp_path / "out", made, console)
    after = checkpoints.tensors(tmp_path / "out")
    zeros = sum(int((after[name] == 0).sum()) for name in pruned.budgets.parts)
    assert zeros == rounded_share(Decimal("0.6"), checkpoints.PRUNABLE["gemma2"])
    assert len(set(pruned.pruning.block_sparsities)) > 1
