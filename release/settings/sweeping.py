"""What is asked of a sweep beyond its grid."""

from pathlib import Path
from typing import Annotated

from release.frozen import Frozen
from release.settings.option import Option

MOST_PROCESSES = 64


class SweepOptions(Frozen):
    """How a grid is built, and which of its cells.

    Attributes:
        out: Folder that releases are built in.
        status: Only say how far it is.
        retry_failed: Whether cells that failed before are tried again.
        only: Conditions on the cells; each must hold.
        parallel: Processes at a time.
        local: Build, and upload nothing.
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
