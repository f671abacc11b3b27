"""Turns a record into a Space that asks the dense and the pruned model the same question, and runs it here.

The app is the folder `spaces/compare`, copied byte for byte; it imports nothing of this package. Only README.md
and examples.json are made from the record.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from release import children, files
from release import format as text
from release.card.templates import Written
from release.card.templates import environment as templates
from release.checkpoint.files import is_hidden
from release.errors import BadOption, ReleaseError
from release.names import REPO_ID
from release.progress import Console
from release.resources import resource
from release.schema.record import CARD, Record
from release.space.mark import MARK

APP = "compare"
EXAMPLES = "examples.json"
MODELS = "COMPARE_MODELS"
SHORT_DESCRIPTION = "Ask a dense and a pruned model the same; research only"
"""The Hub shows at most 60 characters."""
ATTRIBUTION = (
    "Questions from BBQ, a bias benchmark for question answering (Parrish et al., Findings of ACL 2022), "
    "https://github.com/nyu-mll/BBQ, licence CC BY 4.0. They probe stereotypes on purpose and state no facts."
)
HOST, PORT = "127.0.0.1", "7860"
STARTUP = 120.0
"""Seconds within which the app has to listen."""


def build(
    record: Record,
    destination: Path,
    dense_id: str | None,
    pruned_id: str,
    examples: Sequence[Mapping[str, Any]],
    space_id: str | None = None,
) -> None:
    """Write the Space's folder; the same arguments give the same bytes.

    Args:
        record: The release that the Space shows.
        destination: The folder; whatever it held before is replaced.
        dense_id: The base's Hub id; without one, or where the base is not on the Hub, the pruned model is alone.
        pruned_id: The pruned model's Hub id.
        examples: Items of BBQ with their texts, as `release.evals.bbq.examples.examples` gives them.
        space_id: The Space's own Hub id, if not the pruned model's.
    """
    models = models_of(record, dense_id, pruned_id)
    # A kill leaves the old Space, or none: half of one would be refused by whoever looks at it next.
    with files.replacing_folder(destination) as folder:
        for name, content in shipped().items():
            files.write(folder / name, content)
        files.write(folder / EXAMPLES, examples_json(examples))
        files.write(folder / CARD, readme(record, models, bool(examples), space_id))


def shipped() -> dict[str, bytes]:
    """Return the app's own files as this version ships them, by name; they lie in one folder."""
    paths = {path.name: path for path in (resource("spaces") / APP).iterdir() if path.is_file()}
    return {name: paths[name].read_bytes() for name in sorted(paths) if not is_hidden(name)}


def examples_json(examples: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of examples.json."""
    stored = {"attribution": ATTRIBUTION, "examples": [dict(example) for example in examples]}
    return json.dumps(stored, ensure_ascii=False, indent=2) + "\n"


def models_of(record: Record, dense_id: str | None, pruned_id: str) -> list[str]:
    """Return the Hub ids that a Space lists; the dense model is left out where it is not on the Hub."""
    return [dense_id, pruned_id] if dense_id and record.base.on_hub else [pruned_id]


def readme(record: Record, models: Sequence[str], with_examples: bool, address: str | None = None) -> str:
    """Return the Space's README.md.

    Args:
        models: Hub ids, the pruned model's last.
        with_examples: Whether BBQ has to be credited.
        address: Where the Space is, if not under the pruned model's id: its Hub id.
    """
    # A Space is mostly published under its model's own id; before that it runs on this machine.
    local = f"http://{HOST}:{PORT}"
    address = address or (models[-1] if REPO_ID.fullmatch(models[-1]) else local)
    front = yaml.safe_dump(front_matter(record, models), sort_keys=False, allow_unicode=True, width=10_000)
    context = {
        "record": record,
        "models": models,
        "address": address,
        "mark": Written(MARK.format(address=address)),
        "attribution": ATTRIBUTION if with_examples else None,
    }
    body = templates().get_template("space/README.md.j2").render(context)
    return f"---\n{front}---\n\n{body.strip()}\n"


def front_matter(record: Record, models: Sequence[str]) -> dict[str, object]:
    """Return the Space's settings on the Hub."""
    pruning = record.pruning
    base = text.one_line(record.base.id.rsplit("/", 1)[-1])
    return {
        "title": f"Dense vs pruned: {base}, {pruning.method} {text.exact_percent(pruning.target_sparsity)}",
        "emoji": "⚖️",
        "colorFrom": "indigo",
        "colorTo": "gray",
        "sdk": "gradio",
        "sdk_version": _gradio_pinned(),
        "app_file": "app.py",
        # Left out it is 3.10, which transformers refuses; as a number 3.10 would be 3.1.
        "python_version": "3.12",
        "license": "apache-2.0",
        "short_description": SHORT_DESCRIPTION,
        "models": list(models),
        "tags": ["pruning", "model-compression", "bias-evaluation", "research-only", pruning.method],
    }


def _gradio_pinned() -> str:
    """Return the version that the app's requirements name, whatever is installed here: the same for every reader."""
    lines = shipped()["requirements.txt"].decode().splitlines()
    return next(line.removeprefix("gradio==") for line in lines if line.startswith("gradio=="))


def environment(releases: Sequence[Path], dense: Path) -> dict[str, str]:
    """Return the variables that make a Space's app show local folders and use no network.

    Args:
        releases: Release folders over one base.
        dense: The base's folder.

    Raises:
        BadOption: The releases are not all of one base, or there is none.
    """
    records = {folder: Record.read(folder / "model") for folder in releases}
    bases = sorted({record.base.id for record in records.values()})
    if len(bases) != 1:
        raise BadOption(
            f"The releases have {len(bases)} base models ({', '.join(bases) or 'no release given'}).",
            "Compare releases of one base at a time.",
        )
    models = {
        "dense": {"id": bases[0], "path": str(dense.resolve())},
        "pruned": [
            {"id": record.name, "path": str((folder / "model").resolve())} for folder, record in records.items()
        ],
    }
    return {
        MODELS: json.dumps(models),
        "HF_HUB_OFFLINE": "1",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_SERVER_NAME": os.environ.get("GRADIO_SERVER_NAME", HOST),
        "GRADIO_SERVER_PORT": os.environ.get("GRADIO_SERVER_PORT", PORT),
    }


def run(releases: Sequence[Path], dense: Path, console: Console) -> None:
    """Run the Space of the first release until it is interrupted or terminated; the app ends with it.

    What runs is a copy of the app that this version ships, and only where the release holds that very app: a release
    comes from anybody. It gets no secret of the environment and imports nothing from the working folder.

    Raises:
        KeyboardInterrupt: Somebody ended it.
        BadOption: There is no Space in the release, or another than the shipped one; or the port cannot be used.
        ReleaseError: The app ended by itself.
    """
    from release.verification import space_check

    variables = environment(releases, dense)
    folder = releases[0].resolve() / "space"
    space_check.require(folder, Record.read(releases[0] / "model"))
    address = variables["GRADIO_SERVER_NAME"], _port(variables["GRADIO_SERVER_PORT"])
    _require_free(address)
    with TemporaryDirectory(prefix="release-demo-") as scratch:
        app = Path(scratch)
        for name, content in shipped().items():
            (app / name).write_bytes(content)
        for name in (CARD, EXAMPLES):
            shutil.copyfile(folder / name, app / name, follow_symlinks=False)
        code = _served(app, children.environment(**variables), address, console)
    if code != 0:
        raise ReleaseError(f"The app ended with exit code {code}.", "Its last lines above say why.")


def _served(app: Path, variables: Mapping[str, str], address: tuple[str, int], console: Console) -> int:
    """Run an app's folder to its end, and return its exit code."""
    # Python puts the folder of a script in front of what it imports from, unless its user forbids that.
    known = {name: value for name, value in variables.items() if name != "PYTHONSAFEPATH"}
    process = subprocess.Popen([sys.executable, str(app / "app.py")], cwd=app, env=known)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _announce(process, address, console)
        return process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
        _end(process)


def _port(stated: str) -> int:
    if stated.isascii() and stated.isdigit() and 0 < int(stated) < 65_536:
        return int(stated)
    raise BadOption(f"GRADIO_SERVER_PORT is {stated!r}, which is no port.", "Set it to a number from 1 to 65535.")


def _require_free(address: tuple[str, int]) -> None:
    try:
        with socket.create_server(address):
            pass
    except OSError as error:
        raise BadOption(
            f"Nothing can listen on {address[0]}:{address[1]} ({error.strerror}).",
            "Set GRADIO_SERVER_PORT to a free port, or end what uses this one.",
        ) from error


def _announce(process: "subprocess.Popen[bytes]", address: tuple[str, int], console: Console) -> None:
    deadline = time.monotonic() + STARTUP
    while process.poll() is None and time.monotonic() < deadline:
        if _listens(address):
            console.say(f"Compare dense and pruned at http://{address[0]}:{address[1]} (Ctrl-C ends it).")
            return
        time.sleep(0.2)


def _listens(address: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(address) == 0


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
