"""What somebody may put into a release to harm whoever looks at it: one row for each way."""

import hashlib
import json
import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import checkpoints

SECRET = "nobody else's business"
ESCAPE = "\x1b]0;owned\x07\x1b[2J"


@dataclass(frozen=True)
class Lure:
    """A release in somebody's hands.

    Attributes:
        folder: The release, with `model/` and `space/`.
        outside: A folder beside it that is none of its business; `secret.txt` lies there.
        ran: What code of the release leaves behind where it is run.
        token: The user's token file.
    """

    folder: Path
    outside: Path
    ran: Path
    token: Path

    @property
    def model(self) -> Path:
        """Its model folder."""
        return self.folder / "model"

    @property
    def code(self) -> str:
        """A program that tells that it was run."""
        return f"open({str(self.ran)!r}, 'a').write(__name__)\n"

    def put(self, name: str, data: bytes | str) -> None:
        """Lay a file into the model folder and have the record list it, as the forger would."""
        path, content = self.model / name, data.encode() if isinstance(data, str) else data
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.admit(name, content)

    def admit(self, name: str, content: bytes) -> None:
        """Have the record list a file."""
        entry = {"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

        def add(record: dict[str, Any]) -> None:
            record["files"] = [each for each in record["files"] if each["name"] != name] + [entry]

        self.edit(add)

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the record."""
        path = self.model / "release.json"
        record = json.loads(path.read_text())
        change(record)
        path.write_text(json.dumps(record))

    def settings(self, name: str, **fields: Any) -> None:
        """Change one of the model's JSON files."""
        self.put(name, json.dumps(json.loads((self.model / name).read_text()) | fields))

    def link(self, name: str, target: Path) -> None:
        """Put a link in the place of a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)


class _Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def _up(lure: Lure) -> None:
    secret = (lure.outside / "secret.txt").read_bytes()
    for name in ("../outside/secret.txt", "../../outside/secret.txt", "../planted.txt", "a/../../planted.txt"):
        lure.admit(name, secret)


def _absolute(lure: Lure) -> None:
    lure.admit(str(lure.outside / "planted.txt"), b"x")


def _weights_up(lure: Lure) -> None:
    def change(record: dict[str, Any]) -> None:
        record["audit"]["files"][0]["name"] = "../../outside/planted.safetensors"

    lure.edit(change)


def _links_to_secrets(lure: Lure) -> None:
    for name, target in {"model/LICENSE": lure.token, "model/NOTICE": lure.outside / "secret.txt"}.items():
        lure.link(name, target)
        lure.admit(Path(name).name, target.read_bytes())


def _linked_folder(lure: Lure) -> None:
    (lure.model / "figures").symlink_to(lure.outside)
    lure.admit("figures/secret.txt", (lure.outside / "secret.txt").read_bytes())


def _model_elsewhere(lure: Lure) -> None:
    lure.model.rename(lure.outside / "model")
    lure.model.symlink_to(lure.outside / "model")


def _written_through_links(lure: Lure) -> None:
    for name in ("README.md", "model.sig"):
        (lure.model / name).unlink(missing_ok=True)
        lure.link(f"model/{name}", lure.outside / name)
    for name in ("README.published.md", "recipe.txt", "pruning.json"):
        lure.link(f"work/{name}", lure.outside / name)


def _space_program(lure: Lure) -> None:
    (lure.folder / "space" / "app.py").write_text(lure.code)


def _space_module(lure: Lure) -> None:
    for name in ("gradio.py", "torch.py", "sitecustomize.py", "yaml/__init__.py"):
        (lure.folder / "space" / name).parent.mkdir(exist_ok=True)
        (lure.folder / "space" / name).write_text(lure.code)


def _space_links(lure: Lure) -> None:
    lure.link("space/examples.json", lure.token)
    lure.link("space/more.txt", lure.outside / "secret.txt")


def _remote_code(lure: Lure) -> None:
    lure.settings("config.json", auto_map={"AutoConfig": "made.C", "AutoModelForCausalLM": "made.M"}, model_type="made")
    lure.settings("tokenizer_config.json", auto_map={"AutoTokenizer": ["made.T", None]}, tokenizer_class="T")
    for name in ("made.py", "modeling_made.py", "tokenization_made.py", "__init__.py", "generate.py"):
        lure.put(name, lure.code)


def _template(lure: Lure) -> None:
    runs = f"cycler.__init__.__globals__.os.mkdir('{lure.ran}')"
    text = "{{ " + runs + " }}{{ ''.__class__.__mro__[1].__subclasses__() }}"
    lure.put("chat_template.jinja", text)
    lure.settings("tokenizer_config.json", chat_template=text)


def _escapes(lure: Lure) -> None:
    lure.put(f"{ESCAPE}.txt", "x")
    lure.settings("config.json", architectures=[ESCAPE], model_type=ESCAPE)

    def change(record: dict[str, Any]) -> None:
        record["name"] = record["base"]["id"] = record["pruning"]["method"] = ESCAPE
        record["audit"]["files"][0]["name"] = ESCAPE

    lure.edit(change)


def _tensor_escapes(lure: Lure) -> None:
    first = min(lure.model.glob("model*.safetensors"))
    data = first.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    name = next(each for each in header if each != "__metadata__")
    header[ESCAPE] = header.pop(name)
    text = json.dumps(header).encode()
    first.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


def _index_outside(lure: Lure) -> None:
    names = {"model.norm.weight": "../../outside/secret.txt", "model.embed_tokens.weight": str(lure.token)}
    lure.put("model.safetensors.index.json", json.dumps({"metadata": {}, "weight_map": names}))
    for path in lure.model.glob("*.safetensors"):
        path.unlink()


def _weights_link(lure: Lure) -> None:
    first = min(lure.model.glob("model*.safetensors"))
    first.replace(lure.outside / "moved.safetensors")
    first.symlink_to(lure.outside / "moved.safetensors")


def _numbers(lure: Lure) -> None:
    lure.settings("config.json", num_hidden_layers=10**9, vocab_size=10**18)
    path = lure.model / "release.json"
    path.write_text(path.read_text().replace('"seed": 42', '"seed": ' + "9" * 5000))


def _pickles(lure: Lure) -> None:
    for name in ("pytorch_model.bin", "training_args.bin", "scheduler.pt", "optimizer.pkl"):
        lure.put(name, pickle.dumps(_Runs(lure.ran)))
    for path in (lure.model / "model.safetensors", *lure.model.glob("model*.safetensors*")):
        path.unlink(missing_ok=True)


def _adapter(lure: Lure) -> None:
    lure.put("adapter_config.json", json.dumps({"peft_type": "LORA", "base_model_name_or_path": "../../outside"}))
    lure.put("adapter_model.bin", pickle.dumps(_Runs(lure.ran)))


def _named_as_paths(lure: Lure) -> None:
    def change(record: dict[str, Any]) -> None:
        record["name"] = "../../outside/planted"
        record["base"] |= {"id": "../outside", "source": "folder", "on_hub": False}
        record["pruning"]["method"] = "../../outside/card"
        record["plan"]["command"] = "$(touch outside/planted); `touch outside/planted`"

    lure.edit(change)


def _pipe(lure: Lure) -> None:
    os.mkfifo(lure.model / "NOTICE")
    (lure.model / "LICENSE").unlink(missing_ok=True)
    (lure.model / "LICENSE").symlink_to("/dev/zero")


def _only_the_working_directory(lure: Lure) -> None:
    assert (lure.folder.parent / "pip.py").is_file()


HOSTILE: Mapping[str, Callable[[Lure], None]] = {
    "record with names above the folder": _up,
    "record with an absolute name": _absolute,
    "record with weights above the folder": _weights_up,
    "links to secrets": _links_to_secrets,
    "link to a folder": _linked_folder,
    "model folder that is a link": _model_elsewhere,
    "links where the tool writes": _written_through_links,
    "program of the Space": _space_program,
    "modules beside the Space's program": _space_module,
    "links in the Space": _space_links,
    "code that the model asks for": _remote_code,
    "template that breaks out": _template,
    "terminal escapes in names": _escapes,
    "terminal escapes in a tensor's name": _tensor_escapes,
    "index that points outside": _index_outside,
    "weights that are a link": _weights_link,
    "numbers without end": _numbers,
    "pickles": _pickles,
    "adapter": _adapter,
    "names that are paths": _named_as_paths,
    "pipe and endless file": _pipe,
    "modules in the working directory": _only_the_working_directory,
}
"""What was done to the release → how."""
MODULES = ("pip.py", "torch.py", "sitecustomize.py", "yaml.py", "transformers.py", "release.py", "json.py")
"""Modules that lie in the working directory."""


def lure(honest: Path, folder: Path, token: Path, ran: Path) -> Lure:
    """Copy an honest release to where it can be spoilt, beside a folder that is to stay as it is."""
    outside = folder / "outside"
    outside.mkdir(parents=True)
    (outside / "secret.txt").write_text(SECRET)
    for name in MODULES:
        (folder / name).write_text(f"open({str(ran)!r}, 'a').write({name!r})\n")
    return Lure(checkpoints.copy(honest, folder / "release"), outside, ran, token)
