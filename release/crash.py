"""What is left of an error that nobody foresaw: a report file that can be passed on, with nothing private in it."""

import os
import platform
import re
import shlex
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from release import __version__

KEPT = 20
"""Reports that are kept; older ones go."""
LONGEST_LINE = 2_000
MOST_LINES = 400
PACKAGES = (
    *("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "numpy", "pyarrow"),
    *("gradio", "jinja2", "pydantic", "pyyaml", "rich", "typer"),
)
SECRET = re.compile(
    r"\b(?:hf|api_org)_[A-Za-z0-9_]{8,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bsk-[\w-]{20,}"
    r"|\bAKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"
)
HELD_BY = re.compile(r"(?i)token|secret|passw|credential|api_?key|auth")
"""How an environment variable is called whose value is nobody's business."""
OTHERS_HOME = re.compile(r"(?:/home|/Users|[A-Za-z]:\\+Users)[/\\]+[^/\\\s\"':]+")
MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.[A-Za-z]{2,}")
SHORTEST = 3
"""Letters of a name that can be taken out without taking half of the words with it."""


def summary(error: BaseException) -> str:
    """Say in words what was raised, nothing private in it: `KeyError: 'weight_map'`."""
    return scrubbed("".join(traceback.format_exception_only(error)).strip())


def report(error: BaseException, arguments: Sequence[str]) -> Path | None:
    """Write what is needed to find a fault, and return where; None where nothing can be written.

    Args:
        arguments: The command line's words.
    """
    text = scrubbed("\n".join(_lines(error, arguments)))
    return next((path for folder in _folders() if (path := _written(folder, text))), None)


def scrubbed(text: str) -> str:
    """Take tokens, folders of this machine, names of user and machine, and addresses out of a text; cut its lines."""
    for private, instead in _private():
        text = text.replace(private, instead)
    # Cut only now, so that no part of a token stays at the end of a line.
    text = SECRET.sub("[secret]", "\n".join(line[:LONGEST_LINE] for line in text.split("\n")))
    text = MAIL.sub("[address]", OTHERS_HOME.sub("~", text))
    for name, instead in _names():
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", instead, text)
    return text


def _lines(error: BaseException, arguments: Sequence[str]) -> Iterator[str]:
    yield f"release {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield ", ".join(_versions())
    yield f"Command: {shlex.join(['release', *arguments])}"
    yield ""
    lines = "".join(traceback.format_exception(error)).splitlines()
    yield from lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES // 2], "…", *lines[-MOST_LINES // 2 :]]
    yield ""


def _versions() -> Iterator[str]:
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            yield f"{package} {version(package)}"


def _private() -> Iterator[tuple[str, str]]:
    """What is to be taken out wherever it stands, and what takes its place; secrets first, long folders before short.

    A module's file is named from the folder that it was imported from.
    """
    held = (value for name, value in os.environ.items() if HELD_BY.search(name) and len(value) > 2 * SHORTEST)
    yield from ((value, "[secret]") for value in sorted(held, key=len, reverse=True))
    imports = {f"{Path(entry).absolute()}{os.sep}": "" for entry in sys.path if entry}
    package = Path(__file__).resolve().parent.parent
    folders = imports | {f"{package}{os.sep}": "", f"{tempfile.gettempdir()}{os.sep}": "[temporary]/"}
    with suppress(RuntimeError):  # there is no home
        folders[str(Path.home())] = "~"
    with suppress(OSError):  # the folder that the command ran in is gone
        folders[f"{Path.cwd()}{os.sep}"] = "./"
    yield from sorted(((f, to) for f, to in folders.items() if len(f) > SHORTEST), key=lambda it: -len(it[0]))


def _names() -> Iterator[tuple[str, str]]:
    users = {os.environ.get(name, "") for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER")}
    hosts = {socket.gethostname(), socket.gethostname().partition(".")[0], os.environ.get("HOSTNAME", "")}
    yield from ((name, "[user]") for name in users if len(name) >= SHORTEST)
    yield from ((name, "[host]") for name in sorted(hosts, key=len, reverse=True) if len(name) >= SHORTEST)


def _folders() -> Iterator[Path]:
    from release.sources.cache import cache_folder

    yield cache_folder() / "reports"
    yield Path(tempfile.gettempdir())


def _written(folder: Path, text: str) -> Path | None:
    """Write a report that its owner alone may read, and let the oldest ones go."""
    path = folder / f"release-report-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
        for old in sorted(folder.glob("release-report-*.txt"))[:-KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        return None
    return path
