"""A model run block by block from its files is the model, and what its weights are multiplied with is seen."""

import gc
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from transformers import AutoConfig, AutoModelForCausalLM

from release.checkpoint.count import Place, places
from release.checkpoint.folder import open_checkpoint
from release.checkpoint.header import Tensor
from release.errors import UnusableBase
from release.models.blocks import Block, BlockModel, Call, alike
from release.models.classes import blocks_of
from release.models.slots import Slot, slots
from tests import checkpoints

CPU = torch.device("cpu")
WINDOW = 8
BATCHES = ((2, 3 * WINDOW), (1, 5))
"""Shapes of token batches; the first is longer than the sliding windows, so that masks differ between blocks."""
CASES = (
    {name: {"architecture": name} for name in (*checkpoints.ARCHITECTURES, *checkpoints.EXTRA)}
    | {name: {"architecture": name, "sliding_window": WINDOW} for name in ("gemma2", "gemma4", "gpt_oss", "mistral")}
    | {"mixtral, fused": {"architecture": "mixtral", "as_stored": False}}
    | {"qwen2_moe, fused": {"architecture": "qwen2_moe", "as_stored": False}}
)
EXPERTS = ("mixtral", "mixtral, fused", "qwen2_moe", "qwen2_moe, fused", "gpt_oss", "llama4")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Tensors as small as these only lose by being shared out."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One tiny checkpoint per case; every tensor random, norms and biases too, so that none can be mistaken."""
    root = tmp_path_factory.mktemp("blocks")
    for name, settings in CASES.items():
        spoil(checkpoints.make(root / name, **settings))
    return {name: root / name for name in CASES}


def spoil(folder):
    generator = torch.Generator().manual_seed(1)
    values = checkpoints.tensors(folder)
    noise = {name: 0.1 * torch.randn(t.shape, generator=generator) for name, t in sorted(values.items())}
    checkpoints.write(folder, {name: (t + noise[name]).to(t.dtype) for name, t in values.items()})


def tokens(*shape, seed=0):
    return torch.randint(3, 250, shape, generator=torch.Generator().manual_seed(seed))


def whole(folder):
    """The model as transformers loads it, in fp32, experts multiplied one by one."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.set_experts_implementation("eager")
    return model


@torch.no_grad()
def leaving(model, ids):
    """What leaves each block of a whole model."""
    seen = []
    hooks = [layer.register_forward_hook(lambda _m, _a, out: seen.append(out)) for layer in blocks_of(model)[1]]
    model(input_ids=ids, use_cache=False)
    for hook in hooks:
        hook.remove()
    return [out[0] if isinstance(out, tuple | list) else out for out in seen]


def run_all(folder, ids):
    """What leaves each block, block by block."""
    with BlockModel(open_checkpoint(folder), CPU) as model:
        hidden = [model.start(ids)]
        for index in range(model.count):
            with model.opened(index) as block:
                hidden.append(block.run(hidden[-1]))
    return hidden[1:]


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.quick_rows(5)
@pytest.mark.parametrize("case", CASES)
def test_block_by_block_is_the_whole_model(case, folders):
    model = whole(folders[case])
    for shape in BATCHES:
        assert_same(run_all(folders[case], tokens(*shape)), leaving(model, tokens(*shape)))


@pytest.mark.quick_rows(5)
@pytest.mark.parametrize("architecture", checkpoints.LAYOUTS)
def test_blocks_of_any_name_are_run_as_the_whole_model_runs_them(architecture, tmp_path):
    folder = checkpoints.make(tmp_path / "base", architecture)
    spoil(folder)
    model = whole(folder)
    for shape in BATCHES:
        assert_same(run_all(folder, tokens(*shape)), leaving(model, tokens(*shape)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_every_stored_type_is_widened_exactly_from_any_shard(dtype, tmp_path):
    folder = checkpoints.make(tmp_path / "base", "llama", dtype=dtype, shard="30KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    assert_same(run_all(folder, tokens(2, 9)), leaving(whole(folder), tokens(2, 9)))


@dataclass
class Expected:
    """Sums gathered by hand for one weight."""

    squares: torch.Tensor | float = 0.0
    tokens: int = 0
    gram: torch.Tensor | float = 0.0

    def add(self, rows):
        rows = rows.detach().double().flatten(0, -2)
        self.squares = self.squares + rows.square().sum(0)
        self.gram = self.gram + rows.T @ rows
        self.tokens += len(rows)


@dataclass
class Gathered:
    """Sums gathered with forward hooks, by (the class's module or parameter, expert)."""

    model: torch.nn.Module
    sums: dict = field(default_factory=partial(defaultdict, Expected))

    def __post_init__(self):
        for name, module in self.model.named_modules():
            if isinstance(module, torch.nn.Linear):
                module.register_forward_pre_hook(lambda _m, args, name=name: self.sums[name, 0].add(args[0]))
            elif name.endswith(".experts"):
                module.register_forward_pre_hook(partial(self.experts, name))

    def experts(self, name, module, args):
        for expert, (rows, weights) in enumerate(zip(routed(module, args), module.gate_up_proj, strict=True)):
            if not len(rows):
                continue
            self.sums[f"{name}.gate_up_proj", expert].add(rows)
            self.sums[f"{name}.down_proj", expert].add(between(module, expert, rows, weights))


def routed(module, args):
    """The rows that each expert gets."""
    if len(args) == 1:  # Llama 4 hands every token to every expert, as zeros where it is not routed there
        return [rows[rows.abs().sum(-1) > 0] for rows in args[0].view(module.num_experts, -1, module.hidden_size)]
    hidden, chosen = args[0].flatten(0, -2), args[1]
    return [hidden[(chosen == expert).any(-1)] for expert in range(module.num_experts)]


def between(module, expert, rows, weights):
    """What an expert's second matrix is multiplied with."""
    if not hasattr(module, "is_transposed"):
        gate, up = (rows @ weights).chunk(2, dim=-1)
        return up * module.act_fn(gate)
    joined = rows @ (weights if module.is_transposed else weights.T)
    return module._apply_gate(joined + module.gate_up_proj_bias[expert] if module.has_bias else joined)


def weight_of(name):
    """The class's name and the experts of a stored tensor: None stands for all."""
    name = name.removesuffix(".weight").replace("block_sparse_moe", "mlp")
    if ".experts." not in name:
        return name, 0
    stem, last = name.split(".experts.")
    expert, _, kind = last.rpartition(".")
    kind = "down_proj" if kind in ("w2", "down_proj") else "gate_up_proj"
    return f"{stem}.experts.{kind}", int(expert) if expert else None


def watched_all(folder, batches, gram=False):
    seen = {}
    with BlockModel(open_checkpoint(folder), CPU) as model:
        hidden = [model.start(ids) for ids in batches]
        for index in range(model.count):
            with model.opened(index) as block:
                before = [batch.clone() for batch in hidden]
                seen |= block.watched(hidden, gram=gram)
                assert all(torch.equal(one, other) for one, other in zip(before, hidden, strict=True))
                hidden = [block.run(batch) for batch in hidden]
    return seen


@pytest.mark.quick_rows(5)
@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_sums_equal_those_gathered_with_hooks_on_the_whole_model(case, folders):
    batches = [tokens(*shape, seed=seed) for seed, shape in enumerate((*BATCHES, *BATCHES[:1]))]
    model = whole(folders[case])
    gathered = Gathered(model)
    for ids in batches:
        model.model(input_ids=ids, use_cache=False)
    seen = watched_all(folders[case], batches, gram=True)
    assert seen
    for name, inputs in seen.items():
        weight, expert = weight_of(name)
        experts = range(len(inputs.tokens)) if expert is None else [expert]
        assert inputs.tokens.tolist() == [gathered.sums[weight, e].tokens for e in experts], name
        for row, e in enumerate(experts):
            expected = gathered.sums[weight, e]
            np.testing.assert_allclose(inputs.squares[row], expected.squares, rtol=1e-4, atol=1e-6, err_msg=name)
            np.testing.assert_allclose(inputs.gram[row], expected.gram, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("case", EXPERTS)
def test_an_expert_that_no_token_reached_has_none(case, folders):
    """One token reaches as many experts as are chosen for a token, and no more."""
    seen = watched_all(folders[case], [tokens(1, 1)])
    chosen = whole(folders[case]).config.num_experts_per_tok
    reached = defaultdict(int)
    for name, inputs in seen.items():
        if ".experts." in name:
            reached[weight_of(name)[0], name.rpartition(".experts.")[2].partition(".")[2]] += inputs.tokens.sum()
        assert np.array_equal(inputs.tokens == 0, inputs.squares.sum(axis=1) == 0)
        assert inputs.squares.shape[0] == len(inputs.tokens)
    assert set(reached.values()) == {chosen}


class Squares(TorchFunctionMode):
    """Counts how often something is squared."""

    count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.Tensor.square
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("case", "layers"), [("llama", 7), ("phi3", 4)])
def test_an_input_that_layers_share_is_summed_once(case, layers, folders):
    with BlockModel(open_checkpoint(folders[case]), CPU) as model:
        hidden = model.start(tokens(2, 9))
        with model.opened(0) as block, Squares() as squares:
            seen = block.watched([hidden], gram=True)
    assert len(seen) == layers
    assert squares.count == 4  # what enters the attention, its output, the MLP, its second matrix
    assert len({inputs.gram.data_ptr() for inputs in seen.values()}) == 4


@pytest.mark.parametrize(("case", "expected"), [("gpt_oss", True), ("llama4", True), ("mixtral, fused", False)])
def test_the_products_show_along_which_axis_the_inputs_lie(case, expected, folders):
    with BlockModel(open_checkpoint(folders[case]), CPU) as model:
        hidden = model.start(tokens(2, 9))
        with model.opened(0) as block:
            declared = {name: block.transposed(name) for name in block.names}
            block.watched([hidden])
            shown = {name: block.transposed(name) for name in block.names}
    assert shown == {name: expected and ".experts." in name for name in shown}
    assert declared == shown or case == "llama4"  # whose class declares nothing


def pruned(values):
    """Every third weight set to zero."""
    zeroed = values.clone()
    zeroed.view(-1)[::3] = 0
    return zeroed


@pytest.mark.parametrize("case", ["llama", "phi3", *EXPERTS])
def test_put_is_editing_the_file(case, folders, tmp_path):
    with BlockModel(open_checkpoint(folders[case]), CPU) as model:
        hidden = model.start(tokens(2, 9))
        with torch.inference_mode(), model.opened(0) as block:
            dense = block.run(hidden)
            values = checkpoints.tensors(folders[case])
            edited = {name: pruned(values[name]) for name in block.names}
            for name, value in edited.items():
                block.put(name, value.view(torch.uint8).numpy().reshape(-1))
            after = block.run(hidden)
    copy = checkpoints.copy(folders[case], tmp_path / "edited")
    checkpoints.write(copy, values | edited)
    assert not torch.equal(dense, after)
    assert torch.equal(after, run_all(copy, tokens(2, 9))[0])
    assert_same([after], leaving(whole(copy), tokens(2, 9))[:1])


def bytes_alive():
    gc.collect()
    real = [t for t in gc.get_objects() if issubclass(type(t), torch.Tensor) and t.device.type == "cpu"]
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in real}.values())


@pytest.mark.parametrize(("share", "most"), [(0, 1), (1, 2)], ids=["memory is short", "there is room"])
def test_no_more_than_one_block_is_in_memory_and_where_there_is_room_the_next(share, most, folders, monkeypatch):
    monkeypatch.setattr("release.models.parameters.SHARE", share)
    base = open_checkpoint(folders["llama"])
    size = 4 * sum(t.numel for t in base.tensors() if ".layers.0." in t.name)
    held = []
    with BlockModel(base, CPU) as model:
        model.start(tokens(1, 4))
        empty = bytes_alive()
        for index in range(model.count):
            with model.opened(index) as block:
                ahead = min(most, model.count - index) - 1
                settled(lambda ahead=ahead: bytes_alive() - empty == (1 + ahead) * size)
                held.append(block)
            assert bytes_alive() - empty == ahead * size
        embedding = 4 * sum(t.numel for t in base.tensors() if "embed_tokens" in t.name)
    assert embedding <= empty - bytes_alive() <= 1.2 * embedding


def settled(there):
    """Wait for what another thread reads."""
    until = time.monotonic() + 30
    while not there():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_blocks_may_be_opened_in_any_order_and_left_unread(folders):
    ids = tokens(2, 9)
    outputs = run_all(folders["llama"], ids)
    with BlockModel(open_checkpoint(folders["llama"]), CPU) as model:
        hidden = model.start(ids)
        for index in (1, 0, 0, 1):
            with model.opened(index) as block:
                assert torch.equal(block.run([hidden, outputs[0]][index]), outputs[index])
        with model.opened(0):
            pass  # the next is being read when all is let go of


def test_a_block_that_cannot_be_read_ahead_stops_whoever_asks_for_it(tmp_path):
    folder = checkpoints.make(tmp_path / "base", "llama", shard="10KB")
    later = [h.path for h in open_checkpoint(folder).headers if all(".layers.1." in t.name for t in h.tensors)]
    with BlockModel(open_checkpoint(folder), CPU) as model:
        later[0].write_bytes(b"")
        with model.opened(0):
            pass
        with pytest.raises(UnusableBase, match=later[0].name), model.opened(1):
            pass


@pytest.mark.parametrize(
    ("case", "tensor"),
    [
        ("llama", "model.embed_tokens.weight"),
        ("llama", "model.norm.weight"),
        ("llama", "model.layers.1.input_layernorm.weight"),
        ("qwen2", "model.layers.1.self_attn.k_proj.bias"),
        ("gemma4", "model.layers.1.layer_scalar"),
        ("mixtral", "model.layers.1.block_sparse_moe.gate.weight"),
        ("gpt_oss", "model.layers.0.mlp.experts.down_proj_bias"),
    ],
)
def test_a_missing_tensor_is_named(case, tensor, folders, tmp_path):
    copy = checkpoints.copy(folders[case], tmp_path / "copy")
    values = checkpoints.tensors(copy)
    del values[tensor]
    checkpoints.write(copy, values)
    with pytest.raises(UnusableBase, match=tensor.replace("block_sparse_moe", "mlp")):
        BlockModel(open_checkpoint(copy), CPU)


@pytest.mark.parametrize("change", ["missing", "cut"])
def test_an_expert_that_does_not_fit_is_refused(change, folders, tmp_path):
    copy = checkpoints.copy(folders["mixtral"], tmp_path / "copy")
    values = checkpoints.tensors(copy)
    one = values.pop("model.layers.1.block_sparse_moe.experts.2.w3.weight")
    if change == "cut":
        values["model.layers.1.block_sparse_moe.experts.2.w3.weight"] = one[:5].clone()
    checkpoints.write(copy, values)
    with pytest.raises(UnusableBase, match=r"layers\.1\.mlp\.experts\.gate_up_proj"):
        BlockModel(open_checkpoint(copy), CPU)


def test_a_tensor_of_a_packed_type_is_named(folders, tmp_path):
    copy = checkpoints.copy(folders["llama"], tmp_path / "copy")
    values = checkpoints.tensors(copy)
    name = "model.layers.0.input_layernorm.weight"
    checkpoints.write(copy, values | {name: values[name].to(torch.int8)})
    with pytest.raises(UnusableBase, match=f"{name} is stored as I8"):
        BlockModel(open_checkpoint(copy), CPU)


@pytest.mark.parametrize(
    "renamed",
    [lambda name: name.removeprefix("model."), lambda name: name.replace("model.embed_tokens", "lm_head")],
    ids=["without the prefix", "embedding stored as the head"],
)
def test_names_may_be_those_that_transformers_also_reads(renamed, folders, tmp_path):
    copy = checkpoints.copy(folders["llama"], tmp_path / "copy")
    checkpoints.write(copy, {renamed(name): value for name, value in checkpoints.tensors(copy).items()})
    assert set(open_checkpoint(copy).shapes) != set(open_checkpoint(folders["llama"]).shapes)
    assert_same(run_all(copy, tokens(2, 9)), run_all(folders["llama"], tokens(2, 9)))


def test_a_layer_that_is_never_reached_is_named(folders):
    class Idle(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = torch.nn.Linear(4, 4, bias=False), torch.nn.Linear(4, 4, bias=False)

        def forward(self, hidden, scale):
            return self.used(hidden) * scale

    weights = {"used.weight": torch.eye(4), "idle.weight": torch.eye(4)}
    stored = {name: Tensor(f"model.layers.0.{name}", "F32", (4, 4), 0, 64) for name in weights}
    parts = [Slot(Place(folders["llama"], tensor), name, (4, 1), 0) for name, tensor in stored.items()]
    block = Block(Idle(), weights, parts, {torch.Size((1, 3)): Call((2.0,), {})})
    hidden = torch.ones(1, 3, 4)
    assert torch.equal(block.run(hidden), 2 * hidden)
    with pytest.raises(UnusableBase, match=r"layers\.0\.idle\.weight was never reached"):
        block.watched([hidden])


def test_inputs_that_are_not_numbers_are_refused(folders, tmp_path):
    copy = checkpoints.copy(folders["llama"], tmp_path / "copy")
    values = checkpoints.tensors(copy)
    values["model.embed_tokens.weight"][:] = torch.nan
    checkpoints.write(copy, values)
    with pytest.raises(UnusableBase, match="NaN or infinite"):
        watched_all(copy, [tokens(1, 4)])


def other(folder, model_type, **settings):
    """A checkpoint of an architecture that is of use here for what it cannot do."""
    config = AutoConfig.for_model(model_type, **(checkpoints.SMALL | settings))
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    return folder


ANGLES, MASK = torch.linspace(0, 1, 12).reshape(1, 3, 4).cos(), torch.tensor([True, False, True])


@pytest.mark.parametrize(
    ("angles", "mask", "expected"),
    [
        (ANGLES.clone(), MASK.clone(), True),
        (ANGLES.nextafter(torch.tensor(2.0)), MASK, True),
        (ANGLES + 1e-3, MASK, False),
        (ANGLES * torch.nan, MASK, False),
        (ANGLES[:, :2], MASK, False),
        (ANGLES, ~MASK, False),
    ],
)
def test_what_blocks_are_told_is_the_same_but_for_rounding(angles, mask, expected):
    first = Call((), {"position_embeddings": (ANGLES, ANGLES), "attention_mask": MASK})
    assert alike([first], [Call((), {"position_embeddings": (ANGLES, angles), "attention_mask": mask})]) is expected


def test_a_decoder_that_tells_its_blocks_about_the_tokens_is_refused(tmp_path):
    sizes = {"head_dim": 8, "global_head_dim": 8, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 256}
    folder = other(tmp_path / "base", "gemma4_text", num_kv_shared_layers=0, **sizes)
    with BlockModel(open_checkpoint(folder), CPU) as model:
        model.start(tokens(2, 9, seed=0))
        model.start(tokens(2, 9, seed=0))
        with pytest.raises(UnusableBase, match="more of the tokens"):
            model.start(tokens(2, 9, seed=1))


def test_a_model_without_one_list_of_blocks_is_refused(tmp_path):
    folder = other(tmp_path / "base", "hrm_text")
    with pytest.raises(UnusableBase, match="has no list of blocks"):
        BlockModel(open_checkpoint(folder), CPU)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    with pytest.raises(UnusableBase, match=r"gqkv_proj|q_proj|gate_proj"):
        slots(model, places(open_checkpoint(folder)))
