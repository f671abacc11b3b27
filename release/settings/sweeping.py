"""What is asked of a sweep beyond its grid."""

import re
from pathlib import Path
from typing import Annotated, Any, Self

from release.errors import BadOption
from release.format import quoted
from release.frozen import Frozen
from release.settings.option import Option

MOST_PROCESSES = 64
ADDRESS = re.compile(r"[A-Za-z0-9._-]{1,253}:[0-9]{1,5}")
DURATION, UNITS = re.compile(r"([0-9]{1,6})([smh])"), {"s": 1, "m": 60, "h": 3600}
LONGEST_JOB = 48 * 3600
HERE = "here"
"""What stands for an address where none is given: the cluster that runs on this machine, or a new one."""


def ray_address(text: str) -> str:
    """Read the address of a Ray cluster's head.

    Raises:
        BadOption: It is none.
    """
    if text == HERE or ADDRESS.fullmatch(text):
        return text
    raise BadOption(
        f"--ray {quoted(text)} is no address of a Ray cluster.",
        "Give its head as host:6379, from a machine of the cluster; or --ray alone for this machine.",
    )


def seconds(text: str) -> int:
    """Read a length of time.

    Raises:
        BadOption: It is none, or longer than Jobs may be.
    """
    found = DURATION.fullmatch(text.strip())
    if found and 0 < (length := int(found[1]) * UNITS[found[2]]) <= LONGEST_JOB:
        return length
    raise BadOption(f"--job-timeout {quoted(text)} is no length of time.", "Give one like 90m or 6h, two days at most.")


def duration(text: str) -> str:
    """Check a length of time; see `seconds`."""
    seconds(text)
    return text


class SweepOptions(Frozen):
    """How a grid is built, and which of its cells.

    Attributes:
        out: Folder that releases are built in.
        status: Only say how far it is.
        retry_failed: Whether cells that failed before are tried again.
        only: Conditions on the cells; each must hold.
        parallel: Processes at a time.
        local: Build, and upload nothing.
        ray: Address of the cluster that builds, or `HERE`; None for no cluster.
        jobs: The hardware of the Hub Jobs that build, such as a10g-small; None for no Jobs.
        job_timeout: How long a Job may take, as in 90m.
        package: What pip installs `release` from in a Job; None for where this one is from.
    """

    out: Annotated[Path, Option("--out", "Folder that releases are built in.")] = Path("releases")
    status: Annotated[bool, Option("--status", "Only show how far it is, live, from any machine that sees it.")] = False
    retry_failed: Annotated[bool, Option("--retry-failed", "Try cells again that failed before.")] = False
    only: Annotated[
        tuple[str, ...], Option("--only", "Some cells: method=wanda, sparsity=0.5, seed=43; repeatable.")
    ] = ()
    parallel: Annotated[int, Option("--parallel", "Processes at a time.", least=1, most=MOST_PROCESSES)] = 1
    local: Annotated[bool, Option("--local", "Build, upload nothing.")] = False
    ray: Annotated[
        str | None,
        Option(
            "--ray",
            "Build on a Ray cluster: its head as host:6379, or nothing for this machine.",
            read=ray_address,
            metavar="[ADDRESS]",
            shows_default=False,
            bare=HERE,
        ),
    ] = None
    jobs: Annotated[
        str | None,
        Option("--jobs", "Build as Hub Jobs on this hardware, e.g. a10g-small.", metavar="FLAVOR", shows_default=False),
    ] = None
    job_timeout: Annotated[str, Option("--job-timeout", "How long a Job may take.", read=duration, metavar="TIME")] = (
        "2h"
    )
    package: Annotated[
        str | None,
        Option("--package", "What pip installs `release` from in a Job.", shows_default="where this one is from"),
    ] = None

    @property
    def here(self) -> bool:
        """Whether this machine itself builds, and not a cluster or Jobs."""
        return self.ray is None and self.jobs is None

    @property
    def job_seconds(self) -> int:
        """How long a Job may take."""
        return seconds(self.job_timeout)

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Build it from what was asked for.

        Raises:
            BadOption: Two options contradict each other.
        """
        asked = cls(**values)
        given = {"--ray": asked.ray, "--jobs": asked.jobs, "--parallel": asked.parallel > 1}
        if len(both := [word for word, value in given.items() if value]) > 1:
            raise BadOption(f"{' and '.join(both)} exclude each other.", "Each says where cells are built; give one.")
        return asked
