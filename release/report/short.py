"""What takes a few lines."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from release.extras import DISTRIBUTION
from release.format import size, visible
from release.report.display import NOTHING, display, listing

if TYPE_CHECKING:
    from release.commands.cache import CachePart
    from release.commands.doctor import MachineFact
    from release.hub.watch import Watched
    from release.pruning.method import Method
    from release.verification.standing import Reported


def show_watched(watched: "Sequence[Watched]", as_json: bool) -> None:
    """Show what watches repositories, or would."""
    facts = {"watched": [each.model_dump(mode="json") for each in watched]}
    display(facts, as_json, [visible(line) for each in watched for line in each.lines()])


def show_reported(reported: "Sequence[Reported]", as_json: bool) -> None:
    """Show what checks came to that were reported elsewhere."""
    facts = {"reported": [each.model_dump(mode="json") for each in reported]}
    display(facts, as_json, [visible(f"{each.repository}: {each.said}") for each in reported])


def show_facts(facts: Mapping[str, Any], as_json: bool, following: Mapping[str, str] = NOTHING) -> None:
    """Show a few named facts; people see those that there are, and the command lines that follow."""
    named = {key.replace("_", " "): str(value) for key, value in facts.items() if value not in (None, [], ())}
    display(dict(facts), as_json, [listing("", named)], following)


def show_changes(changes: str, as_json: bool) -> None:
    """Show how a card would change."""
    lines = "\n".join(map(visible, changes.split("\n"))) or "The card would stay as it is."
    display({"changed": bool(changes), "difference": changes}, as_json, [lines])


ONE_MORE = {"See what one takes": "release doctor phi-3.5"}
"""What follows the list of models."""
LOOKS_AT = {
    "nothing": "the weights alone",
    "norms": "weights, and the norm of each input over calibration text",
    "gram": "weights, and products of inputs over calibration text",
}
"""What a method needs → what it looks at."""


def show_findings(found: "Sequence[MachineFact]", as_json: bool) -> None:
    """Show what was found of this machine; what is amiss with what mends it."""
    words = {True: "ok", None: "note", False: "FAILED"}
    facts = {each.name: f"{words[each.ok]:<7} {' '.join(filter(None, (each.said, each.remedy)))}" for each in found}
    ok = all(each.ok is not False for each in found)
    display(
        {"ok": ok, "found": [each.model_dump(mode="json") for each in found]},
        as_json,
        [listing("", facts)],
        _after(found),
    )


def _after(found: "Sequence[MachineFact]") -> dict[str, str]:
    """What follows where nothing is amiss: a release, for which torch has to be there."""
    if lacking := next((each for each in found if each.name == f"{DISTRIBUTION}[torch]"), None):
        return {"Install what prunes and measures": lacking.remedy}
    first = "release publish demo --method random --sparsity 10% --local"
    return {"Make a release": first} if all(each.ok is not False for each in found) else {}


def show_cache(parts: "Sequence[CachePart]", as_json: bool, gone: bool = False) -> None:
    """Show parts of the cache, or those that were removed."""
    facts = {part.name: f"{size(part.bytes):>9}  {part.what}" for part in parts}
    total = sum(part.bytes for part in parts)
    title = f"Removed {size(total)}:" if gone else f"{size(total)}; `release cache --clear NAME` removes a part:"
    data = {"removed" if gone else "parts": [part.model_dump(mode="json") for part in parts], "bytes": total}
    display(data, as_json, [listing(title, facts)])


def show_methods(methods: "Iterable[Method]", as_json: bool) -> None:
    """List the pruning methods: what each looks at, where weights compete, and its paper."""
    listed = list(methods)
    rows = [
        {
            "key": method.key,
            "title": method.title,
            "looks_at": LOOKS_AT[method.needs],
            "scopes": method.scopes,
            "paper": method.paper and f"{method.paper.title} ({method.paper.year})",
        }
        for method in listed
    ]
    lines = [
        f"{method.key:<10} {method.title}: looks at {LOOKS_AT[method.needs]}; scope {' or '.join(method.scopes)}."
        for method in listed
    ]
    following = {"Use one": f"release publish demo --method {listed[0].key} --sparsity 10% --local"}
    display({"methods": rows}, as_json, lines, following)


def show_models(models: Mapping[str, str], notes: Mapping[str, str], as_json: bool) -> None:
    """List the aliases, with what is to be known of some."""
    told = {alias: f"{name}  ({notes[alias]})" if alias in notes else name for alias, name in models.items()}
    display({"models": dict(models), "notes": dict(notes)}, as_json, [listing("", told)], ONE_MORE)
