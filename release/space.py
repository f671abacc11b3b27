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
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from release import text
from release.card_parts import REPO_ID
from release.card_templates import environment as templates
from release.errors import BadOption, ReleaseError
from release.progress import Console
from release.record import Record
from release.resources import resource

APP = "compare"
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
) -> None:
    """Write the Space's folder; the same arguments give the same bytes.

    Args:
        record: The release that the Space shows.
        destination: The folder; whatever it held before is replaced.
        dense_id: The base's Hub id; without one, or where the base is not on the Hub, the pruned model is alone.
        pruned_id: The pruned model's Hub id.
        examples: Items of BBQ with their texts, as `release.examples.examples` gives them.
    """
    models = [dense_id, pruned_id] if dense_id and record.base.on_hub else [pruned_id]
    shutil.rmtree(destination, ignore_errors=True)
    shutil.copytree(resource("spaces") / APP, destination, ignore=shutil.ignore_patterns("__pycache__"))
    stored = {"attribution": ATTRIBUTION, "examples": [dict(example) for example in examples]}
    _write(destination / "examples.json", json.dumps(stored, ensure_ascii=False, indent=2) + "\n")
    _write(destination / "README.md", readme(record, models, bool(examples)))


def readme(record: Record, models: Sequence[str], with_examples: bool) -> str:
    """Return the Space's README.md.

    Args:
        models: Hub ids, the pruned model's last.
        with_examples: Whether BBQ has to be credited.
    """
    front = yaml.safe_dump(front_matter(record, models), sort_keys=False, allow_unicode=True, width=10_000)
    context = {
        "record": record,
        "models": models,
        # A Space is published under its model's own id; before that it runs on this machine.
        "address": models[-1] if REPO_ID.fullmatch(models[-1]) else f"http://{HOST}:{PORT}",
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
        "sdk_version": version("gradio"),
        "app_file": "app.py",
        # Left out it is 3.10, which transformers refuses; as a number 3.10 would be 3.1.
        "python_version": "3.12",
        "license": "apache-2.0",
        "short_description": SHORT_DESCRIPTION,
        "models": list(models),
        "tags": ["pruning", "model-compression", "bias-evaluation", "research-only", pruning.method],
    }


def _write(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8", newline="\n")


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
        # What lies in space/ is what is uploaded: running it must leave nothing there.
        "PYTHONDONTWRITEBYTECODE": "1",
        "GRADIO_SERVER_NAME": os.environ.get("GRADIO_SERVER_NAME", HOST),
        "GRADIO_SERVER_PORT": os.environ.get("GRADIO_SERVER_PORT", PORT),
    }


def run(releases: Sequence[Path], dense: Path, console: Console) -> None:
    """Run the first release's Space until it is interrupted or terminated; the app ends with it.

    Raises:
        KeyboardInterrupt: Somebody ended it.
        BadOption: There is no Space in the release, or the port cannot be used.
        ReleaseError: The app ended by itself.
    """
    variables = environment(releases, dense)
    app = releases[0].resolve() / "space" / "app.py"
    if not app.is_file():
        raise BadOption(f"{releases[0]} holds no space/app.py.", "Build it with `release publish … --local`.")
    address = variables["GRADIO_SERVER_NAME"], _port(variables["GRADIO_SERVER_PORT"])
    _require_free(address)
    process = subprocess.Popen([sys.executable, str(app)], cwd=app.parent, env=os.environ | variables)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _announce(process, address, console)
        code = process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
        _end(process)
    if code != 0:
        raise ReleaseError(f"The app ended with exit code {code}.", "Its last lines above say why.")


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
