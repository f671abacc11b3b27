"""What was checked, and with what answer."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType

from release.format import percent, shown
from release.report.display import NOTHING, display, listing

if TYPE_CHECKING:
    from release.verification.verify import Verification

MARKS = {True: "ok", False: "FAILED", None: "not checked"}


def show_verification(verification: "Verification", as_json: bool, following: Mapping[str, str] = NOTHING) -> None:
    """Show every check and its answer, and what follows where none failed."""
    display(verification.model_dump(mode="json"), as_json, _tables(verification), following if verification.ok else {})


def after_verify(path_or_repo: str, base: str | None) -> dict[str, str]:
    """What follows a release that verified: more of the same, or what it is for."""
    name = shlex.quote(path_or_repo)
    if base is None:
        return {"Prove more": f"release verify {name} --base MODEL --rebuild"}
    if (Path(path_or_repo) / "space").is_dir():
        return {"See it": f"release demo {name}", "Upload it": f"release push {name}"}
    return {}


def _tables(verification: "Verification") -> Iterator[RenderableType]:
    v = verification
    target = percent(None if v.target_sparsity is None else float(v.target_sparsity))
    yield shown(v.verdict) + (f" Not proven: {'; '.join(map(shown, v.unproven))}." if v.unproven else "")
    yield ""
    yield listing(
        "",
        {
            **_counted(v),
            "Method": "unknown" if v.method is None else f"{v.method}, seed {v.seed}, target {target}",
        },
    )
    yield ""
    width = max((len(check.name) for check in v.checks), default=0)
    for check in v.checks:
        yield f"{MARKS[check.ok]:<11}  {shown(check.name):<{width}}  {shown(check.detail)}"
    if v.since is not None:
        yield ""
        yield from v.since.lines()


def _counted(v: "Verification") -> dict[str, str]:
    if v.actual_sparsity is None:
        return {"Actual sparsity": "unknown: no weights were read"}
    zeroed = f"{v.zeroed_parameters:,} of {v.prunable_parameters:,} prunable"
    return {"Actual sparsity": percent(v.actual_sparsity, 4), "Zeroed": zeroed}
