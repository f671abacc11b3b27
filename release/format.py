"""Numbers and outside strings as text for people.

An undefined number is "n/a", a minus is "−", and a string that came from outside means nothing to Markdown,
HTML or a shell once it has passed `markdown`, `code` or `fence`.
"""

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from release.decimals import showing

if TYPE_CHECKING:
    from release.values import Estimate

UNDEFINED = "n/a"
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that reorder the text around them; letters of right-to-left scripts need none."""

LONGEST_SHOWN = 1_000
"""Characters of one line on a terminal or in a log."""
MOST_LINES = 40
"""Lines of one message below its first."""
LONGEST_QUOTED = 60
"""Characters of a value that a message quotes."""

_COMMANDS = re.compile(f"[\x7f-\x9f\u2028\u2029\ud800-\udfff{''.join(BIDI)}]")
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_INLINE = re.compile(r"([\\`*_\[\]~|$])")
_AT_START = re.compile(r"^(\d*)(?=#|=|--|[.)+-](?:\s|$))")
_UNBROKEN = re.compile(r"([!-\u024f]{24})[!-\u024f]+")
"""Latin letters, digits and signs without a space: one answer of such a word made a table wider than any page."""
_LONG_WORD = re.compile(r"([!-\u024f]{15})(?=[!-\u024f])")
MAY_BREAK = "\u200b"
"""A space of no width: a longer word than a phone's column may be broken there, and none of it is lost."""
_PLAIN_CODE = re.compile(r"[A-Za-z0-9._/:@=+,%-]+(?: [A-Za-z0-9._/:@=+,%-]+)*")
_PLAIN_FILE = re.compile(r"[A-Za-z0-9._/-]+")
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9._~/?#=&%+:@-]+")


def count(number: int) -> str:
    """Write a whole number with thousands separators: `3,623,878,656`."""
    return f"{number:,}".replace("-", "−")


def fixed(number: float | None, digits: int) -> str:
    """Write a number with `digits` decimals; in powers of ten from a thousand million on."""
    if number is None:
        return UNDEFINED
    text = f"{number:,.{digits}f}" if abs(number) < 1e9 else f"{number:.{digits}e}"
    return text.lstrip("-") if not text.strip("-0.,") else text.replace("-", "−", 1)


def chance(p: float | None) -> str:
    """Write a p-value with four decimals, or as `below 0.0001`."""
    return "below 0.0001" if p is not None and p < 1e-4 else fixed(p, 4)


def signed(number: float | None, digits: int) -> str:
    """Write a difference: `+0.0061`, `−0.0061`, and `0.0000` where nothing is left after rounding."""
    text = fixed(number, digits)
    return f"+{text}" if number is not None and number > 0 and text.strip("0.,") else text


def percent(share: float | None, digits: int = 2) -> str:
    """Write a share as per cent: 0.1 is `10.00 %`."""
    return UNDEFINED if share is None else f"{fixed(share * 100, digits)} %"


def signed_percent(share: float | None, digits: int = 1) -> str:
    """Write a relative change as per cent: 0.465 is `+46.5 %`."""
    return UNDEFINED if share is None else f"{signed(share * 100, digits)} %"


def exact_percent(share: Decimal) -> str:
    """Write an exact share as per cent, with as many digits as it has: `10 %`, `12.5 %`."""
    return f"{(share * 100).normalize():f} %"


def interval(estimate: "Estimate", digits: int) -> str:
    """Write the ends of a 95 % interval: `0.0321 to 0.1198`; none is written as zero that is not, or all but."""
    low, high = (fixed(end, showing(end, digits)) for end in (estimate.low, estimate.high))
    return _ends(low, high)


def signed_interval(estimate: "Estimate", digits: int) -> str:
    """Write the ends of the interval of a difference: `−0.0020 to +0.0142`."""
    return _ends(signed(estimate.low, digits), signed(estimate.high, digits))


def _ends(low: str, high: str) -> str:
    return UNDEFINED if UNDEFINED in (low, high) else f"{low} to {high}"


def size(number: int) -> str:
    """Write bytes in the decimal unit that fits, with three significant digits: `7.64 GB`, `269 MB`."""
    value, unit = float(number), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if abs(value) < 1000:
            break
        value, unit = value / 1000, larger
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{number} B" if unit == "B" else f"{value:.{digits}f} {unit}"


def seconds(number: float) -> str:
    """Write a wall time with three significant digits below a minute: `0.158 s`, `12.3 s`, `4 min 10 s`."""
    if number < 60:
        digits = showing(number, 3) if number < 1 else 2 if number < 10 else 1
        return f"{number:.{digits}f} s"
    minutes, rest = divmod(round(number), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def one_line(text: str) -> str:
    """Put a string on one line, without control characters and marks that reorder its surroundings."""
    return " ".join("".join(map(_visible, text)).split())


def first_words(text: str, most: int, longest: int = 200) -> str:
    """Put the first words of a text on one line, and "…" where it goes on; a long word may break, a longer one is cut.

    Args:
        most: Words.
        longest: Characters; not every script sets words apart.
    """
    line = _UNBROKEN.sub(r"\1…", one_line(text))
    words = " ".join(line.split(" ")[:most])[:longest]
    return _LONG_WORD.sub(rf"\1{MAY_BREAK}", words if words == line else f"{words.rstrip()} …")


def shown(text: str, most: int = LONGEST_SHOWN) -> str:
    """Write text from anywhere as one printable line for a terminal or a log, the middle of a long one left out."""
    head, tail = most * 2 // 3, most // 3
    if len(text) > 4 * most:  # a name may be as long as a file
        text = f"{text[: 2 * most]} … {text[-2 * most :]}"
    line = " ".join("".join(map(_printable, text)).split())
    return line if len(line) <= most else f"{line[:head]} … {line[-tail:]}"


def visible(line: str) -> str:
    """Write a line of a file with its spaces, whatever cannot be printed as `�`, and not too long."""
    return "".join(c if c.isprintable() or c == "\u00a0" else "\ufffd" for c in line[:LONGEST_SHOWN])


def escaped(document: str) -> str:
    """Write a JSON document so that a terminal takes nothing in its strings for a command."""
    return _COMMANDS.sub(lambda match: f"\\u{ord(match[0]):04x}", document)


def message(text: str) -> str:
    """Write a message for people: one printable line, and those below it that are set in by two spaces.

    Only this package breaks lines so; a break in a name from outside becomes a space.
    """
    first, *rest = text.split("\n  ", MOST_LINES + 1)
    more = ["  …"] if len(rest) > MOST_LINES else []
    return "\n".join([shown(first), *(f"  {shown(line)}" for line in rest[:MOST_LINES]), *more])


def quoted(text: str, most: int = LONGEST_QUOTED) -> str:
    """Quote a value that somebody gave, cut where it is long."""
    return repr(text if len(text) <= most else f"{text[:most]}…")


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return " " if unicodedata.category(character) in ("Cc", "Zs", "Zl", "Zp") else "\ufffd"


def _visible(character: str) -> str:
    if character in BIDI or unicodedata.category(character) == "Cs":
        return "\ufffd"
    return " " if unicodedata.category(character) in ("Cc", "Zl", "Zp") else character


def markdown(text: str) -> str:
    """Escape a string so that Markdown and HTML show it as it is, in a paragraph or a table's cell."""
    line = one_line(text)
    line = _AT_START.sub(r"\1\\", _INLINE.sub(r"\\\1", line))
    return line.translate(_HTML)


def code(text: str) -> str:
    """Write a name in a code span where its characters allow it, else as escaped text.

    Nothing can be escaped inside a code span, and a pipe there would end a table's cell.
    """
    return f"`{text}`" if _PLAIN_CODE.fullmatch(text) else markdown(text)


def link(text: str) -> str:
    """Write an http(s) address as a link, and anything else as escaped text."""
    return f"<{text}>" if _PLAIN_URL.fullmatch(text) else markdown(text)


def file(name: str) -> str:
    """Link a file of the repository; a name with other than plain characters is only named."""
    return f"[{markdown(name)}]({name})" if _PLAIN_FILE.fullmatch(name) else markdown(name)


def fence(text: str, language: str) -> str:
    """Put text in a fenced code block whose fence is longer than any inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def in_words(phrases: Sequence[str]) -> str:
    """Join phrases as a sentence does: `a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(phrases[:-1]), *phrases[-1:])))


def listed(places: Sequence[str], most: int = 5) -> str:
    """Name the first few places and count the rest; empty where there are none."""
    rest = f"; and {len(places) - most} more" if len(places) > most else ""
    return "; ".join(places[:most]) + rest
