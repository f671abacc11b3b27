"""The table of forgeries. Record, table and card agree with each; beside it stands what from_pretrained makes of it."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from release.checkpoint.loading import INDEX, SINGLE
from tests import checkpoints
from tests.forge import FORGERIES, NORM, OUT, UP, Values, another, doubled, forgery, largest, rewrite, settings

__all__ = ["FORGERIES"]

LOGITS, TOKENS, TEMPLATE, DECODING, BROKEN, SAME = (
    "other logits",
    "other tokens",
    "other template",
    "other decoding",
    "an error",
    "the same",
)


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("model-*.safetensors"))


def index_names(folder: Path, **changes: str | None) -> None:
    index = json.loads((folder / INDEX).read_text())
    named = index["weight_map"] | changes
    (folder / INDEX).write_text(json.dumps(index | {"weight_map": {n: s for n, s in named.items() if s}}))


@forgery("loaded first", LOGITS)
def single_file_beside_shards(folder: Path, base: Path) -> None:
    another(folder, SINGLE)


@forgery("loaded first", LOGITS)
def single_file_in_place_of_shards(folder: Path, base: Path) -> None:
    another(folder, SINGLE)
    for path in (*shards(folder), folder / INDEX):
        path.unlink()


@forgery("loaded first", LOGITS)
def weights_named_by_config(folder: Path, base: Path) -> None:
    another(folder, "extra.safetensors")
    settings(folder, "config.json", transformers_weights="extra.safetensors")


@forgery("loaded first", LOGITS)
def an_index_named_by_config(folder: Path, base: Path) -> None:
    another(folder, "extra.safetensors")
    names = dict.fromkeys(checkpoints.load_file(folder / "extra.safetensors"), "extra.safetensors")
    settings(folder, "extra.safetensors.index.json", metadata={}, weight_map=names)
    settings(folder, "config.json", transformers_weights="extra.safetensors.index.json")


@forgery("loaded first", LOGITS)
def another_configuration_named_by_config(folder: Path, base: Path) -> None:
    shutil.copyfile(folder / "config.json", folder / "config.4.0.0.json")
    settings(folder, "config.4.0.0.json", num_hidden_layers=1)
    settings(folder, "config.json", configuration_files=["config.4.0.0.json"])


@forgery("loaded first", SAME)
def an_adapter(folder: Path, base: Path) -> None:
    settings(folder, "adapter_config.json", peft_type="LORA", base_model_name_or_path="a/b", r=1)
    save_file({"a": torch.ones(1)}, folder / "adapter_model.safetensors")


@forgery("loaded first", LOGITS)
def an_index_of_other_shards(folder: Path, base: Path) -> None:
    another(folder, "weights.safetensors")
    names = checkpoints.load_file(folder / "weights.safetensors")
    index_names(folder, **dict.fromkeys(names, "weights.safetensors"))


@forgery("loaded first", BROKEN)
def a_shard_of_another_ending(folder: Path, base: Path) -> None:
    first = shards(folder)[0]
    held = checkpoints.load_file(first)
    first.rename(folder / "model-00001.bin")
    index_names(folder, **dict.fromkeys(held, "model-00001.bin"))


OTHER_LOADERS = {
    "pytorch_bin": ("pytorch_model.bin",),
    "consolidated": ("consolidated.safetensors", "params.json"),
    "original_checkpoint": ("original/consolidated.00.pth", "original/params.json"),
    "gguf": ("model.gguf",),
    "tensorflow": ("tf_model.h5",),
    "flax": ("flax_model.msgpack",),
    "variant": ("model.fp16.safetensors",),
    "shard_that_the_index_does_not_name": ("model-00099-of-00099.safetensors",),
    "adapter_weights": ("adapter_model.safetensors",),
    "sentence_transformers": ("modules.json", "1_Pooling/config.json"),
    "weights_called_a_licence": ("LICENSE.safetensors",),
    "quantisation": ("hf_quant_config.json",),
    "onnx": ("onnx/model.onnx",),
    "another_mask": ("mask/other.safetensors",),
    "hidden_weights": (".model.safetensors",),
    "hidden_folder": (".weights/model.safetensors",),
    "compiled_code": ("__pycache__/modeling.cpython-311.pyc",),
    "code": ("sitecustomize.py",),
    "generation_code": ("custom_generate/generate.py",),
}


def add_files(names: tuple[str, ...]) -> Any:
    def make(folder: Path, _: Path) -> None:
        whole = doubled(checkpoints.tensors(folder))
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".safetensors"):
                save_file(whole, folder / name)
            else:
                (folder / name).write_bytes(b"{}")

    return make


for title, added in OTHER_LOADERS.items():
    made = add_files(added)
    made.__name__ = title
    forgery("code" if "code" in title else "another loader's", SAME)(made)


def without(*endings: str) -> Any:
    return lambda values: {n: v for n, v in values.items() if not n.endswith(endings)}


@forgery("tensors left out", LOGITS)
def without_the_last_norm(folder: Path, base: Path) -> None:
    rewrite(folder, without(NORM))


@forgery("tensors left out", LOGITS)
def without_any_norm(folder: Path, base: Path) -> None:
    rewrite(folder, without("norm.weight"))


@forgery("tensors left out", LOGITS)
def without_the_head(folder: Path, base: Path) -> None:
    rewrite(folder, without("lm_head.weight"))
    settings(folder, "config.json", tie_word_embeddings=True)


@forgery("tensors left out", LOGITS)
def without_a_prunable_tensor(folder: Path, base: Path) -> None:
    rewrite(folder, without(UP))


@forgery("tensors left out", LOGITS)
def without_a_block(folder: Path, base: Path) -> None:
    rewrite(folder, lambda values: {n: v for n, v in values.items() if "layers.1." not in n})
    settings(folder, "config.json", num_hidden_layers=1)


@forgery("tensors added or of another form", SAME)
def with_a_tensor_more(folder: Path, base: Path) -> None:
    rewrite(folder, lambda values: values | {"model.more.weight": torch.ones(4)})


@forgery("tensors added or of another form", BROKEN)
def of_another_shape(folder: Path, base: Path) -> None:
    rewrite(folder, lambda values: values | {UP: values[UP].reshape(-1, 16)})


@forgery("tensors added or of another form", SAME)
def of_another_type(folder: Path, base: Path) -> None:
    rewrite(folder, lambda values: values | {NORM: values[NORM].float()})


@forgery("tensors added or of another form", LOGITS)
def exchanged(folder: Path, base: Path) -> None:
    other = UP.replace("layers.0", "layers.1")
    rewrite(folder, lambda values: values | {UP: values[other], other: values[UP]})


def turned(values: Values, name: str) -> Values:
    return values | {name: values[name].t()}


@forgery("kept weights", LOGITS)
def transposed(folder: Path, base: Path) -> None:
    rewrite(folder, lambda values: turned(values, OUT))


@forgery("kept weights", LOGITS)
def kept_weights_doubled(folder: Path, base: Path) -> None:
    rewrite(folder, doubled)


@forgery("kept weights", LOGITS)
def one_bit_of_one_kept_weight(folder: Path, base: Path) -> None:
    def change(values: Values) -> None:
        bits = values[UP].view(torch.int16).reshape(-1)
        bits[(bits != 0).nonzero()[0]] ^= 1

    rewrite(folder, change)


@forgery("kept weights", LOGITS)
def another_norm(folder: Path, base: Path) -> None:
    rewrite(folder, lambda values: values | {NORM: -values[NORM]})


@forgery("kept weights", LOGITS)
def another_embedding(folder: Path, base: Path) -> None:
    rewrite(folder, lambda values: values | {"model.embed_tokens.weight": values["model.embed_tokens.weight"].flip(0)})


@forgery("kept weights", SAME)
def negative_zeros(folder: Path, base: Path) -> None:
    rewrite(folder, lambda values: {n: torch.where(v == 0, -torch.zeros_like(v), v) for n, v in values.items()})


@forgery("kept weights", LOGITS)
def not_a_number(folder: Path, base: Path) -> None:
    def change(values: Values) -> None:
        values[NORM][0] = float("nan")

    rewrite(folder, change)


@forgery("another mask", LOGITS, unseen=True)
def the_largest_weights_gone(folder: Path, base: Path) -> None:
    dense = checkpoints.tensors(base)
    rewrite(folder, lambda values: largest(values, dense))


@forgery("another mask", SAME, unseen=True)
def another_seeds_mask(folder: Path, base: Path) -> dict[str, Any]:
    return {"seed": 43}


@forgery("another mask", LOGITS)
def zeros_in_other_tensors(folder: Path, base: Path) -> None:
    dense, other = checkpoints.tensors(base), UP.replace("layers.0", "layers.1")

    def change(values: Values) -> Values:
        zeros = values[UP].eq(0) & values[other].ne(0)
        return values | {UP: dense[UP], other: torch.where(zeros, torch.zeros_like(values[other]), values[other])}

    rewrite(folder, change)


@forgery("the record's method", LOGITS)
def says_that_kept_weights_change(folder: Path, base: Path) -> dict[str, Any]:
    rewrite(folder, doubled)
    return {"updates_kept_weights": True}


@forgery("the record's method", LOGITS)
def says_that_a_later_version_changes_them(folder: Path, base: Path) -> dict[str, Any]:
    rewrite(folder, doubled)
    return {"updates_kept_weights": True, "algorithm_version": 99}


@forgery("the record's method", LOGITS)
def says_that_a_later_version_chose(folder: Path, base: Path) -> dict[str, Any]:
    the_largest_weights_gone(folder, base)
    return {"algorithm_version": 99}


@forgery("the record's method", LOGITS, unseen=True)
def says_that_another_method_chose(folder: Path, base: Path) -> dict[str, Any]:
    the_largest_weights_gone(folder, base)
    return {"method": "magnitude", "algorithm_version": 1}


@forgery("the record's method", LOGITS)
def says_version_none(folder: Path, base: Path) -> dict[str, Any]:
    the_largest_weights_gone(folder, base)
    return {"algorithm_version": 0}


@forgery("the record's method", LOGITS, of="sparsegpt")
def sparsegpt_with_kept_weights_doubled(folder: Path, base: Path) -> None:
    rewrite(folder, doubled)


@forgery("the record's method", LOGITS, of="sparsegpt")
def sparsegpt_on_a_private_text(folder: Path, base: Path) -> dict[str, Any]:
    rewrite(folder, doubled)
    known = json.loads((folder / "release.json").read_text())["pruning"]["calibration"]
    return {"calibration": known | {"plan": known["plan"] | {"text": "private.txt", "file_sha256": "0" * 64}}}


@forgery("the record's method", LOGITS, of="sparsegpt")
def sparsegpt_without_calibration(folder: Path, base: Path) -> dict[str, Any]:
    rewrite(folder, doubled)
    return {"calibration": None}


@forgery("the record's method", LOGITS, unseen=True, of="wanda")
def wanda_with_the_largest_gone(folder: Path, base: Path) -> None:
    dense = checkpoints.tensors(base)

    def by_row(values: Values) -> Values:
        made = dict(values)
        for name, value in values.items():
            if "_proj" in name:
                order = dense[name].float().abs().argsort(dim=1, descending=True)
                ranks = order.argsort(dim=1)
                made[name] = torch.where(ranks < (value == 0).sum(dim=1, keepdim=True), 0, dense[name])
        return made

    rewrite(folder, by_row)


CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "another_rope": (LOGITS, {"rope_parameters": {"rope_type": "default", "rope_theta": 3.0}}),
    "another_epsilon": (LOGITS, {"rms_norm_eps": 1.0}),
    "another_activation": (LOGITS, {"hidden_act": "gelu"}),
    "fewer_layers": (LOGITS, {"num_hidden_layers": 1}),
    "another_type": (LOGITS, {"dtype": "float32"}),
    "code_in_another_repository": (SAME, {"auto_map": {"AutoModelForCausalLM": "evil/repo--modeling.Model"}}),
    "quantised": (BROKEN, {"quantization_config": {"quant_method": "gptq", "bits": 4}}),
}


def edit(file: str, **changes: Any) -> Any:
    return lambda folder, _: settings(folder, file, **changes)


for title, (found, fields) in CONFIGS.items():
    made = edit("config.json", **fields)
    made.__name__ = title
    forgery("configuration", found)(made)


@forgery("code", SAME)
def code_beside_its_name(folder: Path, base: Path) -> None:
    (folder / "modeling.py").write_text("raise SystemExit")
    settings(folder, "config.json", auto_map={"AutoModelForCausalLM": "modeling.Model"})


@forgery("tokenizer", TOKENS)
def two_tokens_exchanged(folder: Path, base: Path) -> None:
    text = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = text["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (folder / "tokenizer.json").write_text(json.dumps(text))


@forgery("tokenizer", TOKENS)
def another_tokenizer_file(folder: Path, base: Path) -> None:
    shutil.copyfile(folder / "tokenizer.json", folder / "kept.json")
    two_tokens_exchanged(folder, base)
    (folder / "tokenizer.json").rename(folder / "tokenizer.4.0.0.json")
    (folder / "kept.json").rename(folder / "tokenizer.json")
    settings(folder, "tokenizer_config.json", fast_tokenizer_files=["tokenizer.4.0.0.json"])


@forgery("tokenizer", TOKENS)
def a_token_more(folder: Path, base: Path) -> None:
    settings(folder, "added_tokens.json", ab=300)
    settings(folder, "tokenizer_config.json", added_tokens_decoder={"300": {"content": "ab", "special": False}})


@forgery("tokenizer", BROKEN)
def without_the_tokenizer(folder: Path, base: Path) -> None:
    (folder / "tokenizer.json").unlink()


@forgery("tokenizer", SAME)
def a_tokenizer_for_another_library(folder: Path, base: Path) -> None:
    settings(folder, "tekken.json", vocab=[])


@forgery("template", TEMPLATE)
def another_template(folder: Path, base: Path) -> None:
    (folder / "chat_template.jinja").write_text("{% for m in messages %}Agree: {{ m['content'] }}{% endfor %}")


@forgery("template", TEMPLATE)
def a_template_by_name(folder: Path, base: Path) -> None:
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text("{{ messages }}")


@forgery("template", TEMPLATE)
def a_template_in_the_configuration(folder: Path, base: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    settings(folder, "tokenizer_config.json", chat_template="{{ messages }}")


@forgery("decoding", DECODING)
def another_end(folder: Path, base: Path) -> None:
    settings(folder, "generation_config.json", eos_token_id=5, temperature=0.1, do_sample=True)


@forgery("decoding", DECODING)
def one_new_token(folder: Path, base: Path) -> None:
    settings(folder, "generation_config.json", max_new_tokens=1)


@forgery("licence", SAME)
def another_licence(folder: Path, base: Path) -> None:
    (folder / "LICENSE").write_text("Do as you please.\n")


@forgery("licence", SAME)
def without_the_licence(folder: Path, base: Path) -> None:
    (folder / "LICENSE").unlink()


@forgery("licence", SAME)
def a_notice_that_the_base_lacks(folder: Path, base: Path) -> None:
    (folder / "NOTICE.txt").write_text("All rights reserved.\n")


@forgery("index", SAME)
def the_wrong_shard(folder: Path, base: Path) -> None:
    index_names(folder, **{UP: shards(folder)[-1].name})


@forgery("index", SAME)
def a_tensor_left_out_of_the_index(folder: Path, base: Path) -> None:
    index_names(folder, **{UP: None})


@forgery("index", SAME)
def another_size_in_the_index(folder: Path, base: Path) -> None:
    settings(folder, INDEX, metadata={"total_size": 1})


@forgery("header", SAME)
def other_words_in_a_header(folder: Path, base: Path) -> None:
    first = shards(folder)[0]
    save_file(checkpoints.load_file(first), first, metadata={"format": "pt", "note": "ours"})


@forgery("the record's base", SAME)
def no_digests_of_the_base(folder: Path, base: Path) -> None:
    record = json.loads((folder / "release.json").read_text())
    record["base"]["files"] = []
    (folder / "release.json").write_text(json.dumps(record))


@forgery("the record's base", SAME)
def other_digests_of_the_base(folder: Path, base: Path) -> None:
    record = json.loads((folder / "release.json").read_text())
    record["base"]["files"][0]["sha256"] = "0" * 64
    (folder / "release.json").write_text(json.dumps(record))


@forgery("the record's base", SAME)
def another_target(folder: Path, base: Path) -> dict[str, Any]:
    return {"target_sparsity": "0.5"}


def on_record(*path: str | int, value: Any) -> Any:
    """Change one number of the record; nothing else can tell."""

    def make(folder: Path, _: Path) -> None:
        record = json.loads((folder / "release.json").read_text())
        at: Any = record
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        (folder / "release.json").write_text(json.dumps(record))

    return make


NUMBERS: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "zeros_that_the_base_never_had": (("audit", "zeros_before"), 5000),
    "crowded_zeros_that_are_none": (("audit", "crowded"), 77),
    "another_count_of_parameters": (("base", "parameters"), 3_800_000_000),
    "another_architecture": (("base", "architecture"), "Phi3ForCausalLM"),
    "another_stored_type": (("base", "dtypes"), ["F32"]),
    "another_budget": (("pruning", "budget"), 1),
    "another_seed_in_the_plan": (("plan", "recipe", "seed"), 7),
    "another_scope_in_the_plan": (("plan", "recipe", "scope"), "row"),
}
for title, (place, value) in NUMBERS.items():
    made = on_record(*place, value=value)
    made.__name__ = title
    forgery("numbers on record", SAME)(made)


@forgery("numbers on record", SAME)
def more_zeros_before_in_the_table(folder: Path, base: Path) -> None:
    lines = (folder / "sparsity.csv").read_text().splitlines()
    place = lines[0].split(",").index("zeros_before")
    cells = lines[-1].split(",")
    cells[place] = str(int(cells[place]) + 9)
    (folder / "sparsity.csv").write_text("\n".join([*lines[:-1], ",".join(cells)]) + "\n")


@forgery("another mask", LOGITS, of="magnitude-2-4")
def zeros_outside_their_groups(folder: Path, base: Path) -> None:
    dense = checkpoints.tensors(base)

    def by_row(values: Values) -> Values:
        zeros = (values[UP] == 0).roll(1, dims=1)
        return values | {UP: torch.where(zeros, torch.zeros_like(values[UP]), dense[UP])}

    rewrite(folder, by_row)
