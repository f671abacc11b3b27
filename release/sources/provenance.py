"""Which repository of the Hub a folder is, and which commit, told by what the ways of fetching one leave in it.

What is read here is somebody's bookkeeping and no proof: what the files are, their digests in the record say.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from release import outside
from release.frozen import Frozen
from release.sources.stated import card_of, front_matter_of

HOSTS = r"(?:www\.)?(?:huggingface\.co|hf\.co)"
PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
ID = rf"{PART}/{PART}"
COMMIT = re.compile(r"[0-9a-f]{40}")
ADDRESS = re.compile(
    rf"(?:(?:https?|ssh|git)://)?(?:[^@/\s]+@)?{HOSTS}(?::\d+)?[:/](?P<id>{ID}?)(?:\.git)?(?:[/?#]\S*)?"
)
CACHED = re.compile(rf"models--(?P<org>{PART}?)--(?P<name>{PART})")
REMOTE = re.compile(r'\[remote "[^"\n]{1,100}"\]\s*\n(?P<lines>(?:[ \t]+[^\n]*\n?)+)')
MENTIONS = (
    rf"from_pretrained\(\s*[\"'](?P<id>{ID})[\"']",
    rf"\bmodel(?:_?(?:id|name|path|name_or_path))?\s*[=:]\s*[\"'](?P<id>{ID})[\"']",
    rf"(?:hf|huggingface-cli) download (?P<id>{ID})\b",
    rf"vllm serve [\"']?(?P<id>{ID})\b",
    rf"{HOSTS}/(?P<id>{ID})/(?:resolve|raw|blob|tree)/",
    rf"git clone \S*{HOSTS}/(?P<id>{ID}?)(?:\.git)?\s",
)
"""How cards tell to load the repository that they stand in."""
NAMED = re.compile(rf"(?<![\w./-])(?P<id>{ID})(?![\w/-])")
ADDRESSES = re.compile(rf"https?://{HOSTS}/")
"""Whatever looks like a repository; it counts where it is called as the folder is."""
LARGEST = 1 << 20
"""Bytes of a file of bookkeeping, or of a card's beginning, that are read."""
MOST_FILES = 1_000
SEEN = "The id of the base is the one that its README names; nothing else in its folder tells where it came from."


class Origin(Frozen):
    """Where a folder came from.

    Attributes:
        id: `org/name` on the Hub; None where only the commit is known.
        revision: The commit's SHA-1; None where nothing tells it.
        note: What a reader must know of how this was found, or None.
    """

    id: str | None = None
    revision: str | None = None
    note: str | None = None


def origin_of(folder: Path) -> Origin:
    """Find where a folder came from, as far as anything in it tells."""
    traces = [trace for way in TRACES for trace in way(folder)]
    repo = next((trace.id for trace in traces if trace.id), None)
    revision = next((trace.revision for trace in traces if trace.revision and trace.id in (None, repo)), None)
    named = None if repo else _named_by_card(folder)
    return Origin(id=repo or named, revision=revision, note=SEEN if named else None)


def _in_the_cache(folder: Path) -> Iterator[Origin]:
    """The client's cache: models--org--name/snapshots/<commit>."""
    for place in dict.fromkeys((folder.absolute(), folder.resolve())):
        match = CACHED.fullmatch(place.parent.parent.name)
        if place.parent.name == "snapshots" and match and COMMIT.fullmatch(place.name):
            yield Origin(id=f"{match['org']}/{match['name']}", revision=place.name)


def _by_the_client(folder: Path) -> Iterator[Origin]:
    """`hf download --local-dir`: a file with the commit beside every file, in a hidden folder; the id is nowhere."""
    for place in (".cache/huggingface/download", ".huggingface/download"):
        files = [path for path, _ in zip(sorted((folder / place).rglob("*.metadata")), range(MOST_FILES), strict=False)]
        commits = {text.split("\n", 1)[0].strip() for path in files if (text := _text(path))}
        if len(commits) == 1 and COMMIT.fullmatch(commit := commits.pop()):
            yield Origin(revision=commit)


def _by_git(folder: Path) -> Iterator[Origin]:
    """`git clone`, with or without LFS, by HTTPS or SSH; a submodule has a file in place of the folder."""
    place = folder / ".git"
    if place.is_file():
        place = folder / (_text(place) or "").removeprefix("gitdir:").strip()
    common = place / (_text(place / "commondir") or ".").strip()
    for section in REMOTE.finditer(_text(common / "config") or ""):
        for line in section["lines"].splitlines():
            name, _, address = line.partition("=")
            if name.strip().lower() == "url" and (repo := _id_of(address.strip().strip('"'))):
                yield Origin(id=repo, revision=_head(place, common))


def _head(place: Path, common: Path) -> str | None:
    head = (_text(place / "HEAD") or "").strip()
    if not head.startswith("ref: "):
        return head if COMMIT.fullmatch(head) else None
    name = head.removeprefix("ref: ").strip()
    if not re.fullmatch(r"refs/[\w./-]+", name) or ".." in name:
        return None
    loose = (_text(common / name) or "").strip()
    packed = re.search(rf"^([0-9a-f]{{40}}) {re.escape(name)}$", _text(common / "packed-refs") or "", re.MULTILINE)
    return loose if COMMIT.fullmatch(loose) else packed[1] if packed else None


def _by_scripts(folder: Path) -> Iterator[Origin]:
    """Scripts that people fetch models with, each with a file of its own."""
    try:
        facts: Any = outside.json_object(_text(folder / ".hfd/repo_metadata.json") or "{}")
    except outside.Unfit:
        facts = {}
    repo, commit = str(facts.get("id") or facts.get("modelId") or ""), str(facts.get("sha") or "")
    if re.fullmatch(ID, repo):
        yield Origin(id=repo, revision=commit if COMMIT.fullmatch(commit) else None)
    for line in (_text(folder / "huggingface-metadata.txt") or "").splitlines():
        if line.startswith("url:") and (found := _id_of(line.removeprefix("url:").strip())):
            yield Origin(id=found)


TRACES: tuple[Callable[[Path], Iterator[Origin]], ...] = (_in_the_cache, _by_git, _by_the_client, _by_scripts)


def _id_of(address: str) -> str | None:
    match = ADDRESS.fullmatch(address)
    return match["id"] if match and match["id"].split("/")[0] not in ("datasets", "spaces", "api") else None


def _named_by_card(folder: Path) -> str | None:
    """The repository that the card names: the one called as its folder is, or else the only one it tells to load."""
    path = card_of(folder)
    text = _text(path) if path else None
    if text is None:
        return None
    others = {other.casefold() for other in _others(text)}
    told = Counter(match["id"].rstrip(".") for each in MENTIONS for match in re.finditer(each, text))
    named = told + Counter(match["id"].rstrip(".") for match in NAMED.finditer(ADDRESSES.sub(" ", text)))
    alike = [repo for repo in named if _plain(folder) in (_plain(repo), _plain(repo.split("/")[1]))]
    for found in (alike, list(told)):
        by_id = {repo.casefold(): repo for repo in sorted(found, key=lambda repo: named[repo])}
        if left := [repo for key, repo in by_id.items() if key not in others]:
            return left[0] if len(left) == 1 else None
    return None


def _others(card: str) -> Iterable[str]:
    """Repositories that a card's front matter names and that are others: bases and data."""
    try:
        facts = front_matter_of(card)
    except outside.Unfit:
        return
    for key in ("base_model", "datasets", "new_version"):
        value = facts.get(key)
        yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str))


def _plain(name: str | Path) -> str:
    """A name as it may stand in a folder's: without case and separators."""
    text = name if isinstance(name, str) else name.resolve().name
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _text(path: Path) -> str | None:
    try:
        return outside.bytes_of(path, LARGEST).decode("utf-8", errors="replace").removeprefix("\ufeff")
    except outside.Unfit:
        return None
