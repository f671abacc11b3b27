"""Fixtures that several parts share."""

import gc
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from release.__main__ import run
from release.progress import Console
from tests import checkpoints
from tests.refusal import little_memory  # noqa: F401 - a fixture


def _own_threads() -> None:
    """Give a fork a pool of threads while it has one thread: torch's own way of making it anew is no work for several.

    Of a hundred forks that loaded a model, one ended in "Invalid thread pool!".
    """
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(torch.get_num_threads())


os.register_at_fork(after_in_child=_own_threads)
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # what takes long on a busy machine is no failure


@pytest.fixture(scope="session", autouse=True)
def _readings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Readings and checks of earlier runs are not used, and the user's are left alone; commands inherit this."""
    os.environ["RELEASE_READINGS"] = str(tmp_path_factory.mktemp("readings"))
    os.environ["RELEASE_CHECKS"] = str(tmp_path_factory.mktemp("checks"))


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """A test kills processes and never the machine, so what is written need not have reached the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def console() -> Console:
    return Console(quiet=True)


@pytest.fixture(scope="session")
def base_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One tiny bf16 checkpoint per architecture, in several shards; not to be changed."""
    root = tmp_path_factory.mktemp("bases")
    return {name: checkpoints.make(root / name, name, shard="30KB") for name in checkpoints.ARCHITECTURES}


@pytest.fixture(scope="session")
def release(base_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pruned model folder in several shards, with its record; not to be changed."""
    out = tmp_path_factory.mktemp("release") / "model"
    command = ["prune", str(base_folders["llama"]), "--method", "random", "--sparsity", "0.3", "--out", str(out)]
    assert run(command) == 0
    assert len(list(out.glob("*.safetensors"))) > 1
    return out


@pytest.fixture
def llama(tmp_path: Path, base_folders: dict[str, Path]) -> Path:
    """A copy of the tiny Llama that a test may change."""
    return checkpoints.copy(base_folders["llama"], tmp_path / "llama")


@pytest.fixture(scope="session")
def demo_folder() -> Path:
    """The real demo model, fetched once into the user's cache."""
    from release.sources import demo

    return demo.fetch(Console())


@pytest.fixture
def phi_config(tmp_path: Path) -> Path:
    """A folder with nothing but the config.json of Phi-3.5-mini-instruct's size and kind."""
    folder = tmp_path / "Phi-3.5-mini-instruct"
    folder.mkdir()
    factors = {"type": "longrope", "long_factor": [1.0] * 48, "short_factor": [1.0] * 48}
    config = {
        "architectures": ["Phi3ForCausalLM"],
        "auto_map": {
            "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM",
            "AutoConfig": "configuration_phi3.Phi3Config",
        },
        "model_type": "phi3",
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "vocab_size": 32064,
        "max_position_embeddings": 131072,
        "original_max_position_embeddings": 4096,
        "sliding_window": 262144,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "rope_scaling": factors,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "bos_token_id": 1,
        "eos_token_id": 32000,
        "pad_token_id": 32000,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Let the collector pass over modules and tests, some million objects that stay: a look at them costs 0.3 s."""
    gc.disable()  # nothing that is made meanwhile is garbage
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before long tests are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a table marked `quick_rows(n)`, make all rows long but n: the first, and others evenly spread."""
    tables: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("quick_rows") and not item.get_closest_marker("long"):
            tables[item.nodeid.partition("[")[0]].append(item)
    for table in tables.values():
        [kept] = table[0].get_closest_marker("quick_rows").args
        quick = {place * len(table) // kept for place in range(kept)}
        for place, item in enumerate(table):
            if place not in quick:
                item.add_marker(pytest.mark.long)


_seen: set[str] = set()
"""Files of whose tests one has run."""


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Pass over what tests have imported, too, once for each file of tests."""
    file = nodeid.partition("::")[0]
    if file not in _seen:
        _seen.add(file)
        gc.collect()
        gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--refresh", action="store_true", help="write generated documents and goldens anew")
