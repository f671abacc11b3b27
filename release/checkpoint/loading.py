"""Which weight files of a model from_pretrained loads: those of one model, or the folder is refused.

The order is transformers' own (`_get_resolved_checkpoint_files` in its `modeling_utils`, version 5.23): the file that
config.json names, then model.safetensors, then the shards of the index; an adapter is laid over whatever was loaded.
Where a folder leaves more than one answer, another loader takes the other one.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from release import outside
from release.checkpoint.forms import refuse_other_form
from release.checkpoint.remedies import MERGE, run_here
from release.errors import UnusableBase
from release.names import RECORD

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
ENDING = ".safetensors"
ADAPTER = "adapter_config.json"
REDIRECTS = {
    "transformers_weights": "load it with from_pretrained, write it anew with save_pretrained, and give that folder",
    "configuration_files": "put the configuration that counts into config.json and take the field out",
}
"""Fields of config.json that name other files to load, and how to be rid of them."""


def weight_names(name: str, present: Collection[str], config: Mapping[str, Any], index: bytes | None) -> list[str]:
    """The safetensors files that from_pretrained loads, in order of name.

    Args:
        name: What to call the model in messages.
        present: The names of its files.
        config: Its config.json.
        index: The bytes of its index, where it has one.

    Raises:
        UnusableBase: It holds none, or more than one model, or names files that are elsewhere or missing.
    """
    for seen, remedy in _other_ways(present, config):
        raise UnusableBase(f"{name} {seen}.", f"{remedy[0].upper()}{remedy[1:]}.")
    if index is not None:
        return _indexed(present, index)
    if SINGLE in present:
        return [SINGLE]
    refuse_other_form(name, present)
    if RECORD in present:
        raise UnusableBase(
            f"{name} holds no weights, only the record of a release.",
            "Make them with `release rebuild`, into a folder of their own, and give that folder.",
        )
    raise UnusableBase(
        f"{name} has no {SINGLE} and no {INDEX}.",
        "Give a folder that from_pretrained loads; other formats can be converted with save_pretrained.",
    )


def _other_ways(present: Collection[str], config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What makes a loader take other weights than the usual ones, and what to do about it."""
    for field, remedy in REDIRECTS.items():
        if field in config:
            yield f"has a config.json that names other files to load ({field}: {str(config[field])[:60]!r})", remedy
    if ADAPTER in present:
        merge = f"merge it first. {run_here(MERGE)}"
        yield f"holds an adapter ({ADAPTER}), which from_pretrained lays over the weights", merge
    if SINGLE in present and INDEX in present:
        keep = f"keep one of them, in a folder without the other: {SINGLE}, or the index and its shards"
        yield f"holds two models: from_pretrained loads {SINGLE}, other loaders the shards of {INDEX}", keep


def weight_map(index: bytes) -> dict[str, str]:
    """Read an index: tensor → the shard it lies in.

    Raises:
        UnusableBase: It is no such index.
    """
    try:
        found = outside.json_object(index).get("weight_map")
        if isinstance(found, dict) and found and all(isinstance(shard, str) for shard in found.values()):
            return found
        seen = "names no shards"
    except outside.Unfit as why:
        seen = str(why)
    raise UnusableBase(f"{INDEX} {seen}.", "Fetch or copy it again.")


def _indexed(present: Collection[str], index: bytes) -> list[str]:
    names = sorted(set(weight_map(index).values()))
    for wrong, what in (
        ([n for n in names if PurePosixPath(n).name != n or n.startswith(".")], "lies outside the folder"),
        ([n for n in names if not n.endswith(ENDING)], "is no safetensors file"),
        ([n for n in names if n not in present], "is missing"),
    ):
        if wrong:
            raise UnusableBase(
                f"{INDEX} names {wrong[0]}, which {what}.",
                "Fetch the missing file, or the whole checkpoint again.",
            )
    return names
