"""Runs the Space of a release on this machine, as `release demo` does.

It stands outside `release.space`, since nothing is run that `release.verification` has not compared with what ships.
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

from release import children
from release.errors import BadOption, ReleaseError
from release.progress import Console
from release.schema.record import CARD, Record
from release.space import build as space
from release.verification import space_check

MODELS = "COMPARE_MODELS"
"""The variable from which the app reads the models, where it is not the Hub's."""
STARTUP = 120.0
"""Seconds within which the app has to listen."""


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
        "GRADIO_SERVER_NAME": os.environ.get("GRADIO_SERVER_NAME", space.HOST),
        "GRADIO_SERVER_PORT": os.environ.get("GRADIO_SERVER_PORT", space.PORT),
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
    variables = environment(releases, dense)
    folder = releases[0].resolve() / "space"
    space_check.require(folder, Record.read(releases[0] / "model"))
    address = variables["GRADIO_SERVER_NAME"], _port(variables["GRADIO_SERVER_PORT"])
    _require_free(address)
    with TemporaryDirectory(prefix="release-demo-") as scratch:
        app = Path(scratch)
        for name, content in space.shipped().items():
            (app / name).write_bytes(content)
        for name in (CARD, space.EXAMPLES):
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
