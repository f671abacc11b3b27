"""Turns a record into a Space that asks the dense and the pruned model the same question.

The app is the folder `spaces/compare`, copied byte for byte; it imports nothing of this package. Only README.md
and examples.json are made from the record.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from release import files
from release import format as text
from release.card.templates import Written
from release.card.templates import environment as templates
from release.checkpoint.files import is_hidden
from release.evals.bbq.rendering import SYSTEM
from release.names import REPO_ID
from release.resources import resource
from release.schema.record import CARD, Record
from release.space.mark import MARK

APP = "compare"
EXAMPLES = "examples.json"
SHORT_DESCRIPTION = "Compare a language model before and after pruning; research"
"""The Hub shows at most 60 characters, and serves an `agents.md` that begins with them beside the Space's page.

That file is the Hub's own, at `spaces/NAMESPACE/NAME/agents.md`; it points to the app's `/gradio_api/info`. The
app, which answers at another address, serves none.
"""
ATTRIBUTION = (
    "Questions from BBQ, a bias benchmark for question answering (Parrish et al., Findings of ACL 2022), "
    "https://github.com/nyu-mll/BBQ, license CC BY 4.0. They probe stereotypes on purpose and state no facts."
)
HOST, PORT = "127.0.0.1", "7860"
"""Where the app listens on one's own machine."""


def write_folder(
    record: Record,
    destination: Path,
    dense_id: str | None,
    pruned_id: str,
    examples: Sequence[Mapping[str, Any]],
    space_id: str | None = None,
) -> None:
    """Write the Space's folder; the same arguments give the same bytes.

    Args:
        record: The release that the Space shows.
        destination: The folder; whatever it held before is replaced.
        dense_id: The base's Hub id; without one, or where the base is not on the Hub, the pruned model is alone.
        pruned_id: The pruned model's Hub id.
        examples: Items of BBQ with their texts, as `release.evals.bbq.examples.examples` gives them.
        space_id: The Space's own Hub id, if not the pruned model's.
    """
    models = models_of(record, dense_id, pruned_id)
    _write(destination, examples, readme(record, models, bool(examples), space_id))


def write_grid_folder(
    variants: Sequence[tuple[str, Record]],
    destination: Path,
    examples: Sequence[Mapping[str, Any]],
    space_id: str,
) -> None:
    """Write the folder of a Space that shows several releases of one base; the same arguments give the same bytes.

    Args:
        variants: The Hub id of each beside its record; the first is the one that is chosen when the page opens. Their
            base is on the Hub.
        destination: The folder; whatever it held before is replaced.
        examples: As for `write_folder`.
        space_id: The Space's Hub id.
    """
    first = variants[0][1]
    models = [first.base.id, *(name for name, _ in variants)]
    _write(destination, examples, readme(first, models, bool(examples), space_id, [record for _, record in variants]))


def _write(destination: Path, examples: Sequence[Mapping[str, Any]], page: str) -> None:
    # A kill leaves the old Space, or none: half of one would be refused by whoever looks at it next.
    with files.replacing_folder(destination) as folder:
        for name, content in shipped().items():
            files.put(folder / name, content)
        files.put(folder / EXAMPLES, examples_json(examples))
        files.put(folder / CARD, page)


def shipped() -> dict[str, bytes]:
    """Return the app's own files as this version ships them, by name; they lie in one folder."""
    paths = {path.name: path for path in (resource("spaces") / APP).iterdir() if path.is_file()}
    return {name: paths[name].read_bytes() for name in sorted(paths) if not is_hidden(name)}


def examples_json(examples: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of examples.json."""
    stored = {"attribution": ATTRIBUTION, "instruction": SYSTEM, "examples": [dict(example) for example in examples]}
    return json.dumps(stored, ensure_ascii=False, indent=2) + "\n"


def models_of(record: Record, dense_id: str | None, pruned_id: str) -> list[str]:
    """Return the Hub ids that a Space lists; the dense model is left out where it is not on the Hub."""
    return [dense_id, pruned_id] if dense_id and record.base.on_hub else [pruned_id]


def readme(
    record: Record,
    models: Sequence[str],
    with_examples: bool,
    address: str | None = None,
    variants: Sequence[Record] = (),
) -> str:
    """Return the Space's README.md.

    Args:
        models: Hub ids, the pruned model's last.
        with_examples: Whether BBQ has to be credited.
        address: Where the Space is, if not under the pruned model's id: its Hub id.
        variants: The records of the pruned models, where the Space shows several.
    """
    # A Space is mostly published under its model's own id; before that it runs on one's own machine.
    local = f"http://{HOST}:{PORT}"
    address = address or (models[-1] if REPO_ID.fullmatch(models[-1]) else local)
    front = yaml.safe_dump(front_matter(record, models, variants), sort_keys=False, allow_unicode=True, width=10_000)
    context = {
        "record": record,
        "models": models,
        "variants": list(zip(models[1:], variants, strict=True)) if variants else [],
        "address": address,
        "mark": Written(MARK.format(address=address)),
        "attribution": ATTRIBUTION if with_examples else None,
    }
    body = templates().get_template("space/README.md.j2").render(context)
    return f"---\n{front}---\n\n{body.strip()}\n"


def front_matter(record: Record, models: Sequence[str], variants: Sequence[Record] = ()) -> dict[str, object]:
    """Return the Space's settings on the Hub."""
    pruning = record.pruning
    base = text.one_line(record.base.id.rsplit("/", 1)[-1])
    what = f"{pruning.method} {text.exact_percent(pruning.target_sparsity)}"
    methods = dict.fromkeys(each.pruning.method for each in variants or (record,))
    return {
        "title": f"Dense vs pruned: {base}, {f'{len(variants)} variants' if len(variants) > 1 else what}",
        "emoji": "⚖️",
        "colorFrom": "indigo",
        "colorTo": "gray",
        "sdk": "gradio",
        "sdk_version": _gradio_pinned(),
        "app_file": "app.py",
        # Left out it is 3.10, which transformers refuses; as a number 3.10 would be 3.1.
        "python_version": "3.12",
        "license": "apache-2.0",
        "short_description": SHORT_DESCRIPTION,
        "models": list(models),
        "tags": ["pruning", "model-compression", "bias-evaluation", "research-only", *methods],
    }


def _gradio_pinned() -> str:
    """Return the version that the app's requirements name, whatever is installed here: the same for every reader."""
    lines = shipped()["requirements.txt"].decode().splitlines()
    return next(line.removeprefix("gradio==") for line in lines if line.startswith("gradio=="))
