"""The whole path with a Hub: a base from the Hub becomes a published release that anyone can check."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import checkpoints
from tests.commands import OFF, at_a_hub, commands
from tests.hub import HubServer

ROOT = Path(__file__).parent.parent
NAME = "tiny-llama-random-s30"
CARD = "---\nlicense: other\nlicense_name: tiny\nlicense_link: LICENSE\nlanguage: [en, de]\n---\n# Tiny\n"

LOAD = """
import json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype="auto")
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
weights = [m.weight for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and ".layers." in n]
output = model.generate(**tokenizer("abc", return_tensors="pt"), max_new_tokens=3, do_sample=False)
print(json.dumps({"zeros": sum(int((w == 0).sum()) for w in weights), "numel": sum(w.numel() for w in weights),
                  "dtype": str(model.dtype), "tokens": output.shape[1]}))
"""
SPACE = """
import json, sys
from huggingface_hub import snapshot_download
print(json.dumps(snapshot_download(sys.argv[1], repo_type="space")))
"""


@dataclass(frozen=True)
class Client:
    """A user's machine, with a Hub of its own in reach."""

    hub: HubServer
    folder: Path

    def run(self, *command: str, code: int = 0, **changes: str) -> "subprocess.CompletedProcess[str]":
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
        ours = {"HF_ENDPOINT": self.hub.url, "HF_HOME": str(self.folder / "home"), "HF_TOKEN": self.hub.token}
        done = subprocess.run(
            command,
            env=kept | ours | {"PYTHONPATH": str(ROOT)} | changes,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stderr
        assert self.hub.token not in done.stdout + done.stderr
        return done

    def release(self, *arguments: str, code: int = 0, **changes: str) -> dict:
        done = self.run(sys.executable, "-m", "release", *arguments, "--json", code=code, **changes)
        return json.loads(done.stdout)

    def publish(self, *more: str, **changes: str) -> dict:
        words = ["publish", "ada/tiny-llama", "--method", "random", "--sparsity", "0.3", *OFF, *more]
        return self.release(*words, **changes)


def lay(hub: HubServer, base: Path) -> None:
    """Lay the base on the Hub, with files that no release carries."""
    repo = hub.store.create("models", "ada/tiny-llama", False, None)
    contents = {p.name: p.read_bytes() for p in base.iterdir()}
    contents |= {"README.md": CARD.encode(), "LICENSE": b"Be kind.\n", "modeling_tiny.py": b"raise SystemExit\n"}
    contents |= {"consolidated.safetensors": b"another form of the same weights"}
    entries = {n: hub.store.keep([data], lfs=n.endswith(".safetensors")) for n, data in contents.items()}
    repo.branches["main"] = repo.record(repo.branches["main"], "base", "", entries)
    repo.save()


@pytest.fixture
def client(tmp_path: Path, base_folders: dict[str, Path]) -> Iterator[Client]:
    with HubServer(tmp_path / "hub") as hub:
        hub.site.looks = 0
        lay(hub, base_folders["llama"])
        yield Client(hub, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("xet", ["0", "1"], ids=["xet", "lfs"])
def test_a_release_from_the_hub_to_the_hub_loads_counts_and_verifies(xet, client, base_folders):
    said = client.publish("--to", "lab", HF_HUB_DISABLE_XET=xet)
    total = round(0.3 * checkpoints.PRUNABLE["llama"])
    assert said["zeroed_parameters"] == total
    assert said["published"]["model_url"].endswith(f"/lab/{NAME}")

    loaded = json.loads(client.run(sys.executable, "-c", LOAD, f"lab/{NAME}").stdout)
    assert loaded == {"zeros": total, "numel": checkpoints.PRUNABLE["llama"], "dtype": "torch.bfloat16", "tokens": 6}

    verified = client.release("verify", f"lab/{NAME}", HF_TOKEN="")
    assert verified["ok"]
    checks = {check["name"]: check["ok"] for check in verified["checks"]}
    assert checks["kept weights"] is True
    assert checks["card"] is True
    client.release("verify", f"lab/{NAME}", "--base", "ada/tiny-llama", "--rebuild", HF_TOKEN="")

    model = client.folder / "releases" / NAME / "model"
    remote = client.hub.store.repo("models", f"lab/{NAME}").resolve("main").files
    local = {p.relative_to(model).as_posix() for p in model.rglob("*") if p.is_file()}
    assert set(remote) - {".gitattributes"} == local
    assert not [name for name in local if name.endswith(".py") or name.startswith("consolidated")]
    card = (model / "README.md").read_text(encoding="utf-8")
    for line in (
        "license: other",
        "license_name: tiny",
        "base_model: ada/tiny-llama",
        "- de",
        f'path = "lab/{NAME}"',
        "| 2024-10-31, by",
    ):
        assert line in card
    assert (model / "LICENSE").read_bytes() == b"Be kind.\n"

    space = Path(json.loads(client.run(sys.executable, "-c", SPACE, f"lab/{NAME}").stdout))
    assert {"app.py", "README.md", "requirements.txt", "examples.json"} <= {p.name for p in space.iterdir()}
    assert f"- ada/tiny-llama\n- lab/{NAME}" in (space / "README.md").read_text(encoding="utf-8")


def test_a_dry_run_reads_headers_from_the_hub_and_creates_nothing(tmp_path, base_folders, monkeypatch, capsys):
    with at_a_hub(tmp_path, monkeypatch) as hub:
        lay(hub, base_folders["llama"])
        words = [
            "publish",
            "ada/tiny-llama",
            "--method",
            "random",
            "--sparsity",
            "0.3",
            *OFF,
            "--dry-run",
            "--to",
            "lab",
        ]
        said = commands(hub, capsys)(*words)
        assert said["prunable_parameters"] == checkpoints.PRUNABLE["llama"]
        assert said["repositories"] == [f"lab/{NAME}", f"spaces/lab/{NAME}"]
        assert hub.store.repo("models", f"lab/{NAME}") is None
        assert {seen.method for seen in hub.seen} <= {"GET", "HEAD"}
    assert not (tmp_path / "releases").exists()


@pytest.mark.long
def test_without_a_token_nothing_is_pruned(client):
    refused = client.release(
        "publish", "ada/tiny-llama", "--method", "random", "--sparsity", "0.3", code=2, HF_TOKEN=""
    )
    assert "hf auth login" in refused["remedy"]
    assert "--local" in refused["remedy"]
    assert not (client.folder / "releases").exists()
