"""Whether a checkpoint fills a causal language model of its class, told by config.json and headers before any work.

A class that is not filled is made up with random weights when it is loaded: the model would run, and be another one.
What is missing tells what the checkpoint is instead.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from release.checkpoint import remedies
from release.checkpoint.decoder import Shapes, block_count, whole_lists
from release.checkpoint.folder import read_config
from release.checkpoint.forms import LANGUAGE_MODEL
from release.errors import UnusableBase
from release.format import shown
from release.models.classes import UNKNOWN, UNSUPPORTED, meta_model, require_bounded
from release.models.configuration import library_config
from release.models.slots import targets
from release.outside import Unfit, foreign

OTHER_TASKS = re.compile(
    r"\w+For(?:\w*Classification|\w*Reward\w*|\w*Scor\w+|\w*QuestionAnswering|MaskedLM|PreTraining|MultipleChoice"
    r"|NextSentencePrediction|\w*Retrieval|\w*Embedding\w*|\w*Encod\w+|CTC)|\w*Model"
)
"""Classes that hold no LM head, by their names."""
CAUSAL = re.compile(r"\w+(?:ForCausalLM|ForConditionalGeneration|LMHeadModel|DoubleHeadsModel)")
HEADS = re.compile(
    r"(?:.*\.)?(?:score|classifier|classification_head|qa_outputs|v_head|value_head|reward_head|rm_head|"
    r"regression_head|score_head)(?:\..*)?"
)
"""Names that heads of other tasks bear."""
WRAPPERS = {
    "module": "DataParallel, DDP or DeepSpeed",
    "_orig_mod": "torch.compile",
    "_fsdp_wrapped_module": "FSDP",
    "_checkpoint_wrapped_module": "activation checkpointing",
    "base_model": "peft",
    "pretrained_model": "trl",
    "student": "distillation",
}
"""Parts of names, and what puts them there."""
MISMATCH = "The checkpoint and its config.json do not belong together, or it is not whole; fetch it again."
DIGITS = 6
"""The longest number in a tensor's name that is believed."""
TRIED = 20
"""Unknown names that are held against those of the class to guess a prefix."""
GUESSES = 4


@dataclass(frozen=True)
class Fit:
    """How the stored tensors fill the parameters of a class.

    Attributes:
        missing: Parameters that nothing fills.
        unknown: Stored names that fill none.
        misfits: What does not fit, as text.
    """

    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    misfits: tuple[str, ...]

    @property
    def gaps(self) -> int:
        """How far the class is from being filled."""
        return len(self.missing) + len(self.misfits)


@dataclass(frozen=True)
class Renaming:
    """Names in the files made into those of the class.

    Attributes:
        dropped: Parts between dots that are left out.
        prefix: What is then taken away at the beginning.
        added: What is then put there.
    """

    dropped: tuple[str, ...] = ()
    prefix: str = ""
    added: str = ""

    def of(self, name: str) -> str:
        """Rename one tensor."""
        kept = ".".join(part for part in name.split(".") if part not in self.dropped)
        return self.added + kept.removeprefix(self.prefix)


def require_fit(folder: Path, shapes: Shapes) -> Any:
    """Refuse a checkpoint whose files do not fill a causal language model; return that model on the meta device.

    Args:
        folder: Holds config.json.
        shapes: Name → shape of every stored tensor.

    Raises:
        UnusableBase: Says what it is instead, and what to do.
    """
    _require_short_numbers(shapes)
    config = read_config(folder)
    require_bounded(config)
    require_language_model(folder)
    whole_lists(shapes, config)
    model = meta_model(folder)
    require_filled(model, shapes)
    return model


def _require_short_numbers(shapes: Shapes) -> None:
    """Refuse names with numbers that no list is as long as: the library sorts names by their numbers' values."""
    for name in shapes:
        for part in name.split("."):
            if part.isdecimal() and len(part) > DIGITS:
                raise UnusableBase(f"{shown(name, 100)} holds a number of {len(part):,} digits.", UNKNOWN)


def require_language_model(folder: Path) -> None:
    """Refuse what config.json says to be no causal language model.

    Args:
        folder: Holds config.json; one that the library does not understand says nothing here.

    Raises:
        UnusableBase: Says what it is instead.
    """
    config = _known(folder)
    if config is None:
        return
    kind = next(iter(config.architectures or []), "")
    if getattr(config, "is_encoder_decoder", False):
        raise UnusableBase(
            f"This is an encoder-decoder ({type(config).__name__}), which reads one text and writes another.",
            "Give a causal language model, which has no encoder.",
        )
    if OTHER_TASKS.fullmatch(kind) and not CAUSAL.fullmatch(kind):
        what = "another task's" if "For" in kind else "the bare model"
        raise UnusableBase(f"This checkpoint has no LM head: it is {what} ({kind}).", LANGUAGE_MODEL)
    _require_counted_alike(config, read_config(folder))


def _known(folder: Path) -> Any | None:
    """Return the library's configuration; None where the library does not understand it."""
    try:
        with foreign("config.json cannot be used"):
            return library_config(folder)
    except Unfit:
        return None


def _require_counted_alike(config: Any, written: Mapping[str, Any]) -> None:
    """Refuse an architecture whose class counts its blocks otherwise than its config.json does.

    Dory's config.json counts the attention and the MLP of one block as two. Without a class, as `release verify` reads
    a release, nobody could tell how many blocks the files have to hold.
    """
    stated, held = block_count(written), getattr(config.get_text_config(decoder=True), "num_hidden_layers", None)
    if stated and held and stated != held:
        seen = f"config.json counts {stated:,} blocks where {type(config).__name__} has {held:,}."
        raise UnusableBase(seen, UNSUPPORTED)


def require_filled(model: Any, shapes: Shapes) -> None:
    """Refuse files that leave a parameter of the class empty, with what they are instead.

    Args:
        model: On the meta device.
        shapes: Name → shape of every stored tensor.

    Raises:
        UnusableBase: Says what is missing, what it looks like, and what to do.
    """
    fit = fit_of(model, shapes)
    if fit.gaps:
        _explain(model, shapes, fit)
    elif other := _other_head(model, fit, shapes):
        raise UnusableBase(f"This checkpoint has the head of another task: {shown(other, 100)}.", LANGUAGE_MODEL)


def fit_of(model: Any, shapes: Shapes) -> Fit:
    """See how the stored tensors fill the parameters of a class, persistent buffers included."""
    state, found = model.state_dict(), targets(model, shapes)
    filled = {parameter for each in found.values() for parameter in each}
    ignored = [re.compile(pattern) for pattern in model._keys_to_ignore_on_load_missing or ()]
    missing = (n for n in state if n not in filled and not _twins(model, n) & filled)
    return Fit(
        tuple(sorted(n for n in missing if not any(pattern.search(n) for pattern in ignored))),
        tuple(sorted(name for name, each in found.items() if not each)),
        tuple(_misfits(state, found, shapes)),
    )


def _twins(model: Any, name: str) -> set[str]:
    """Other names of a parameter that is tied to another, or to several."""
    pairs = model.all_tied_weights_keys.items()
    source = model.all_tied_weights_keys.get(name, name)
    return {source, *(twin for twin, original in pairs if original == source)} - {name}


def _misfits(state: Mapping[str, Any], found: Mapping[str, tuple[str, ...]], shapes: Shapes) -> Iterator[str]:
    """Hold shapes against each other where one tensor is one parameter, and numbers of weights elsewhere."""
    sources: dict[tuple[str, ...], list[str]] = {}
    for name, filled in found.items():
        if filled:
            sources.setdefault(filled, []).append(name)
    for filled, names in sources.items():
        held = [tuple(state[each].shape) for each in filled if each in state]
        stored = [tuple(shapes[each]) for each in names]
        if len(names) == len(filled) == 1 and len(stored[0]) == len(held[0]):
            if sorted(stored[0]) != sorted(held[0]):
                yield f"{names[0]}: {stored[0]} in the files, {held[0]} in the model class"
        elif sum(map(prod, stored)) != sum(map(prod, held)):
            counts = f"{sum(map(prod, stored)):,} weights in the files, {sum(map(prod, held)):,} in the model class"
            yield f"{filled[0]}: {counts}"


def _other_head(model: Any, fit: Fit, shapes: Shapes) -> str | None:
    """A head of another task, where the LM head is only the embedding over again."""
    head = _head_of(model)
    own = head is not None and head in targets(model, shapes).values()
    return None if own else next((name for name in fit.unknown if HEADS.fullmatch(name)), None)


def _head_of(model: Any) -> tuple[str] | None:
    output = model.get_output_embeddings()
    names = (name for name, module in model.named_modules() if module is output and output is not None)
    return next(((f"{name}.weight",) for name in names), None)


def _explain(model: Any, shapes: Shapes, fit: Fit) -> None:
    """Refuse files that do not fill the class; tried in order of how much each explains."""
    kind = type(model).__name__
    renaming = _best_renaming(model, shapes, fit) if fit.unknown and fit.missing else Renaming()
    after = fit_of(model, _renamed(renaming, shapes)) if renaming != Renaming() else fit
    if head := _missing_head(model, after):
        also = next((f"; it has {name}" for name in after.unknown if HEADS.fullmatch(name)), "")
        raise UnusableBase(f"This checkpoint has no LM head: nothing fills {head} of {kind}{also}.", LANGUAGE_MODEL)
    if after.gaps == 0:
        raise UnusableBase(_misnamed(model, fit, renaming), _remedy(renaming))
    if fit.misfits and not (fit.missing and fit.unknown):
        raise UnusableBase(f"{shown(fit.misfits[0])}.", MISMATCH)
    if not fit.unknown:
        more = f" and {len(fit.missing) - 1} more" if len(fit.missing) > 1 else ""
        raise UnusableBase(f"{fit.missing[0]}{more}: missing from the files.", MISMATCH)
    seen = f"{kind} does not know {shown(fit.unknown[0], 100)}, and nothing fills {fit.missing[0]}"
    raise UnusableBase(f"{seen}.", UNKNOWN)


def _missing_head(model: Any, fit: Fit) -> str | None:
    """The LM head, where nothing else is missing; its bias goes with it."""
    head = _head_of(model)
    if head is None or fit.misfits or head[0] not in fit.missing:
        return None
    place = head[0].removesuffix("weight")
    return head[0] if all(name.startswith(place) for name in fit.missing) else None


def _misnamed(model: Any, fit: Fit, renaming: Renaming) -> str:
    kind, example = type(model).__name__, fit.unknown[0]
    own = next(iter(targets(model, [renaming.of(example)]).values()))
    parts = [*renaming.dropped, *renaming.prefix.split(".")]
    makers = [f"{WRAPPERS[part]} puts {part} there" for part in parts if part in WRAPPERS]
    said = f" ({'; '.join(makers)})" if makers else ""
    return f"{kind} knows {shown(example, 100)} as {', '.join(own)}: the names are not its own{said}."


def _remedy(renaming: Renaming) -> str:
    return remedies.rename(renaming.dropped, renaming.prefix, renaming.added) or UNKNOWN


def _renamed(renaming: Renaming, shapes: Shapes) -> Shapes:
    """Rename all tensors; those whose names would become one keep theirs."""
    names = {name: renaming.of(name) for name in shapes}
    several = Counter(names.values())
    return {new if several[new] == 1 else name: shapes[name] for name, new in names.items()}


def _best_renaming(model: Any, shapes: Shapes, fit: Fit) -> Renaming:
    """The renaming, of those that are likely, which leaves the fewest gaps and strange names."""
    known = {part for name in model.state_dict() for part in name.split(".")}
    known |= {part for name in shapes if name not in fit.unknown for part in name.split(".")}
    parts = (part for name in fit.unknown for part in name.split(".") if not part.isdigit() and part not in known)
    alien = tuple(part for part, count in Counter(parts).items() if count > 1)
    tried = (each for dropped in dict.fromkeys([alien, ()]) for each in _with_prefixes(model, fit, dropped))
    return min(tried, key=lambda each: _strangeness(model, _renamed(each, shapes)))


def _strangeness(model: Any, shapes: Shapes) -> tuple[int, int]:
    """How far names are from a class's own: gaps, then names that the class bears only under another."""
    return fit_of(model, shapes).gaps, len(shapes.keys() - model.state_dict().keys())


def _with_prefixes(model: Any, fit: Fit, dropped: tuple[str, ...]) -> Iterator[Renaming]:
    """A renaming by itself, then with the prefixes that stored names have before those of the class, or lack."""
    yield Renaming(dropped)
    names = [Renaming(dropped).of(name) for name in fit.unknown[:: max(1, len(fit.unknown) // TRIED)]]
    guesses: Counter[tuple[str, str]] = Counter()
    for name in names:
        for own in model.state_dict():
            if name.endswith(f".{own}"):
                guesses[name.removesuffix(own), ""] += 1
            elif own.endswith(f".{name}"):
                guesses["", own.removesuffix(name)] += 1
    yield from (Renaming(dropped, *guess) for guess, _ in guesses.most_common(GUESSES))
