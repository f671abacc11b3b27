"""What a command's result looks like: one JSON object on stdout, or plain tables for people."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table

from release.checkpoint.prunable import LeftDense
from release.evals.claims import across, decide
from release.evals.forms import ends, number, on_screen
from release.evals.metrics import phrase
from release.evals.registry import EVALS
from release.format import escaped, listed, shown, visible
from release.pipeline import Release
from release.progress import Screen
from release.pruning.method import Method
from release.schema.measurements import Measurements
from release.schema.record import ClaimRecord, Pruning
from release.values import Estimate
from release.verification.verify import Verification

if TYPE_CHECKING:
    from release.hub import Pushed, PushPlan
    from release.hub.watch import Watched
    from release.preview import Preview
    from release.verification.standing import Reported

MARKS = {True: "ok", False: "FAILED", None: "not checked"}
WIDTH = 160
"""Columns a table may take where the terminal has fewer, or where there is none."""
MOST_LISTED = 5
"""Lists of blocks named on screen; the record holds all."""

VARYING = ("srs", "lean", "log_perplexity")
"""What is told of the spread between masks."""


def show_releases(releases: Sequence[Release], as_json: bool) -> None:
    """Show finished releases that were made together: one as itself, several one after the other."""
    if len(releases) == 1:
        show_release(releases[0], as_json)
        return
    adjusted = across([release.record for release in releases])
    facts = {
        "ok": True,
        "releases": [_release_facts(release) for release in releases],
        "adjusted_over_all": [{"release": name, "claim": key, "p": p} for (name, key), p in adjusted.items()],
    }
    _print(facts, as_json, [_facts("", _release_lines(release)) + "\n" for release in releases])


def show_release(release: Release, as_json: bool) -> None:
    """Show a finished release: where it lies, what was counted, what was measured."""
    _print(_release_facts(release), as_json, _release_tables(release))


def _release_facts(release: Release) -> dict[str, Any]:
    audit = release.record.audit
    return {
        "ok": True,
        "folder": str(release.folder),
        "name": release.record.name,
        **audit.model_dump(mode="json", include={"target_sparsity", "actual_sparsity"}),
        **audit.model_dump(include={"prunable_parameters", "zeroed_parameters", "zeros_before"}),
        "files": [file.model_dump() for file in audit.files],
        "measurements": release.record.measurements.model_dump(mode="json"),
        "claims": {claim.key: claim.verdict for claim in release.record.claims},
        "published": release.pushed.model_dump(mode="json") if release.pushed else None,
    }


def show_verification(verification: Verification, as_json: bool) -> None:
    """Show every check and its answer."""
    _print(verification.model_dump(mode="json"), as_json, _verification_tables(verification))


def show_previews(previews: "Sequence[Preview]", as_json: bool) -> None:
    """Show what would be done for one or several."""
    if len(previews) == 1:
        show_preview(previews[0], as_json)
        return
    facts = {"releases": [preview.model_dump(mode="json") for preview in previews]}
    _print(facts, as_json, [table for preview in previews for table in _preview_tables(preview)])


def show_preview(preview: "Preview", as_json: bool) -> None:
    """Show what would be done."""
    _print(preview.model_dump(mode="json"), as_json, _preview_tables(preview))


def show_push_plan(plan: "PushPlan", as_json: bool) -> None:
    """Show what a push would do."""
    _print(plan.model_dump(mode="json"), as_json, [visible(line) for line in plan.lines()])


def show_measurements(measurements: Measurements, as_json: bool) -> None:
    """Show what was measured on a pair of models, and what may be said of it."""
    claims = decide(None, measurements)
    facts = measurements.model_dump(mode="json") | {"claims": [claim.model_dump(mode="json") for claim in claims]}
    _print(facts, as_json, [_measured(measurements), "", _verdicts(claims)])


def show_watched(watched: "Sequence[Watched]", as_json: bool) -> None:
    """Show what watches repositories, or would."""
    facts = {"watched": [each.model_dump(mode="json") for each in watched]}
    _print(facts, as_json, [visible(line) for each in watched for line in each.lines()])


def show_reported(reported: "Sequence[Reported]", as_json: bool) -> None:
    """Show what checks came to that were reported elsewhere."""
    facts = {"reported": [each.model_dump(mode="json") for each in reported]}
    _print(facts, as_json, [visible(f"{each.repository}: {each.said}") for each in reported])


def show_facts(facts: Mapping[str, Any], as_json: bool) -> None:
    """Show a few named facts; people see those that there are."""
    named = {key.replace("_", " "): str(value) for key, value in facts.items() if value not in (None, [], ())}
    _print(dict(facts), as_json, [_facts("", named)])


def show_changes(changes: str, as_json: bool) -> None:
    """Show how a card would change."""
    lines = "\n".join(map(visible, changes.split("\n"))) or "The card would stay as it is."
    _print({"changed": bool(changes), "difference": changes}, as_json, [lines])


def show_methods(methods: Iterable[Method], as_json: bool) -> None:
    """List the pruning methods."""
    rows = [{"key": m.key, "title": m.title, "paper": m.paper and f"{m.paper.title} ({m.paper.year})"} for m in methods]
    _print({"methods": rows}, as_json, [_facts("", {str(r["key"]): str(r["paper"] or r["title"]) for r in rows})])


def show_models(models: Mapping[str, str], as_json: bool) -> None:
    """List the aliases."""
    _print({"models": dict(models)}, as_json, [_facts("", models)])


def _takes_all(console: Screen) -> bool:
    """Whether every letter can be printed; on Windows that is not so of a pipe or file."""
    return console.encoding.lower().replace("-", "").startswith("utf")


def _print(data: dict[str, Any], as_json: bool, tables: Iterable[RenderableType]) -> None:
    console = Screen(highlight=False, soft_wrap=True, emoji=False)
    console.width = max(console.width, WIDTH)  # a cell that is cut short loses what it says
    if as_json:
        console.print(escaped(json.dumps(data, indent=2, ensure_ascii=not _takes_all(console))), markup=False)
        return
    for table in tables:
        console.print(table, markup=False)


def _facts(title: str, facts: Mapping[str, str]) -> str:
    """Write one fact a line; lines are never broken, so that what is read from a pipe is whole."""
    named = {shown(name): shown(value) for name, value in facts.items()}
    width = max(map(len, named), default=0)
    lines = [f"{name:<{width}}  {value}".rstrip() for name, value in named.items()]
    return "\n".join([title, *lines] if title else lines)


def _release_tables(release: Release) -> Iterator[RenderableType]:
    record = release.record
    yield _facts("", _release_lines(release))
    yield ""
    yield _measured(record.measurements)
    yield ""
    yield _verdicts(record.claims)
    if release.pushed:
        yield ""
        yield _facts("Published", _published(release.pushed))


def _verdicts(claims: Iterable[ClaimRecord]) -> str:
    verdicts = {claim.key.replace("_", " "): claim.verdict for claim in claims}
    return _facts("What this evidence says (the reasons are on the card)", verdicts)


def _published(pushed: "Pushed") -> dict[str, str]:
    """Say where it lies, and what of the rest there is."""
    rest = {"Tag": pushed.tag, "Collection": pushed.collection, "The Space says": pushed.answer}
    proposed = {"Proposed": ", ".join(pushed.pull_requests)} if pushed.pull_requests else {}
    found = {name: fact for name, fact in rest.items() if fact}
    return {"Model": pushed.model_url, "Space": pushed.space_url or "none", **proposed, **found}


def _release_lines(release: Release) -> dict[str, str]:
    record = release.record
    audit = record.audit
    return {
        "Release": str(release.folder),
        "Base": record.base.id,
        "Method": f"{record.pruning.method}, seed {record.pruning.seed}",
        "Target sparsity": f"{audit.target_sparsity:.2%}",
        "Actual sparsity": f"{audit.actual_sparsity:.4%}",
        "Zeroed": f"{audit.zeroed_parameters:,} of {audit.prunable_parameters:,} prunable "
        f"({audit.zeros_before:,} were zero before)",
        **_left(audit.left_dense),
        **_pruned_in(record.pruning),
        **{f"SHA-256 of {file.name}": file.sha256 for file in audit.files},
    }


def _left(lists: Sequence[LeftDense]) -> dict[str, str]:
    """What is told of blocks that stay dense, where there are any."""
    names = ", ".join(f"{each.blocks} ({each.parameters:,} weights)" for each in lists[:MOST_LISTED])
    more = f" and {len(lists) - MOST_LISTED} more" if len(lists) > MOST_LISTED else ""
    return {"Left dense": shown(names + more)} if lists else {}


def _pruned_in(pruning: Pruning) -> dict[str, str]:
    return {} if pruning.seconds is None else {"Pruned in": f"{pruning.seconds:.1f} s"}


def _measured(measurements: Measurements) -> Table:
    table = Table(title="Measured", title_justify="left", box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for column in ("dense", "pruned", "change", "95 % interval", "n"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in _rows(measurements):
        table.add_row(*row)
    return table


def _rows(measurements: Measurements) -> Iterator[tuple[str, ...]]:
    for row in EVALS:
        for found in row.results(measurements):
            yield from (on_screen(line) for line in row.lines(found) if line.metric.screen)
    yield from _between_masks(measurements)


def _between_masks(measurements: Measurements) -> Iterator[tuple[str, ...]]:
    if found := measurements.masks:
        for name in VARYING:
            deviation: Estimate = getattr(found, name).deviation
            cells = (number(deviation.value, ".4f"), ends(deviation, ".4f"))
            yield f"SD between masks, {phrase(name)}", "", "", *cells, f"{len(found.masks)}"


def _verification_tables(verification: Verification) -> Iterator[RenderableType]:
    v = verification
    yield shown(v.verdict) + (f" Not proven: {'; '.join(map(shown, v.unproven))}." if v.unproven else "")
    yield ""
    yield _facts(
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


def _counted(v: Verification) -> dict[str, str]:
    if v.actual_sparsity is None:
        return {"Actual sparsity": "unknown: no weights were read"}
    zeroed = f"{v.zeroed_parameters:,} of {v.prunable_parameters:,} prunable"
    return {"Actual sparsity": f"{v.actual_sparsity:.4%}", "Zeroed": zeroed}


def _masks(seeds: Sequence[int]) -> str:
    return f"{len(seeds)} measured, seeds {seeds[0]} to {seeds[-1]}; the first is published"


def _preview_tables(preview: "Preview") -> Iterator[RenderableType]:
    size = preview.bytes_to_write
    yield _facts(
        "",
        {
            "Release": preview.name,
            "Method": f"{preview.method}, seed {preview.seed}, target {preview.target_sparsity:.2%}",
            "Prunable": f"{preview.prunable_parameters:,} (from {preview.counted_from})",
            "To zero": f"{preview.zeroed_parameters:,}",
            **_left(preview.left_dense),
            "To write": "unknown" if size is None else f"{size:,} bytes",
            "To upload": "unknown" if preview.bytes_to_upload is None else f"{preview.bytes_to_upload:,} bytes",
            "Disk free": f"{preview.disk_free:,} bytes",
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
