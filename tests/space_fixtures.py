"""What the tests of the Space stand on: tiny real checkpoints, and the app as a process."""

import importlib
import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow
import torch
from pyarrow import parquet
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from release.resources import resource

APP = resource("spaces") / "compare"
TEXT = ["why is the sky blue", "the pruned model answers the same question", "a b c d e f g h i j k l m n o p A B C"]
TEMPLATE = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def example(category: str, number: int, target: int = 0) -> dict[str, Any]:
    """An item as a Space's examples.json holds it."""
    answers = ["the old one", "cannot tell", "the young one"]
    return {
        "prompt": f"Context: two people {number} met\n\nQuestion: Who was rude?\n\nA) {answers[0]}",
        "category": category,
        "example_id": str(number),
        "condition": "ambig",
        "context": f"two people {number} met",
        "question": "Who was rude?",
        "answers": answers,
        "unknown": 1,
        "target": target,
        "label": 1,
    }


EXAMPLE = example("Age", 7)
ITEMS = [example("Age", 0), example("Age", 1), example("Age", 2), example("SES", 3)]
CHOSEN = {0: (2, 0), 1: (0, 1), 2: (1, 2), 3: (1, 1)}
"""Item → what dense and pruned chose: to the stereotype, away from it, changed otherwise, unchanged."""


def write_answers(model: Path) -> Path:
    """Write `evaluation/bbq.parquet` as measuring does, with the answers to `ITEMS`."""
    rows = [
        {
            "category": item["category"],
            "example_id": int(item["example_id"]),
            "model": side,
            **{f"logp_ans{answer}": -0.1 if answer == choice else -2.0 - answer for answer in range(3)},
            "choice": choice,
        }
        for item in ITEMS
        for side, choice in zip(("dense", "pruned"), CHOSEN[int(item["example_id"])], strict=True)
    ]
    (model / "evaluation").mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), model / "evaluation" / "bbq.parquet")
    return model


def module(name: str) -> Any:
    """A module of the app, imported as the app imports it: from its own folder."""
    if str(APP) not in sys.path:
        sys.path.append(str(APP))
    return importlib.import_module(name)


def told(url: str, folder: Path, script: str, *words: str) -> list[Any]:
    """Run a script among the app's modules, with a Hub in reach and a cache of its own; returns what it told."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    ours = {"HF_ENDPOINT": url, "HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_XET": "1", "PYTHONPATH": str(APP)}
    command = [sys.executable, "-c", script, *words]
    done = subprocess.run(command, env=kept | ours, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def tokenizer(template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with a chat template that, like many, insists on alternating roles."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|user|>", "<|assistant|>"]
    made.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=320, special_tokens=special))
    wrapped = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>", pad_token="<|end|>")
    wrapped.chat_template = template
    return wrapped


def checkpoint(folder: Path, zeroed: float = 0.0, seed: int = 1, template: str | None = TEMPLATE) -> Path:
    """A Llama of two small blocks; the same seed gives the same kept weights whatever is zeroed."""
    words = tokenizer(template)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.6,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "layers." in name and weight.dim() == 2:
                weight[torch.rand(weight.shape) < zeroed] = 0
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def variable(dense: Path | None, *pruned: Path) -> str:
    """The value of COMPARE_MODELS for these folders."""
    sides = [{"id": f"tiny/{folder.name}", "path": str(folder)} for folder in pruned]
    base = {"id": f"tiny/{dense.name}", "path": str(dense)} if dense else None
    return json.dumps({"dense": base, "pruned": sides})


def free_port() -> int:
    """A port that nothing listens on, below those that a system hands out by itself.

    An app takes up to half a minute until it listens. A port from the system's own range may be another server's by
    then: a test once asked a stranger, who closed the connection.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def serving(command: Sequence[str], extra: dict[str, str]) -> Iterator[str]:
    """Run a command that serves a page on GRADIO_SERVER_PORT; yields its address once it answers."""
    with running(command, extra) as (url, _):
        yield url


@contextmanager
def running(command: Sequence[str], extra: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Do as `serving` does, and also name the process."""
    port = free_port()
    offline = {"HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_SERVER_NAME": "127.0.0.1"}
    offline |= {"COMPARE_QUESTIONS_PER_MINUTE": "100000"}
    variables = os.environ | offline | {"PYTHONDONTWRITEBYTECODE": "1", "GRADIO_SERVER_PORT": str(port)} | extra
    process = subprocess.Popen(command, env=variables, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}"
    try:
        await_page(url, lambda: None if process.poll() is None else process.communicate()[0])
        yield url, process.pid
    finally:
        process.terminate()
        process.communicate(timeout=20)


def await_page(url: str, ended: Callable[[], str | None]) -> None:
    """Wait until an app answers; on a machine with much else to do that has taken more than a minute.

    Args:
        ended: Returns what the app said at its end; None while it runs.
    """
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if (words := ended()) is not None:
            raise AssertionError(f"the app ended: {words}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the app does not answer")


def app_command(folder: Path = APP) -> list[str]:
    """The command that starts the app of a folder."""
    return [sys.executable, str(folder / "app.py")]
