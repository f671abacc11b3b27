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


class SweepOptions(Frozen):
    """How a grid is built, and which of its cells.

    Attributes:
        out: Folder that releases are built in.
        status: Only say how far it is.
        retry_failed: Whether cells that failed before are tried again.
        only: Conditions on the cells; each must hold.
        parallel: Processes at a time.
        local: Build, and upload nothing.
        ray: Address of the cluster that builds, or `HERE`; None for this machine alone.
    """

    out: Annotated[Path, Option("--out", "Folder that releases are built in.")] = Path("releases")
    status: Annotated[bool, Option("--status", "Only show how far it is; from any machine that sees the folder.")] = (
        False
    )
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

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Build it from what was asked for.

        Raises:
            BadOption: Two options contradict each other.
        """
        asked = cls(**values)
        if asked.ray and asked.parallel > 1:
            raise BadOption(
                "--ray and --parallel exclude each other.", "Leave --parallel out: each task reserves its processors."
            )
        return asked
