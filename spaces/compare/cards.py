"""What a model's card states about it, read from the card's text.

A card comes from outside: it may be missing, foreign, broken or hostile. Reading never fails, and what is read is
plain text without markup, which the page has to escape. Figures that a card quotes from a paper are left alone.
"""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import hf_hub_download
from metrics import METRICS
from models import HUB_ID, Source, once
from trouble import UNREADABLE

LARGEST = 2_000_000
"""Characters of a card that are read."""

LONGEST = 300
"""Characters of one fact that are shown."""

LONGEST_PROSE = 700
"""Characters of a warning or a caveat; what is longer ends with its last whole sentence."""

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
CAVEATS = (r"\bcaveats?\b", r"\blimit(s|ations?)\b")
NUMBER = re.compile(r"([+-]?)\s*(\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)\s*(%?)", re.IGNORECASE)

Values = tuple[tuple[str, str], ...]
"""The cells after a row's first one, each with its column's name ("" where there is none)."""


@dataclass(frozen=True)
class Row:
    """One row of a table, or one `name: value` line of a list.

    Attributes:
        heading: The headings that it stands under, below the title.
        table: The first cell of the table's header.
        label: Its first cell.
        values: Its other cells.
    """

    heading: str
    table: str
    label: str
    values: Values

    def stated(self) -> Values:
        """Return the cells that say something."""
        missing = [("", value) for _, value in self.values if value.lower() == "not measured"]
        said = tuple((name, value[:LONGEST]) for name, value in self.values if value not in ("", "–", "—", "-"))
        return tuple(missing[:1]) or said


@dataclass(frozen=True)
class Number:
    """A measurement as numbers.

    Attributes:
        dense: The dense model's value.
        pruned: The pruned model's.
        low: Lower end of the 95 % interval of the change, laid at the dense value.
        high: Upper end.
    """

    pruned: float
    dense: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Facts:
    """What the page says about one pruned model.

    Attributes:
        configuration: How it was pruned, by label.
        measurements: What was measured on its files, by label.
        warnings: What the card says in quotations under its title, as text.
        caveats: What it says under a heading of that name.
        research_only: Whether the card itself restricts the model to research.
        base: Hub id of the dense model.
        paper: arXiv id of the first paper it names.
        trouble: Why there is no card, where there is none.
    """

    configuration: tuple[tuple[str, Values], ...] = ()
    measurements: tuple[tuple[str, Values], ...] = ()
    warnings: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    research_only: bool = False
    base: str | None = None
    paper: str | None = None
    trouble: str | None = None

    @property
    def method(self) -> str | None:
        """The method's name alone."""
        stated = dict(self.configuration).get("Method")
        return re.split(r"[,;(]", stated[0][1])[0].strip() if stated else None

    @property
    def sparsity(self) -> float | None:
        """The actual sparsity, or else the target, 0 to 1."""
        stated = dict(self.configuration)
        found = stated.get("Actual sparsity") or stated.get("Target sparsity")
        return number(found[0][1]) if found else None

    def number(self, label: str) -> Number | None:
        """Return a measurement as numbers; None where the card holds none that can be read."""
        return _number(dict(self.measurements).get(label, ()))


def number(text: str) -> float | None:
    """Read a number as cards write it: signs, thousands and percent; None where there is none."""
    found = NUMBER.search(text.replace("−", "-"))
    if found is None:
        return None
    value = float(found[1] + found[2].replace(",", ""))
    return value / 100 if found[3] else value


def _number(values: Values) -> Number | None:
    cells = {name.lower(): value for name, value in values}
    pruned = number(cells.get("pruned", values[0][1] if len(values) == 1 else ""))
    if pruned is None:
        return None
    dense = number(cells.get("dense", ""))
    low, _, high = next((value for name, value in cells.items() if "interval" in name), "").partition(" to ")
    ends = [number(end) for end in (low, high)]
    if dense is None or None in ends:
        return Number(pruned, dense)
    ratio = any(value.startswith("×") for value in cells.values())
    low_end, high_end = (dense * end if ratio else dense + end for end in ends if end is not None)
    return Number(pruned, dense, low_end, high_end)


@once
def card(source: Source) -> Facts:
    """Return a model's facts, from the card in its folder or on the Hub."""
    try:
        path = source.path and Path(source.path) / "README.md"
        text = Path(path or hf_hub_download(source.id, "README.md")).read_text(encoding="utf-8")
    except UNREADABLE as error:
        return Facts(trouble=f"Its card could not be read ({type(error).__name__}).")
    return read(text)


def read(card: str) -> Facts:
    """Read a card's text."""
    front, body = _split(card[:LARGEST])
    rows = [row for row in rows_of(body) if not QUOTED.search(row.heading)]
    index = list(_metrics(front.get("model-index")))
    tags = [str(tag) for tag in _items(front.get("tags"))]
    bases = [base for base in map(str, _items(front.get("base_model"))) if HUB_ID.fullmatch(base)]
    paper = PAPER.search("\n".join([*tags, body]))
    return Facts(
        configuration=tuple(_pick(CONFIGURATION, rows, re.fullmatch)),
        measurements=tuple(
            _pick([(metric.label, metric.pattern) for metric in METRICS], [*_measured(rows), *index], re.search)
        ),
        warnings=tuple(_quotations(body)),
        caveats=tuple(_caveats(body)),
        research_only="research-only" in tags or RESEARCH.search(body) is not None,
        base=bases[0] if bases else None,
        paper=paper[1] if paper else None,
    )


def _split(card: str) -> tuple[dict[str, Any], str]:
    found = re.match(r"\s*---\s*\n(.*?)\n---\s*(?:\n|$)(.*)", card, re.DOTALL)
    if found is None:
        return {}, card
    try:
        front = yaml.safe_load(found[1])
    except (yaml.YAMLError, RecursionError, ValueError):
        front = None
    return (front if isinstance(front, dict) else {}), found[2]


def _items(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _measured(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of measurements, those of the overview first."""
    overview = [row for row in rows if row.table.lower() == "at a glance"]
    return [*overview, *(row for row in rows if row.heading.lower().startswith(("measured", "evaluation", "results")))]


def _pick(wanted: Sequence[tuple[str, str]], rows: Sequence[Row], match: Any) -> Iterator[tuple[str, Values]]:
    for label, pattern in wanted:
        found = next((row for row in rows if match(pattern, row.label.lower()) and row.stated()), None)
        if found is not None:
            yield label, found.stated()


def _quotations(body: str) -> Iterator[str]:
    """Find the quotations above the first heading below the title."""
    above = re.split(r"\n##+ ", body, maxsplit=1)[0]
    lines: list[str] = []
    for line in [*_unfenced(above), ""]:
        if line.startswith(">"):
            lines.append(line.lstrip("> "))
        elif lines:
            yield _whole(plain(" ".join(lines)))
            lines = []


def _caveats(body: str) -> Iterator[str]:
    """Find the list items under a heading on caveats, or else on limits; the evidence behind them is left out."""
    for pattern in CAVEATS:
        heading, found = "", []
        for line in _unfenced(body):
            heading = line if re.match(r"#{2,6}\s", line) else heading
            if (item := re.match(r"[-*•+]\s+(.+)", line)) and re.search(pattern, heading, re.IGNORECASE):
                found.append(_whole(plain(re.split(r"\s\*Evidence:\*", item[1])[0])))
        if found:
            yield from found[:MOST_CAVEATS]
            return


def _whole(text: str) -> str:
    """Shorten a text to its whole sentences within the limit."""
    if len(text) <= LONGEST_PROSE:
        return text
    return text[:LONGEST_PROSE].rpartition(". ")[0] + " …"


def rows_of(body: str) -> Iterator[Row]:
    """Find all rows of Markdown tables and all `name: value` list items, outside code blocks."""
    trail: dict[int, str] = {}
    header: list[str] | None = None
    for line in _unfenced(body):
        heading = " / ".join(trail.values())
        cells = _cells(line) if "|" in line else None
        if cells and header and not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            yield Row(heading, header[0], cells[0], tuple(zip(_names(header, len(cells)), cells[1:], strict=True)))
        elif item := re.match(r"[-*•+]\s+(.+?):\s*(.+)", line):
            yield Row(heading, "", plain(item[1]).strip("*_ "), (("", plain(item[2]).strip("*_ ")),))
        elif title := re.match(r"(#{2,6})\s(.+)", line):
            level = len(title[1])
            trail = {upper: text for upper, text in trail.items() if upper < level} | {level: plain(title[2])}
        header = (header or cells) if cells else None


def _unfenced(body: str) -> Iterator[str]:
    fenced = False
    for line in map(str.strip, body.splitlines()):
        if line.startswith(("```", "~~~")):
            fenced = not fenced
        elif not fenced:
            yield line


def _cells(line: str) -> list[str]:
    inner = line.removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith(r"\|") else inner
    return [plain(cell) for cell in re.split(r"(?<!\\)\|", inner)]


def _names(header: Sequence[str], cells: int) -> list[str]:
    names = [*header[1:], *([""] * cells)][: cells - 1]
    return [name if name.lower() != "value" else "" for name in names]


def plain(markdown: str) -> str:
    """Take the commonest markup off one line of Markdown; what is left is text, not HTML."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    text = re.sub(r"(\*\*|__|`)(.+?)\1", r"\2", text)
    text = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)
    return " ".join(html.unescape(text).split())


def _metrics(index: Any) -> Iterator[Row]:
    """Read the metrics of a `model-index`, passing over what is not shaped like one."""
    for model in _dicts(index):
        for result in _dicts(model.get("results")):
            for metric in _dicts(result.get("metrics")):
                name, value = metric.get("name") or metric.get("type"), metric.get("value")
                if isinstance(value, int | float) and not QUOTED.search(str(name)):
                    yield Row("model-index", "", plain(str(name)), (("", f"{value:.4g}"),))


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in _items(value) if isinstance(each, dict)]
