"""What the card of a model that this tool did not make claims about its zeros, held against the files line by line.

A claim is a line that says one thing of this model: `Target sparsity: 50 %`, `Zeroed parameters: X of Y`, the first
heading, or a result of the front matter's `model-index`. It is checked where the files can tell, and said to be
unchecked where they cannot: a sentence may speak of another model, and a perplexity has to be measured. The text
comes from outside and may be anything; nothing here raises.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from typing import Literal

import yaml

from release.format import one_line
from release.schema.record import Check

CHECK = "card"
"""Name of a check of what a card claims."""
MOST_CLAIMS = 500
LONGEST_LINE = 1000
"""Characters of a line that are read."""
LONGEST_CARD = 1 << 20
"""Characters of a card that are read."""
LONGEST_FRONT_MATTER = 1 << 16
"""Characters of a front matter that is read as YAML."""
MOST_ITEMS = 200
"""Entries of a list or mapping in it that are looked at; an alias may stand for many."""
QUOTED = 100
ROUNDING = Fraction(1, 2)
"""Percentage points by which a stated share may be off at most, however few digits it has."""

BEFORE = re.compile(r"[^|:=→]{0,200}(?:→|->)")
"""What stands before an arrow is the dense model's."""

Quantity = Literal["share", "target", "zeros", "parameters"]

NUMBER = r"[0-9]{1,3}(?:[.,][0-9]{1,6})?"
COUNT = r"[0-9]{1,3}(?:[, \u00a0\u202f][0-9]{3})+|[0-9]{1,15}(?:\.[0-9]{1,6})?"
SUFFIX = r"(?:\s?(?P<{}>thousand|million|billion|[KMB])\b)?"
SHARE_LABEL = re.compile(
    r"\W{0,8}(?P<label>(?:[\w()+-]+\s){0,6}?"
    r"(?:sparsity|pruning (?:ratio|rate|level|amount)|pruned (?:weights|parameters))"
    r"(?:\s[\w()+-]+){0,4})\s?[:=]+\s?[~≈]?\s?(?P<value>.*)",
    re.I,
)
COUNT_LABEL = re.compile(
    r"\W{0,8}(?P<label>(?:[\w()+-]+\s){0,3}?(?:zeroed|zeros|zeroes|zero|pruned|prunable)(?:\s[\w()+-]+){0,4})"
    r"\s?[:=]+\s?[~≈]?\s?(?P<value>.*)",
    re.I,
)
SHARE = re.compile(rf"(?P<number>{NUMBER})(?![\d.,]*[\d:])\s?(?P<percent>%|percent\b|per cent\b)?", re.I)
PARTS = re.compile(
    rf"(?P<first>{COUNT}){SUFFIX.format('one')}"
    rf"(?:\s?(?:/|of|out of|from)\s(?:the\s|all\s)?(?P<second>{COUNT}){SUFFIX.format('two')})?(?P<rest>.*)",
    re.I,
)
IN_BRACKETS = re.compile(rf"[^(%]{{0,60}}\(\s?[~≈]?\s?(?P<number>{NUMBER})\s?%")
PHRASE = re.compile(
    rf"(?<![\d.,–-])(?P<number>{NUMBER})\s?(?:%|percent|per cent)\s(?:[a-z]+\s){{0,2}}?(?:sparsity|sparse\b)", re.I
)
SEVERAL = re.compile(rf"\s?(?:[,;/:–—-]|to|and|or)\s?[+−-]?{NUMBER}\s?%", re.I)
ANOTHER_CELL = re.compile(r"\s?:\s?[+−-]?[0-9]")
OF_A_PART = re.compile(
    r"\b(?:layers?|blocks?|attention|attn|mlp|ffn|\w*proj|experts?|heads?|embeddings?|activations?|rows?|kv|cache|per"
    r"|max\w*|min\w*|dense|base|baseline)\b",
    re.I,
)
SCALES = {"thousand": 10**3, "k": 10**3, "million": 10**6, "m": 10**6, "billion": 10**9, "b": 10**9}
OTHER_BREAKS = re.compile("[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""What some readers count as the end of a line; an editor and the Hub do not."""
FENCE = re.compile(r"\s{0,3}(?:```|~~~)")

A_PART = "it speaks of a part of the model, or of another"
A_SENTENCE = "it stands in a sentence, which may speak of another model"
A_PATTERN = "it is no share of the weights"
SEVERAL_VALUES = "it names several values"
A_MEASUREMENT = "it has to be measured; `release measure` does so"


@dataclass(frozen=True)
class StatedClaim:
    """One number that a card states.

    Attributes:
        line: Where, from 1.
        quote: The statement, on one line and not too long.
        quantity: What is stated; None where the files cannot tell.
        value: A share in per cent, or a count.
        slack: By how much the truth may differ and still be written so.
        reason: Why it is not checked, where it is not.
    """

    line: int
    quote: str
    quantity: Quantity | None = None
    value: Fraction = Fraction(0)
    slack: Fraction = Fraction(0)
    reason: str = ""


@dataclass(frozen=True)
class Held:
    """What the files hold.

    Attributes:
        zeros: Exact zeros among the prunable weights.
        all_zeros: Exact zeros among all parameters.
        zeros_before: The base's zeros among the prunable weights; None where no base was read.
    """

    prunable: int
    zeros: int
    parameters: int
    all_zeros: int
    zeros_before: int | None = None


def compare(card: str, held: Held) -> tuple[Check, ...]:
    """Hold every claim of a card against the files, one check for each, in the order of lines."""
    found = list(islice(claims(card[:LONGEST_CARD]), MOST_CLAIMS + 1))
    checks = [_check(claim, held) for claim in sorted(found[:MOST_CLAIMS], key=lambda claim: claim.line)]
    if len(found) > MOST_CLAIMS or len(card) > LONGEST_CARD:
        read = f"the first {LONGEST_CARD:,} characters are read, and the first {MOST_CLAIMS} numbers in them"
        checks.append(_said(None, f"{read}; the rest is not checked"))
    return tuple(checks) or (_said(None, "it states no sparsity and no count that is understood here"),)


def claims(card: str) -> Iterator[StatedClaim]:
    """Find what a card states about zeros, and the results of its `model-index`."""
    lines = [OTHER_BREAKS.sub(" ", line) for line in card.split("\n")]
    yield from _results(lines)
    fenced, titled = False, False
    for number, line in enumerate(lines, 1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            title = not titled and line.startswith("# ")
            titled = titled or title
            yield from _stated(number, line[:LONGEST_LINE], title)


def _stated(number: int, line: str, title: bool) -> Iterator[StatedClaim]:
    quote, text = _quote(line), _unmarked(line)
    if match := SHARE_LABEL.match(text):
        yield _labelled_share(number, quote, match["label"], match["value"])
    elif (match := COUNT_LABEL.match(text)) and (parts := PARTS.match(match["value"])):
        yield from _labelled_counts(number, quote, match["label"], parts)
    elif shares := list(PHRASE.finditer(text)):
        yield _phrased(number, quote, shares, title)


def _unmarked(line: str) -> str:
    """Take away what only formats, as emphasis, code, bars of a table and underscores of a key, and of a → b the a."""
    text = re.sub(r"[*`\"']|</?\w{1,10}>", "", line).replace("_", " ").strip().strip("|")
    text = BEFORE.sub(" ", text)
    return " ".join(re.sub(r"\s?\|\s?", " : ", text).split())


def _labelled_share(line: int, quote: str, label: str, value: str) -> StatedClaim:
    match = SHARE.match(value)
    if match is None:
        return StatedClaim(line, quote, reason=A_PATTERN)
    if OF_A_PART.search(label):
        return StatedClaim(line, quote, reason=A_PART)
    if SEVERAL.match(value[match.end() :]):
        return StatedClaim(line, quote, reason=SEVERAL_VALUES)
    return _share(line, quote, match["number"], percent=bool(match["percent"]), target="target" in label.lower())


def _labelled_counts(line: int, quote: str, label: str, parts: re.Match[str]) -> Iterator[StatedClaim]:
    if OF_A_PART.search(label):
        yield StatedClaim(line, quote, reason=A_PART)
        return
    rest = parts["rest"].lstrip()
    if parts["second"] is None and rest.startswith("%"):
        yield _labelled_share(line, quote, label, parts.string)
        return
    if ANOTHER_CELL.match(rest):
        yield StatedClaim(line, quote, reason=SEVERAL_VALUES)
        return
    first: Quantity = "parameters" if "prunable" in label.lower() else "zeros"
    yield _count(line, quote, first, parts["first"], parts["one"])
    if parts["second"] is not None:
        yield _count(line, quote, "parameters", parts["second"], parts["two"])
    if match := IN_BRACKETS.match(rest):
        yield _share(line, quote, match["number"], percent=True, target=False)


def _phrased(line: int, quote: str, shares: list[re.Match[str]], title: bool) -> StatedClaim:
    numbers = {share["number"] for share in shares}
    if not title or len(numbers) > 1:
        return StatedClaim(line, quote, reason=SEVERAL_VALUES if title else A_SENTENCE)
    return _share(line, quote, numbers.pop(), percent=True, target=True)


def _share(line: int, quote: str, number: str, *, percent: bool, target: bool) -> StatedClaim:
    written = Decimal(number.replace(",", "."))
    value, unit = Fraction(written), _unit(written)
    if not percent and value <= 1:
        value, unit = value * 100, unit * 100
    slack = ROUNDING if target else min(unit / 2, ROUNDING)
    return StatedClaim(line, quote, "target" if target else "share", value, slack)


def _count(line: int, quote: str, quantity: Quantity, number: str, suffix: str | None) -> StatedClaim:
    written = Decimal(re.sub(r"[^0-9.]", "", number))
    scale = SCALES[suffix.lower()] if suffix else 1
    slack = _unit(written) * scale / 2 if suffix else Fraction(0)
    return StatedClaim(line, quote, quantity, Fraction(written) * scale, slack)


def _unit(number: Decimal) -> Fraction:
    """The worth of a number's last digit."""
    return Fraction(1, 10 ** max(0, -int(number.as_tuple().exponent)))


def _results(lines: list[str]) -> Iterator[StatedClaim]:
    """Read the metrics of the front matter's `model-index`, with the lines they stand on."""
    text = _front_matter(lines)
    if "model-index" not in text:
        return
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader) if len(text) <= LONGEST_FRONT_MATTER else None
    except (yaml.YAMLError, ValueError, RecursionError):
        root = None
    if root is None:
        yield StatedClaim(1, "model-index", reason="the front matter cannot be read")
        return
    for model in _items(_value(root, "model-index")):
        for result in _items(_value(model, "results")):
            for metric in _items(_value(result, "metrics")):
                yield _metric(metric)


def _front_matter(lines: list[str]) -> str:
    if not lines or lines[0].strip() != "---":
        return ""
    ends = (index for index, line in enumerate(lines[1:], 1) if line.strip() == "---")
    # An empty first line takes the place of the rule, so that YAML counts lines as the card does.
    return "\n".join(["", *lines[1 : next(ends, 0)]])


def _metric(metric: yaml.Node) -> StatedClaim:
    words = [_scalar(_value(metric, key)) for key in ("name", "type", "value")]
    name, number = words[0] or words[1], words[2]
    line, quote = metric.start_mark.line + 1, _quote(f"{name}: {number}")
    if "sparsity" in f"{words[0]} {words[1]}".lower():
        return _labelled_share(line, quote, name, number)
    return StatedClaim(line, quote, reason=A_MEASUREMENT)


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    pairs = node.value[:MOST_ITEMS] if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if _scalar(name) == key), None)


def _items(node: yaml.Node | None) -> Iterable[yaml.Node]:
    return node.value[:MOST_ITEMS] if isinstance(node, yaml.SequenceNode) else []


def _scalar(node: yaml.Node | None) -> str:
    return str(node.value)[:LONGEST_LINE] if isinstance(node, yaml.ScalarNode) else ""


def _quote(line: str) -> str:
    text = one_line(line[:LONGEST_LINE])
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}…"


def _check(claim: StatedClaim, held: Held) -> Check:
    place = f"line {claim.line}: “{claim.quote}”"
    if claim.quantity is None:
        return _said(None, f"{place} is not checked: {claim.reason}")
    if claim.quantity in ("share", "target"):
        return _said(*_judged_share(claim, held, place))
    return _said(*_judged_count(claim, held, place))


def _judged_share(claim: StatedClaim, held: Held, place: str) -> tuple[bool, str]:
    of_prunable = Fraction(100 * held.zeros, held.prunable)
    of_all = Fraction(100 * held.all_zeros, held.parameters)
    truth = f"the files hold {float(of_prunable):.4f} % ({held.zeros:,} of {held.prunable:,} prunable)"
    if abs(claim.value - of_prunable) <= claim.slack:
        return True, f"{place}: {truth}"
    if abs(claim.value - of_all) <= claim.slack:
        return True, f"{place}: the files hold {float(of_all):.4f} % of all {held.parameters:,} parameters"
    return False, f"{place}: {float(claim.value):g} % is stated; {truth}"


def _judged_count(claim: StatedClaim, held: Held, place: str) -> tuple[bool, str]:
    name, known = ("zeros", (held.zeros, held.all_zeros)) if claim.quantity == "zeros" else ("prunable weights", ())
    known = known or (held.prunable, held.parameters)
    stated = f"{int(claim.value):,}"
    if any(abs(claim.value - count) <= claim.slack for count in known):
        return True, f"{place}: {stated} {name}, as in the files"
    if claim.quantity == "zeros" and held.zeros - (held.zeros_before or 0) <= claim.value <= held.zeros:
        return True, f"{place}: the files hold {held.zeros:,} zeros, some of which the base had"
    return False, f"{place}: {stated} is stated; the files hold {known[0]:,} {name}"


def _said(ok: bool | None, detail: str) -> Check:
    return Check(name=CHECK, ok=ok, detail=detail)
