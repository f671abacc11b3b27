"""What a base's own card states: licence and languages, in front matter as people write it by hand."""

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from release import outside
from release.checkpoint.folder import is_side_file
from release.format import one_line
from release.names import LANGUAGE
from release.progress import Console
from release.schema.record import CARD, Licence

LARGEST_CARD = 16 << 20
"""Bytes of a README that is read."""
FRONT_MATTER = re.compile(r"\s*-{3,}[ \t]*\n(.*?)\n(?:-{3,}|\.{3})[ \t]*(?:\n|$)", re.DOTALL)
MOST_LANGUAGES = 500
LONGEST_FIELD = 500
"""Characters of a licence's or a language's name."""
KEYS = {
    "license": ("license", "licence", "licenses", "licences"),
    "license_name": ("license_name", "licence_name"),
    "license_link": ("license_link", "licence_link", "license_url", "licence_url"),
    "language": ("language", "languages", "lang"),
}
"""A field, and the names that people give it."""
TEXTS = ("license*", "licence*", "*license*", "*licence*", "copying*", "unlicense*", "eula*", "terms*", "*terms_of*")
"""Names of licence texts, in lower case and the order in which one is taken."""
HUB_LICENCES = frozenset(
    [
        "apache-2.0",
        "mit",
        "openrail",
        "bigscience-openrail-m",
        "creativeml-openrail-m",
        "bigscience-bloom-rail-1.0",
        "bigcode-openrail-m",
        "afl-3.0",
        "artistic-2.0",
        "bsl-1.0",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsd-3-clause-clear",
        "c-uda",
        "cc",
        "cc0-1.0",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nd-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "cdla-sharing-1.0",
        "cdla-permissive-1.0",
        "cdla-permissive-2.0",
        "wtfpl",
        "ecl-2.0",
        "epl-1.0",
        "epl-2.0",
        "etalab-2.0",
        "eupl-1.1",
        "eupl-1.2",
        "agpl-3.0",
        "gfdl",
        "gpl",
        "gpl-2.0",
        "gpl-3.0",
        "lgpl",
        "lgpl-2.1",
        "lgpl-3.0",
        "isc",
        "h-research",
        "intel-research",
        "lppl-1.3c",
        "ms-pl",
        "apple-ascl",
        "apple-amlr",
        "mpl-2.0",
        "odc-by",
        "odbl",
        "openmdw-1.0",
        "openrail++",
        "osl-3.0",
        "postgresql",
        "ofl-1.1",
        "ncsa",
        "unlicense",
        "zlib",
        "pddl",
        "lgpl-lr",
        "deepfloyd-if-license",
        "fair-noncommercial-research-license",
        "llama2",
        "llama3",
        "llama3.1",
        "llama3.2",
        "llama3.3",
        "llama4",
        "gemma",
        "grok2-community",
        "unknown",
        "other",
    ]
)
"""The ids that the Hub knows."""
SPELLINGS = (
    (r"[\s_,]+", "-"),
    (r"^(?:the|under)-|-?\(.*\)$", ""),
    (r"\bversion-?|\bv\.?(?=\d)|(?<=gpl)-?v(?=\d)", ""),
    (r"-?(?:software-|public-|community-)*(?:(?:licen[cs]e|international|agreement)\b-?)+(?=-|$|\d)", "-"),
    (r"-{2,}", "-"),
    (r"^-|-$", ""),
    (r"^asl-?(?=\d)|^apache-?(?=\d)", "apache-"),
    (r"^mozilla(?=-\d)", "mpl"),
    (r"^gnu-", ""),
    (r"^(?:(a)ffero-|(l)esser-)?general(?=-|$)", r"\1\2gpl"),
    (r"^([al]?gpl|mpl|epl)-?(?=\d)", r"\1-"),
    (r"^creative-commons-?", "cc-"),
    (r"attribution", "by"),
    (r"non-?commercial", "nc"),
    (r"share-?alike", "sa"),
    (r"no-?deriv(?:ative|ate|ation)?s?", "nd"),
    (r"^(?:cc-?)?(?=by-)", "cc-"),
    (r"^cc-?(?:0|zero)(?:-1\.0)?$", "cc0-1.0"),
    (r"^(?:([23])-clause-bsd|bsd-?([23])(?:-clause)?)$", r"bsd-\1\2-clause"),
    (r"^(?:meta-)?llama-?(?=\d)", "llama"),
    (r"^gemma-terms(?:-of-use)?$", "gemma"),
    (r"-(\d)$", r"-\1.0"),
)
"""How ids are written by hand, and what becomes of that, step by step."""
NORWEGIAN = "no"
"""What YAML takes for False."""


NAMES = {
    "arabic": "ar",
    "bengali": "bn",
    "chinese": "zh",
    "czech": "cs",
    "danish": "da",
    "dutch": "nl",
    "english": "en",
    "finnish": "fi",
    "french": "fr",
    "german": "de",
    "greek": "el",
    "hebrew": "he",
    "hindi": "hi",
    "hungarian": "hu",
    "indonesian": "id",
    "italian": "it",
    "japanese": "ja",
    "korean": "ko",
    "norwegian": "no",
    "persian": "fa",
    "polish": "pl",
    "portuguese": "pt",
    "romanian": "ro",
    "russian": "ru",
    "spanish": "es",
    "swedish": "sv",
    "thai": "th",
    "turkish": "tr",
    "ukrainian": "uk",
    "vietnamese": "vi",
}
"""Languages as people call them, and their codes."""


def stated(folder: Path, console: Console) -> tuple[Licence, tuple[str, ...]]:
    """Read licence and languages from the base's own card; nothing is assumed where it states none, or is broken."""
    path = card_of(folder)
    try:
        card = front_matter(path) if path else {}
    except outside.Unfit as why:
        console.say(f"{CARD} of {folder.name} {why}. Its licence and languages count as not stated.")
        card = {}
    licence = Licence(
        id=licence_id(_field(card, "license")),
        name=_text(_field(card, "license_name")),
        link=_text(_field(card, "license_link")),
        file=licence_file(path.name for path in folder.iterdir()),
    )
    return licence, languages(_field(card, "language"))


def card_of(folder: Path) -> Path | None:
    """The card of a folder, in whatever case its name is written; README.md itself where there are several."""
    found = [path for path in folder.iterdir() if path.name.lower() == CARD.lower()] if folder.is_dir() else []
    return min(found, key=lambda path: (path.name != CARD, path.name), default=None)


def front_matter(path: Path) -> dict[str, Any]:
    """Read the YAML front matter of a Markdown file; empty where there is none.

    Raises:
        Unfit: It cannot be read.
    """
    return front_matter_of(_decoded(outside.bytes_of(path, LARGEST_CARD)))


def front_matter_of(text: str) -> dict[str, Any]:
    """Read the front matter of a card's text, with either kind of line ends, and tabs where YAML wants spaces.

    Raises:
        Unfit: It cannot be read.
    """
    match = FRONT_MATTER.match(text.replace("\r\n", "\n").replace("\r", "\n"))
    found = match[1].expandtabs(4) if match else ""
    return outside.yaml_mapping(found) if found.strip() else {}


def licence_on_card(data: bytes) -> str | None:
    """Read the licence that a card's bytes state.

    Raises:
        Unfit: The front matter cannot be read.
    """
    return licence_id(_field(front_matter_of(_decoded(data)), "license"))


def _decoded(data: bytes) -> str:
    """Text as editors of several systems save it: UTF-8, or UTF-16, which begins with a mark."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="replace")


def _field(card: Mapping[str, Any], key: str) -> object:
    """A field under any of the names that people give it; the Hub's own comes first."""
    named = {str(name).strip().lower().replace("-", "_"): value for name, value in card.items()}
    return next((named[name] for name in KEYS[key] if name in named), None)


def licence_id(value: object) -> str | None:
    """Read a licence as people write it: the Hub's id where it is one in other letters, else its own words."""
    if isinstance(value, list):
        found = dict.fromkeys(each for item in value[:MOST_LANGUAGES] if (each := licence_id(item)))
        return _text(", ".join(found))
    text = _text(value)
    if text is None:
        return None
    plain = text.lower().strip("\"' ")
    for pattern, by in SPELLINGS:
        if plain in HUB_LICENCES:
            break
        plain = re.sub(pattern, by, plain)
    return plain if plain in HUB_LICENCES else text


def licence_file(names: Iterable[str]) -> str | None:
    """The licence's text among a folder's files: the first of the usual names."""
    found = sorted(name for name in names if is_side_file(name))
    return next((name for like in TEXTS for name in found if fnmatch.fnmatchcase(name.lower(), like)), None)


def languages(value: object) -> tuple[str, ...]:
    """Read languages as people write them: one or several, as codes or names; what is neither stays as it is."""
    items = value if isinstance(value, list) else [value]
    found = (code for item in items[:MOST_LANGUAGES] for code in _codes(item))
    return tuple(dict.fromkeys(found))[:MOST_LANGUAGES]


def _codes(value: object) -> Iterator[str]:
    if value is False:
        yield NORWEGIAN
    for part in re.split(r"[,;/|]| and ", _text(value) or ""):
        word = part.strip().lower()
        code = NAMES.get(word) or re.split(r"[-_]", word)[0]
        if word:
            yield code if LANGUAGE.fullmatch(code) else part.strip()


def _text(value: object) -> str | None:
    """A field's text on one line; None for what is no text, or too long for what is asked."""
    return one_line(value) or None if isinstance(value, str) and len(value) <= LONGEST_FIELD else None
