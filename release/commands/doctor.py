"""`release doctor`: whether this machine can do what will be asked of it."""

import platform
import shutil
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from release import __version__, machine
from release.commands import cache
from release.errors import ReleaseError
from release.extras import DISTRIBUTION, EXTRAS, install
from release.format import size
from release.frozen import Frozen
from release.hub import login
from release.plan import Plan
from release.pruning.recipe import Recipe
from release.settings.option import share

PACKAGES = ("huggingface_hub", "safetensors", "numpy", "torch", "transformers", "gradio", "ray", "mlx")
"""Whose versions are told."""


class MachineFact(Frozen):
    """One thing that was looked at.

    Attributes:
        ok: Whether it is as it should be; None where that depends on what will be asked.
        remedy: What mends it; empty where nothing has to be.
    """

    name: str
    said: str
    ok: bool | None = True
    remedy: str = ""


def examine(out: Path, model: str | None) -> list[MachineFact]:
    """Look at versions, extras, devices, memory, disk, cache and login; and at what a model would take.

    Args:
        out: Where releases would be built.
        model: As for `publish`; None looks at no model.
    """
    found = [*_versions(), *_extras(), _device(), _memory(), _disk(out), _cache(), _login()]
    return [*found, _model(model, out)] if model else found


def _versions() -> Iterator[MachineFact]:
    yield MachineFact(name="release", said=f"{__version__}, Python {platform.python_version()}, {platform.system()}")
    for name in PACKAGES:
        if find_spec(name) is not None:
            yield MachineFact(name=name, said=metadata.version(name))


def _extras() -> Iterator[MachineFact]:
    for extra, packages in EXTRAS.items():
        absent = [name for name in packages if find_spec(name) is None]
        if absent:
            said = f"not installed ({', '.join(absent)})"
            yield MachineFact(name=f"{DISTRIBUTION}[{extra}]", said=said, ok=None, remedy=install(extra))


def _device() -> MachineFact:
    if find_spec("torch") is None:
        return MachineFact(name="device", said="unknown without torch", ok=None, remedy=install("torch"))
    from release.models.device import choose_device, device_name

    said = f"{device_name(choose_device('auto'))} ({machine.processor()}, {machine.cores()} cores)"
    return MachineFact(name="device", said=said)


def _memory() -> MachineFact:
    free = machine.memory_free()
    return MachineFact(
        name="memory", said="unknown" if free is None else f"{size(free)} free", ok=None if free is None else True
    )


def _disk(out: Path) -> MachineFact:
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    return MachineFact(name="disk", said=f"{size(shutil.disk_usage(there).free)} free where {out} lies")


def _cache() -> MachineFact:
    held = cache.parts()
    said = ", ".join(f"{part.name} {size(part.bytes)}" for part in held) or "empty"
    return MachineFact(name="cache", said=said, remedy="release cache --clear NAME" if held else "")


def _login() -> MachineFact:
    try:
        account = login()
    except ReleaseError as error:
        return MachineFact(name="login", said=error.seen, ok=None, remedy=error.remedy)
    names = ", ".join((account.name, *account.orgs))
    return MachineFact(name="login", said=f"{account.name}; may publish under {names}", ok=account.can_write or None)


def _model(model: str, out: Path) -> MachineFact:
    """What pruning a model takes, from its config and headers."""
    from release.preview import preview  # loads torch

    try:
        seen = preview(Plan(model=model, recipe=Recipe.of("random", share("10%"), 42), out=out, local=True))
    except ReleaseError as error:
        return MachineFact(name=model, said=error.seen, ok=False, remedy=error.remedy)
    return _fits(model, seen.prunable_parameters, seen.disk_needed, seen.disk_free)


def _fits(model: str, prunable: int, needed: int | None, free: int) -> MachineFact:
    disk = "disk needed is unknown" if needed is None else f"needs {size(needed)} of disk"
    said = f"{prunable:,} prunable parameters, which take {size(4 * prunable)} of memory in fp32; {disk}"
    enough = needed is None or needed <= free
    return MachineFact(name=model, said=said, ok=enough, remedy="" if enough else "Make room, or give another --out.")
