"""Lines for a shell that turn a checkpoint which cannot be pruned into one that can.

Each is one line of Python that is run in the checkpoint's folder and writes a folder beside it, so that nothing is
lost where it is stopped. Names from the checkpoint stand in it only where they are plain.
"""

import re
from collections.abc import Collection

PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""A name that a shell and Python take as it is, in quotes of either kind."""
DENSE = "../dense"
MENDED = "../mended"

LOAD = "from transformers import AutoModelForCausalLM as M, AutoTokenizer as T"
TOKENS = f"T.from_pretrained('.').save_pretrained('{DENSE}')"
SAVE = f"{LOAD}; M.from_pretrained('.').save_pretrained('{DENSE}'); {TOKENS}"
VARIANT = f"{LOAD}; M.from_pretrained('.', variant='{{name}}').save_pretrained('{DENSE}'); {TOKENS}"
GGUF = (
    f"{LOAD}, GgufConfig as G; m = M.from_pretrained('.', gguf_file='{{name}}',"
    " quantization_config=G(dequantize=True)); m.hf_quantizer = None; m.config.__dict__.pop('quantization_config',"
    f" None); m.save_pretrained('{DENSE}'); T.from_pretrained('.', gguf_file='{{name}}').save_pretrained('{DENSE}')"
)
MERGE = (
    "from peft import AutoPeftModelForCausalLM as P; from transformers import AutoTokenizer as T;"
    " m = P.from_pretrained('.', dtype='auto'); b = m.peft_config['default'].base_model_name_or_path;"
    f" m.merge_and_unload().save_pretrained('{DENSE}'); T.from_pretrained(b).save_pretrained('{DENSE}')"
)
UNPACK_MLX = "from mlx_lm import convert; convert('.', mlx_path='../dense', dequantize=True)"
RENAME = (
    "import glob, shutil; from huggingface_hub import save_torch_state_dict as save;"
    " from safetensors.torch import load_file;"
    f" shutil.copytree('.', '{MENDED}', ignore=shutil.ignore_patterns('*.safetensors*'));"
    " t = {{n: v for f in glob.glob('*.safetensors') for n, v in load_file(f).items()}};"
    f" save({{{{{{made}}}}}}, '{MENDED}', metadata={{{{'format': 'pt'}}}})"
)
UNMASKED = (
    "n.removesuffix('_orig'): (v * t[n[:-5] + '_mask']).to(v.dtype) if n.endswith('_orig') else v"
    " for n, v in t.items() if not n.endswith('_mask')"
)


def run_here(code: str, writes: str = DENSE) -> str:
    """Write a line of Python as a sentence that says what to do with it."""
    return f'Run this in its folder and give {writes}, which it writes: python -c "{code}"'


def unpack_gguf(name: str) -> str:
    """What to do with a GGUF file."""
    if not PLAIN.fullmatch(name):
        return "Give the file a plain name first: letters, digits, dots and dashes."
    return run_here(GGUF.format(name=name))


def load_variant(name: str) -> str:
    """What to do with weights that only `variant=` finds."""
    if not PLAIN.fullmatch(name):
        return "Name the one file model.safetensors, or several as their index says."
    return run_here(VARIANT.format(name=name))


def unmask() -> str:
    """What to do with weights that `torch.nn.utils.prune` holds as a pair of weight and mask."""
    return run_here(RENAME.format(made=UNMASKED), MENDED)


def rename(dropped: Collection[str] = (), prefix: str = "", added: str = "") -> str | None:
    """What to do with names that the class does not know; None where one of the parts is no plain name.

    Args:
        dropped: Parts between dots to leave out, wherever they stand.
        prefix: What to take away at the beginning, after that.
        added: What to put at the beginning, after that.
    """
    if not all(PLAIN.fullmatch(part) for part in (*dropped, *filter(None, (prefix, added)))):
        return None
    name = f"'.'.join(p for p in n.split('.') if p not in {sorted(dropped)})" if dropped else "n"
    name += f".removeprefix('{prefix}')" if prefix else ""
    name = f"'{added}' + {name}" if added else name
    return run_here(RENAME.format(made=f"{name}: v for n, v in t.items()"), MENDED)
