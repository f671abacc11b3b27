"""What a stranger's card states about a model, found by the words of its tables and lists.

Figures that a card quotes from a paper are left alone.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from card_text import Row, lines_of, plain, rows_of, split
from facts import HUB_ID, Facts, Measured, Values, one_line, whole_sentences
from metrics import METRICS

NAME = "README.md"
LARGEST = 2_000_000
"""Characters of a card that are read."""
MOST_CAVEATS = 6

CONFIGURATION = (
    ("Method", r"method|pruning method"),
    ("Target sparsity", r"target sparsity"),
    ("Actual sparsity", r"actual sparsity( achieved)?"),
    ("Zeroed", r"zeroed (parameters|weights)"),
)
RESEARCH = re.compile(r"\bresearch[ -](artefact|artifact|only)", re.IGNORECASE)
PAPER = re.compile(r"arxiv(?::|\.org/abs/)(\d{4}\.\d{4,5})", re.IGNORECASE)
QUOTED = re.compile(r"\b(paper|study|publication)\b", re.IGNORECASE)
RESULTS = re.compile(r"$|measured|evaluation|results", re.IGNORECASE)
"""How the headings over measurements begin; what stands below the title alone is taken for such, too."""
CAVEATS = (r"\bcaveats?\b", r"\blimit(s|ations?)\b")
NUMBER = re.compile(r"([+-]?)\s*(\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)\s*(%?)", re.IGNORECASE)

Match = Callable[[str, str], re.Match[str] | None]


def number(text: str) -> float | None:
    """Read a number as cards write it: signs, thousands and percent; None where there is none."""
    found = NUMBER.search(text.replace("−", "-"))
    if found is None:
        return None
    value = float(found[1] + found[2].replace(",", ""))
    return value / 100 if found[3] else value


def read(card: str) -> Facts:
    """Read a card's text."""
    front, body = split(card)
    rows = [row for row in rows_of(body) if not QUOTED.search(row.heading)]
    results = [*(row for row in rows if RESULTS.match(row.heading)), *_index(front.get("model-index"))]
    patterns = [(metric.label, metric.pattern) for metric in METRICS]
    configuration = dict(_pick(CONFIGURATION, rows, re.fullmatch))
    measurements = dict(_pick(patterns, results, re.search))
    numbers = {metric.key: _numbers(measurements.get(metric.label, ())) for metric in METRICS}
    tags = [str(tag) for tag in _items(front.get("tags"))]
    bases = [base for base in map(str, _items(front.get("base_model"))) if HUB_ID.fullmatch(base)]
    paper = PAPER.search("\n".join([*tags, body]))
    sparsity = configuration.get("Actual sparsity") or configuration.get("Target sparsity")
    method = configuration.get("Method")
    return Facts(
        method=re.split(r"[,;(]", method[0][1])[0].strip() if method else None,
        sparsity=number(sparsity[0][1]) if sparsity else None,
        configuration=tuple(configuration.items()),
        measurements=tuple(measurements.items()),
        numbers={key: found for key, found in numbers.items() if found},
        warnings=tuple(_quotations(body)),
        caveats=tuple(_caveats(body)),
        research_only="research-only" in tags or RESEARCH.search(body) is not None,
        license=one_line(stated) if isinstance(stated := front.get("license"), str) else None,
        base=bases[0] if bases else None,
        paper=paper[1] if paper else None,
    )


def _numbers(values: Values) -> Measured | None:
    cells = {name.lower(): value for name, value in values}
    pruned = number(cells.get("pruned", values[0][1] if len(values) == 1 else ""))
    return None if pruned is None else Measured(pruned, number(cells.get("dense", "")))


def _items(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _pick(wanted: Sequence[tuple[str, str]], rows: Sequence[Row], match: Match) -> Iterator[tuple[str, Values]]:
    for label, pattern in wanted:
        found = next((row for row in rows if row.values and match(pattern, row.label.lower())), None)
        if found is not None:
            yield label, found.values


def _quotations(body: str) -> Iterator[str]:
    """Find the quotations above the first heading below the title."""
    lines: list[str] = []
    for line in [*lines_of(re.split(r"\n##+ ", body, maxsplit=1)[0]), ""]:
        if line.startswith(">"):
            lines.append(line.lstrip("> "))
        elif lines:
            yield whole_sentences(plain(" ".join(lines)))
            lines = []


def _caveats(body: str) -> list[str]:
    """Find the list items under a heading on caveats, or else on limits."""
    found: list[str] = []
    for pattern in CAVEATS:
        heading = ""
        for line in lines_of(body):
            heading = line if re.match(r"#{2,6}\s", line) else heading
            if (item := re.match(r"[-*•+]\s+(.+)", line)) and re.search(pattern, heading, re.IGNORECASE):
                found.append(whole_sentences(plain(item[1])))
        if found:
            break
    return found[:MOST_CAVEATS]


def _index(index: Any) -> Iterator[Row]:
    """Read the metrics of a `model-index`, passing over what is not shaped like one."""
    for model in _dicts(index):
        for result in _dicts(model.get("results")):
            for metric in _dicts(result.get("metrics")):
                name, value = str(metric.get("name") or metric.get("type")), metric.get("value")
                if isinstance(value, int | float) and not QUOTED.search(name):
                    yield Row("model-index", plain(name), (("", f"{value:.4g}"),))


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in _items(value) if isinstance(each, dict)]
