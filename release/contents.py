"""What the model folder of a release holds: a closed list, because a loader reads whatever else it finds there.

A file is a weight file, what pruning carries over from the base, what this tool wrote itself, or what a person added
and no loader reads. Every other file may be what somebody's loader takes first, so that it is refused whatever the
record says of it.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from release.checkpoint.files import Files, content, is_hidden
from release.checkpoint.folder import CONFIG, TOKENIZER_CONFIG, is_side_file, matches, settings_of
from release.checkpoint.forms import is_sparsity
from release.checkpoint.loading import INDEX
from release.names import MASK, RECORD, REPO_ID, SIGNATURE, TABLE, is_eval_results, is_litter
from release.schema.record import CARD

OWN = (
    *(CARD, RECORD, TABLE, SIGNATURE, MASK),
    *("figures/*.svg", "figures/*.png"),
    *("evaluation/*.parquet", "evaluation/samples_*.jsonl", "evaluation/every-eval-ever.json"),
)
"""What this tool writes beside weights and the base's files. Patterns; see `matches`."""
UNRECORDED = (CARD, RECORD, SIGNATURE)
"""What the record cannot hold digests of, since it is made from the record or after it."""
THEIRS = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".mp4", ".pdf", ".ipynb", ".md", ".bib", ".cff")
"""Endings of what a person may add, in any folder that is not hidden: no loader reads them."""
OF_THE_WAY = (".gitattributes", ".gitignore", ".git/", ".cache/huggingface/", ".release/")
"""What the Hub, git, the Hub's client and this tool's journal leave in a folder: hidden, so that no loader looks."""
DROPPED = ("auto_map",)
"""Fields of config.json and tokenizer_config.json that pruning leaves out: transformers knows the architecture itself,
and the code they point to is not carried. `_name_or_path` goes too where it is a folder somebody once saved from, and
what tells of the zeros that the base had, which is wrong of the release; see `forms.is_sparsity`."""
PLAIN = re.compile(r"[\w .+@=-]+", re.ASCII)
"""A part of a path that this tool would write."""


def carried(base: Files) -> Iterator[tuple[str, bytes]]:
    """What pruning a base writes beside the weights and its own files: names, in order, and bytes.

    Raises:
        UnusableBase: A file is no JSON object where it has to be one, or far larger than what bears its name.
    """
    for name in carried_names(base.sizes):
        yield name, as_carried(name, content(base, name))


def carried_names(names: Iterable[str]) -> list[str]:
    """Those of a base's files that pruning carries over."""
    return sorted(name for name in names if name in (CONFIG, INDEX) or is_side_file(name))


def left_behind(names: Iterable[str], weights: Collection[str]) -> list[str]:
    """Those of a base's files that pruning leaves where they are: no loader of its weights or texts reads them.

    Args:
        weights: The names of its weight files.
    """
    kept = {*carried_names(names := list(names)), *weights}
    return sorted(n for n in names if n not in kept and n.lower() != CARD.lower() and not is_hidden(n))


def as_carried(name: str, data: bytes) -> bytes:
    """One file of a base as pruning writes it: the same bytes, but for the two configurations less what is dropped.

    Raises:
        UnusableBase: A configuration is no JSON object.
    """
    if name not in (CONFIG, TOKENIZER_CONFIG):
        return data
    settings = settings_of(name, data)
    kept = {field: value for field, value in settings.items() if not _is_dropped(field, value)}
    return data if kept == settings else (json.dumps(kept, indent=2, ensure_ascii=False) + "\n").encode()


def _is_dropped(field: str, value: Any) -> bool:
    local = field == "_name_or_path" and not REPO_ID.fullmatch(str(value))
    return field in DROPPED or local or is_sparsity(field, value)


def is_own(name: str) -> bool:
    """Whether this tool writes a file of this name itself."""
    return is_eval_results(name) or (_is_plain(name) and any(matches(name, pattern) for pattern in OWN))


def is_theirs(name: str) -> bool:
    """Whether a file is what a person may add: no loader reads it, and nothing of a release bears its name."""
    known = is_own(name) or is_side_file(name)
    return _is_plain(name) and not known and name.lower().endswith(THEIRS)


def is_of_the_way(name: str) -> bool:
    """Whether a file was left by the way a folder came here, or by who looked into it."""
    return is_litter(name) or any(name.startswith(each) if each.endswith("/") else name == each for each in OF_THE_WAY)


def unexpected(names: Iterable[str], weights: Collection[str]) -> list[str]:
    """The files that no release holds.

    Args:
        weights: The names of its weight files.
    """
    return sorted(name for name in names if name not in weights and not _belongs(name))


def _belongs(name: str) -> bool:
    return name in (CONFIG, INDEX) or is_side_file(name) or is_own(name) or is_theirs(name) or is_of_the_way(name)


def _is_plain(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return all(PLAIN.fullmatch(part) and not part.startswith((".", "__pycache__")) for part in parts)
