"""Joins a Ray cluster, or starts one here, and asks its machines whether a sweep can run on them."""

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from release import __version__
from release.errors import UnusableCluster
from release.format import shown
from release.machine import cores
from release.settings.sweeping import HERE

CONNECTED_WITHIN, ANSWERED_WITHIN = 4.0, 10.0
"""Seconds for a connection, and for an answer by it; Ray itself tries for two minutes."""
ASKED_WITHIN = 90.0
"""Seconds for a machine to start a process and to see the sweep's folder."""
SEEN_WITHIN = 30.0
OBJECTS = 200 << 20
"""Bytes of shared memory of a cluster started here: paths and small dictionaries travel, never weights."""
ASK_FOR_IT = (
    "Give the address of its head, host:6379, from a machine that belongs to it; or --ray alone for this machine."
)


class ClusterNode(NamedTuple):
    """A machine of a cluster.

    Attributes:
        resources: What it has, as Ray names it.
    """

    id: str
    name: str
    resources: dict[str, float]


@contextmanager
def joined(address: str) -> Iterator[list[ClusterNode]]:
    """Be part of a cluster; gives its machines.

    Args:
        address: Of its head, or `HERE`.

    Raises:
        UnusableCluster: Nobody answers there, or what answers is another version of Ray.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # a sweep is told to nobody
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address != HERE:
        _require_answer(address)
    elif not _answers(None):
        quiet |= {"include_dashboard": False, "object_store_memory": OBJECTS, "num_cpus": cores()}
        address = "local"
    with redirect_stdout(sys.stderr):  # Ray prints what machines report, and stdout is for the command's result
        try:
            ray.init("auto" if address == HERE else address, **quiet)
        except (ConnectionError, RuntimeError, RayError) as error:
            raise UnusableCluster(f"The Ray cluster cannot be joined: {shown(str(error))[:500]}", ASK_FOR_IT) from None
        try:
            yield [_node(each) for each in ray.nodes() if each["Alive"]]
        finally:
            ray.shutdown()


def _node(told: dict[str, Any]) -> ClusterNode:
    name = f"{told['NodeManagerHostname']} ({told['NodeManagerAddress']})"
    return ClusterNode(told["NodeID"], shown(name), dict(told["Resources"]))


def _require_answer(address: str) -> None:
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=CONNECTED_WITHIN).close()
    except (OSError, OverflowError) as error:
        raise UnusableCluster(f"Nobody answers at {address} ({error}).", ASK_FOR_IT) from None
    if not _answers(address):
        seen = f"What answers at {address} is no Ray cluster of version {ray.__version__}, or took too long."
        raise UnusableCluster(seen, ASK_FOR_IT)


def _answers(address: str | None) -> bool:
    """Whether a cluster is there, asked by a process that can be given up: Ray itself cannot."""
    words = ["--address", address] if address else []
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", *words]
    try:
        return not subprocess.run(command, capture_output=True, check=False, timeout=ANSWERED_WITHIN).returncode
    except subprocess.TimeoutExpired:
        return False


def require_alike(nodes: Sequence[ClusterNode], marker: Path) -> None:
    """Refuse a cluster of which a machine lacks this version of `release`, or does not see the sweep's folder.

    Args:
        marker: A file of the sweep's folder.

    Raises:
        UnusableCluster: Names each such machine, and what it lacks.
    """
    wanted = hashlib.sha256(marker.read_bytes()).hexdigest()
    nodes = [node for node in nodes if node.resources.get("CPU")]  # a head often builds nothing
    asked = [_asked(node).remote(str(marker), wanted, SEEN_WITHIN) for node in nodes]
    ray.wait(asked, num_returns=len(asked), timeout=ASKED_WITHIN)
    wrong = [f"{node.name} {why}" for node, each in zip(nodes, asked, strict=True) if (why := _lacking(each))]
    if wrong:
        remedy = f"Install release {__version__} there, mount the same folder, or take the machine out of the cluster."
        raise UnusableCluster(f"Not every machine of the cluster can build releases: {'; '.join(wrong)}.", remedy)


def _asked(node: ClusterNode) -> Any:
    """A task for one machine; being no module's own it travels whole, and runs where nothing is installed."""

    def told(marker: str, wanted: str, within: float) -> tuple[str | None, bool]:
        # Asked of a process like the ones that build: this one has the driver's import path before its own.
        command = [sys.executable, "-P", "-c", "import release; print(release.__version__)"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        version = asked.stdout.strip() if asked.returncode == 0 else None
        ends = time.monotonic() + within
        while True:
            seen = os.path.isfile(marker) and hashlib.sha256(Path(marker).read_bytes()).hexdigest() == wanted  # noqa: PTH113
            if seen or time.monotonic() > ends:
                return version, seen
            time.sleep(0.5)

    there = NodeAffinitySchedulingStrategy(node.id, soft=False)
    return ray.remote(num_cpus=0, max_retries=0, max_calls=1, scheduling_strategy=there)(told)


def _lacking(answer: "ray.ObjectRef[Any]") -> str | None:
    try:
        version, sees = ray.get(answer, timeout=0)
    except RayError as error:  # a time-out is one, too
        return f"gave no answer ({shown(type(error).__name__)})"
    if version is None:
        return "has no package release"
    if version != __version__:
        return f"has release {shown(version)}, not {__version__}"
    return None if sees else "does not see the folder of this sweep"
