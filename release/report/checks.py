"""What was checked, and with what answer."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderableType

from release.format import shown
from release.report.display import display, listing

if TYPE_CHECKING:
    from release.verification.verify import Verification

MARKS = {True: "ok", False: "FAILED", None: "not checked"}


def show_verification(verification: "Verification", as_json: bool) -> None:
    """Show every check and its answer."""
    display(verification.model_dump(mode="json"), as_json, _tables(verification))


def _tables(verification: "Verification") -> Iterator[RenderableType]:
    v = verification
    yield shown(v.verdict) + (f" Not proven: {'; '.join(map(shown, v.unproven))}." if v.unproven else "")
    yield ""
    yield listing(
        "",
        {
            **_counted(v),
            "Method": "unknown" if v.method is None else f"{v.method}, seed {v.seed}, target {v.target_sparsity:.2%}",
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
    return {"Actual sparsity": f"{v.actual_sparsity:.4%}", "Zeroed": zeroed}
