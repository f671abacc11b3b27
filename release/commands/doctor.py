"""`release doctor`: whether this machine can do what will be asked of it."""

import math
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from release import __version__, machine
from release.commands import cache
from release.errors import ReleaseError
from release.extras import DISTRIBUTION, EXTRAS, install
from release.format import size
from release.frozen import Frozen
from release.hub import login
from release.packages import installed, version
from release.plan import Plan
from release.pruning.prune import SPARE
from release.pruning.recipe import Recipe
from release.settings.option import share
from release.sources import demo
from release.sources.base import DEMO, NOTHING
from release.sweep.estimates import outline

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


class _Needs(NamedTuple):
    """What a model takes beside what there is, in bytes.

    Attributes:
        prunable: Parameters; 0 for unknown.
        stored: Of its weight files; None for unknown.
        memory: Free where it would be loaded; None where nobody says.
        disk: Free where it would be written.
    """

    prunable: int
    stored: int | None
    memory: int | None
    disk: int


def examine(out: Path, model: str | None) -> list[MachineFact]:
    """Look at versions, extras, devices, memory, disk, cache and login; and at what a model would take.

    Args:
        out: Where releases would be built.
        model: As for `publish`; None looks at no model.
    """
    found = [*_versions(), *_extras(), _device(), _memory(), _disk(out), _cache(), _login()]
    return [*found, *_model(model, out)] if model else found


def _versions() -> Iterator[MachineFact]:
    yield MachineFact(name="release", said=f"{__version__}, Python {platform.python_version()}, {platform.system()}")
    for name in PACKAGES:
        if installed(name):
            yield MachineFact(name=name, said=version(name) or "unknown")


def _extras() -> Iterator[MachineFact]:
    for extra, packages in EXTRAS.items():
        absent = [name for name in packages if not installed(name)]
        if absent:
            said = f"not installed ({', '.join(absent)})"
            yield MachineFact(name=f"{DISTRIBUTION}[{extra}]", said=said, ok=None, remedy=install(extra))


def _device() -> MachineFact:
    if not installed("torch"):
        return MachineFact(name="device", said="unknown without torch", ok=None, remedy=install("torch"))
    found = _torch_device()
    said = f"{found.device_name(found.choose_device('auto'))} ({machine.processor()}, {machine.cores()} cores)"
    return MachineFact(name="device", said=said)


def _torch_device() -> ModuleType:
    from release.models import device  # loads torch

    return device


def _memory() -> MachineFact:
    free = machine.memory_free()
    return MachineFact(
        name="memory", said="unknown" if free is None else f"{size(free)} free", ok=None if free is None else True
    )


def _disk(out: Path) -> MachineFact:
    return MachineFact(name="disk", said=f"{size(_disk_free(out))} free where {out} lies")


def _disk_free(out: Path) -> int:
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


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


def _model(model: str, out: Path) -> Iterator[MachineFact]:
    """What a model takes, from its config and headers; without torch, its class is not asked."""
    try:
        yield _fits(model, _with_class(model, out) if installed("torch") else _without_class(model, out))
    except ReleaseError as error:
        yield MachineFact(name=model, said=error.seen, ok=False, remedy=error.remedy)
        return
    if not installed("torch"):
        said = "its class was not asked whether it can be pruned, which takes torch"
        yield MachineFact(name=f"{model}, class", said=said, ok=None, remedy=install("torch"))


def _with_class(model: str, out: Path) -> _Needs:
    from release.preview import preview  # loads torch

    seen = preview(Plan(model=model, recipe=Recipe.of("random", share("10%"), 42), out=out, local=True))
    free = _torch_device().memory_free(_torch_device().choose_device("auto"))
    return _Needs(seen.prunable_parameters, seen.bytes_to_write, free, seen.disk_free)


def _without_class(model: str, out: Path) -> _Needs:
    """The same by names and shapes in headers; the demo, which is made with torch, is known beforehand."""
    memory, disk = machine.memory_free(), _disk_free(out)
    if model == DEMO and demo.cached() is None:
        return _Needs(demo.PRUNABLE, demo.WEIGHT_BYTES, memory, disk)
    at_hand = demo.cached() if model == DEMO else None  # else its files would be looked for anew
    found = outline(str(at_hand or model), NOTHING)
    return _Needs(sum(map(math.prod, found.prunable.values())), found.size, memory, disk)


def _fits(model: str, needs: _Needs) -> MachineFact:
    """Whether there is room for a model's weights: on disk there has to be, in memory it only makes things quicker."""
    counted = f"{needs.prunable:,} prunable parameters; " if needs.prunable else ""
    if needs.stored is None:
        return MachineFact(name=model, said=f"{counted}what its weights take is unknown", ok=None)
    disk, whole = needs.stored + SPARE, int(needs.stored * (1 + machine.BESIDE_WEIGHTS))
    said = f"{counted}needs {size(disk)} of disk, and {size(whole)} of memory where it is loaded whole"
    if disk > needs.disk:
        return MachineFact(name=model, said=said, ok=False, remedy="Make room, or give another --out.")
    if needs.memory is not None and whole > needs.memory:
        said += f", of which {size(needs.memory)} are free; block by block it is pruned and measured all the same"
        return MachineFact(name=model, said=said, ok=None, remedy="Only latency cannot be: --latency off.")
    return MachineFact(name=model, said=said)
