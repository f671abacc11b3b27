"""A finished release: where it lies, what was counted, what was measured."""

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from release.evals.claims import across
from release.format import percent, seconds
from release.report.display import display, left_dense, listing
from release.report.measurements import measured, verdicts

if TYPE_CHECKING:
    from release.build import Release
    from release.hub import Pushed
    from release.schema.record import Pruning


def show_releases(releases: "Sequence[Release]", as_json: bool) -> None:
    """Show finished releases that were made together: one as itself, several one after the other."""
    if len(releases) == 1:
        show_release(releases[0], as_json)
        return
    adjusted = across([release.record for release in releases])
    facts = {
        "ok": True,
        "releases": [_facts_of(release) for release in releases],
        "adjusted_over_all": [{"release": name, "claim": key, "p": p} for (name, key), p in adjusted.items()],
    }
    names = " ".join(shlex.quote(str(release.folder)) for release in releases)
    following = {"Compare them": f"release report {names}", "Check one": _next(releases[0])["Check it"]}
    display(facts, as_json, [listing("", _lines(release)) + "\n" for release in releases], following)


def show_release(release: "Release", as_json: bool) -> None:
    """Show a finished release: where it lies, what was counted, what was measured."""
    display(_facts_of(release), as_json, _tables(release), _next(release))


def _facts_of(release: "Release") -> dict[str, Any]:
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


def _tables(release: "Release") -> Iterator[RenderableType]:
    record = release.record
    yield listing("", _lines(release))
    yield ""
    yield measured(record.measurements)
    yield ""
    yield verdicts(record.claims)
    if release.pushed:
        yield ""
        yield listing("Published", _published(release.pushed))


def _next(release: "Release") -> dict[str, str]:
    """The command lines that people go on with."""
    if release.pushed:
        return after_push(release.pushed.model_url)
    folder = shlex.quote(str(release.folder))
    check = {"Check it": f"release verify {folder}"}
    if not (release.folder / "space").is_dir():
        return check
    return {"See it": f"release demo {folder}", **check, "Upload it": f"release push {folder}"}


def after_push(model_url: str) -> dict[str, str]:
    """What follows a release that was published."""
    return {"Check it": f"release verify {'/'.join(model_url.split('/')[-2:])}"}


def _published(pushed: "Pushed") -> dict[str, str]:
    """Say where it lies, and what of the rest there is."""
    rest = {"Tag": pushed.tag, "Collection": pushed.collection, "The Space says": pushed.answer}
    proposed = {"Proposed": ", ".join(pushed.pull_requests)} if pushed.pull_requests else {}
    found = {name: fact for name, fact in rest.items() if fact}
    return {"Model": pushed.model_url, "Space": pushed.space_url or "none", **proposed, **found}


def _lines(release: "Release") -> dict[str, str]:
    record = release.record
    audit = record.audit
    return {
        "Release": str(release.folder),
        "Base": record.base.id,
        "Method": f"{record.pruning.method}, seed {record.pruning.seed}",
        "Target sparsity": percent(float(audit.target_sparsity)),
        "Actual sparsity": percent(audit.actual_sparsity, 4),
        "Zeroed": f"{audit.zeroed_parameters:,} of {audit.prunable_parameters:,} prunable "
        f"({audit.zeros_before:,} were zero before)",
        **left_dense(audit.left_dense),
        **_pruned_in(record.pruning),
        **{f"SHA-256 of {file.name}": file.sha256 for file in audit.files},
    }


def _pruned_in(pruning: "Pruning") -> dict[str, str]:
    return {} if pruning.seconds is None else {"Pruned in": seconds(pruning.seconds)}
