"""What the cells of a task need of a machine, and what this one, or every machine of a cluster, lacks of it."""

from collections.abc import Iterable, Mapping, Sequence

from release import children
from release.devices import require_possible
from release.errors import BadOption
from release.sweep.grid import GridCell
from release.sweep.job import Sweep

Resources = Mapping[str, float]
"""As Ray names them: `CPU`, `GPU`, `memory` in bytes, and whatever marks a machine, such as `mps`."""

WORDS = {"CPU": "processors", "GPU": "GPUs", "memory": "bytes of memory", "mps": "Apple GPUs (`--resources mps`)"}
GPUS = ("cuda", "xpu")
ELSEWHERE = "Or leave such cells out with --only, or build them elsewhere: --ray, --jobs."
TRAVELS = ("RELEASE_", "HF_ENDPOINT", "HF_HUB_OFFLINE")
"""Beginnings of the environment variables that a worker gets from its driver; secrets stay."""


def require_devices(job: Sweep, *, retry_failed: bool) -> None:
    """Refuse to build cells here on a device that cannot be here; those that are built elsewhere are not asked.

    Args:
        retry_failed: Whether cells that failed before are built, too.

    Raises:
        BadOption: Names a cell that is still to be built, and the device.
    """
    refused: dict[str, BadOption] = {}
    for device in {cell.plan.measuring.device for cell in job.cells}:
        try:
            require_possible(device)
        except BadOption as error:
            refused[device] = error
    settled = ("done",) if retry_failed else ("done", "failed")
    for cell in job.cells:
        why = refused.get(cell.plan.measuring.device)
        if why and job.board.state(cell).status not in settled:
            raise BadOption(f"{cell.key} cannot be built here. {why.seen}", f"{why.remedy} {ELSEWHERE}")


def demands(cells: Sequence[GridCell], nodes: Sequence[Resources], size: int | None, allowed: int | None) -> Resources:
    """Return what a worker for some cells reserves.

    Args:
        cells: Of one task.
        nodes: What each machine has.
        size: Bytes of the base's weights, where they are known: a model that is read whole takes them. One that is
            larger than any machine is read block by block, so no more is reserved than the largest machine has.
        allowed: Bytes that the user lets a worker hold; they are reserved whatever the size.
    """
    threads = max(cell.plan.threads for cell in cells)
    found = {"CPU": float(threads or 1)}
    kind = cells[0].plan.measuring.device.partition(":")[0]
    if kind in GPUS or (kind == "auto" and any(node.get("GPU") for node in nodes)):
        found["GPU"] = 1.0
    if kind == "mps":
        found["mps"] = 1.0
    largest = max((node.get("memory", 0.0) for node in nodes), default=0.0)
    memory = float(allowed) if allowed else min(float(size or 0), largest)
    return {**found, "memory": memory} if memory else found


def unmet(needed: Resources, nodes: Iterable[Resources]) -> str | None:
    """Say why no single machine can do it; None where one can. A task that fits nowhere would wait for ever."""
    found = list(nodes)
    if any(_fits(needed, node) for node in found):
        return None
    lacking = [name for name in needed if not any(node.get(name, 0.0) >= needed[name] for node in found)]
    told = [
        f"{needed[name]:,.0f} {WORDS[name]} (the most on one machine: {_most(name, found):,.0f})" for name in lacking
    ]
    return f"It needs {' and '.join(told)}." if told else "No one machine has all that it needs together."


def _fits(needed: Resources, node: Resources) -> bool:
    return all(node.get(name, 0.0) >= amount for name, amount in needed.items())


def _most(name: str, nodes: Sequence[Resources]) -> float:
    return max((node.get(name, 0.0) for node in nodes), default=0.0)


def variables(needed: Resources, here: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of a worker on another machine.

    Args:
        needed: What it reserves: it computes with as many threads as that has processors.
        here: Those of the driver.
    """
    found = {
        name: value for name, value in here.items() if name.startswith(TRAVELS) and not children.SECRET.search(name)
    }
    found["OMP_NUM_THREADS"] = f"{needed['CPU']:.0f}"
    if "GPU" not in needed:
        found["CUDA_VISIBLE_DEVICES"] = ""  # Ray shows every GPU to a task that asks for none
    return found
