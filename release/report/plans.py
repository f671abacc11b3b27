"""What would be done."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table

from release.format import listed, percent, shown, visible
from release.format import size as human
from release.report.display import SAME_LINE, display, left_dense, listing

if TYPE_CHECKING:
    from release.hub import PushPlan
    from release.preview import Preview
    from release.publishing.unasked import UnaskedPush


def show_previews(previews: "Sequence[Preview]", as_json: bool) -> None:
    """Show what would be done for one or several."""
    if len(previews) == 1:
        show_preview(previews[0], as_json)
        return
    facts = {"releases": [preview.model_dump(mode="json") for preview in previews]}
    display(facts, as_json, [table for preview in previews for table in _tables(preview)], SAME_LINE)


def show_preview(preview: "Preview", as_json: bool) -> None:
    """Show what would be done."""
    display(preview.model_dump(mode="json"), as_json, _tables(preview), SAME_LINE)


def show_push_plan(plan: "PushPlan | UnaskedPush", as_json: bool) -> None:
    """Show what a push would do."""
    display(plan.model_dump(mode="json"), as_json, [visible(line) for line in plan.lines()], SAME_LINE)


def _tables(preview: "Preview") -> Iterator[RenderableType]:
    size = preview.bytes_to_write
    yield listing(
        "",
        {
            "Release": preview.name,
            "Method": f"{preview.method}, seed {preview.seed}, target {percent(float(preview.target_sparsity))}",
            "Prunable": f"{preview.prunable_parameters:,} (from {preview.counted_from})",
            "To zero": f"{preview.zeroed_parameters:,}",
            **left_dense(preview.left_dense),
            "To write": "unknown" if size is None else human(size),
            "To upload": "unknown" if preview.bytes_to_upload is None else human(preview.bytes_to_upload),
            "Disk free": human(preview.disk_free) + _too_little(preview),
            **({"BBQ": str(preview.sample)} if preview.sample else {}),
            **({"Masks": _masks(preview.seeds)} if len(preview.seeds) > 1 else {}),
            "Repositories": ", ".join(preview.repositories) or "none (--local)",
            **({"Left behind": listed(preview.left_behind)} if preview.left_behind else {}),
            **({"The Hub": preview.not_asked} if preview.not_asked else {}),
        },
    )
    if preview.hub:
        yield from (visible(line) for line in ("", *preview.hub.lines(), ""))
    table = Table(title="Prunable modules", title_justify="left", box=None, pad_edge=False)
    table.add_column("module")
    table.add_column("tensors", justify="right")
    table.add_column("parameters", justify="right")
    for module in preview.modules:
        table.add_row(shown(module.module), f"{module.tensors:,}", f"{module.parameters:,}")
    yield table


def _too_little(preview: "Preview") -> str:
    needed = preview.disk_needed
    return f", of {human(needed)} needed: make room first" if needed and needed > preview.disk_free else ""


def _masks(seeds: Sequence[int]) -> str:
    return f"{len(seeds)} measured, seeds {seeds[0]} to {seeds[-1]}; the first is published"
