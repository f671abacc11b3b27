"""The index of a published grid: the folder of a data set that holds its report, and what is said of each release."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from release import files
from release import format as text
from release.card.metadata import licence
from release.card.templates import HUB, Written
from release.card.templates import environment as markdown
from release.comparison.rows import ComparedRelease
from release.comparison.write import NAMES, report_of, write_comparison
from release.evals.forms import at_a_glance
from release.evals.line import Line
from release.names import GRID_MARK
from release.schema.record import CARD, Record

LONGEST_NOTE = 500
"""Characters that the Hub takes."""


class IndexLinks(NamedTuple):
    """What belongs to a grid besides its releases and its report.

    Attributes:
        spaces: Hub ids.
        collection: Slug.
    """

    spaces: tuple[str, ...]
    collection: str | None


def write_index(releases: Sequence[ComparedRelease], folder: Path, title: str, links: IndexLinks) -> None:
    """Write the folder of a data set: a report's four files, and a card; the same arguments give the same bytes.

    Args:
        releases: By the Hub ids of their repositories.
    """
    write_comparison(releases, folder, title)
    front = yaml.safe_dump(_front_matter(releases, title), sort_keys=False, allow_unicode=True, width=10_000)
    report = report_of(releases, title)
    context = {
        **report,
        "releases": [{**row, "name": _link("", row["name"])} for row in report["releases"]],
        "mark": Written(GRID_MARK),
        "spaces": [_link("spaces/", each) for each in links.spaces],
        "collection": Written(f"{HUB}/collections/{links.collection}") if links.collection else None,
    }
    body = markdown().get_template("comparison/index.md.j2").render(context)
    files.write(folder / CARD, f"---\n{front}---\n\n{body.strip()}\n")


def _link(kind: str, repo_id: str) -> Written:
    return Written(f"[{text.markdown(repo_id)}]({HUB}/{kind}{repo_id})")


def _front_matter(releases: Sequence[ComparedRelease], title: str) -> dict[str, object]:
    methods = dict.fromkeys(each.record.pruning.method for each in releases if each.record)
    return {
        "pretty_name": title,
        **_licence(releases),
        "tags": ["pruning", "model-compression", "bias-evaluation", *methods],
        "configs": [{"config_name": "default", "data_files": NAMES[-1]}],
    }


def _licence(releases: Sequence[ComparedRelease]) -> dict[str, object]:
    """The licences of the releases that a report is of, in the Hub's fields; `unknown` is its id where none is stated.

    A file that one names lies in a release's repository, and not in the data set's.
    """
    found = {each.name: licence(each.record.base.licence) for each in releases if each.record}
    ids = list(dict.fromkeys(fields.get("license") or "unknown" for fields in found.values()))
    if len(ids) != 1:
        return {"license": ids} if ids else {}
    name, fields = next(iter(found.items()))
    link = fields.get("license_link")
    at = link if link is None or "://" in link else f"{HUB}/{name}/blob/main/{link}"
    facts = {**fields, "license": ids[0], "license_link": at}
    return {key: value for key, value in facts.items() if value is not None}


def note(record: Record) -> str:
    """Say in a few sentences what a release is and how its headline metrics changed, as far as the Hub takes them."""
    recipe, release = record.pruning, ComparedRelease.built_here(record)
    pattern = f" {recipe.pattern}" if recipe.pattern else ""
    said = f"{recipe.method}{pattern}, seed {recipe.seed}: {text.percent(release.zeros)} zeros."
    for line in release.headlines:
        if len(longer := f"{said} {_change(line)}") > LONGEST_NOTE:
            break
        said = longer
    return said


def _change(line: Line) -> str:
    cells = at_a_glance(line)
    interval = "" if line.change.low is None else f" (95 % interval {cells.interval})"
    return f"{line.metric.titled}{line.suffix}: {cells.dense} → {cells.pruned}, {cells.change}{interval}."
