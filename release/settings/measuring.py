"""What to measure, and on what: the options of every evaluation, and those that they share.

An evaluation's options are found by their file in its folder: a command line is read, and its help shown, without what
an evaluation runs.
"""

from collections.abc import Collection, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import create_model

from release.errors import BadOption
from release.frozen import Frozen
from release.resources import PACKAGE
from release.settings.evaluation import EvalOptions
from release.settings.option import HelpPanel, Option, listed
from release.settings.recipe import DEFAULT_SEED, LARGEST_SEED, Seed
from release.settings.shared import Device
from release.values import Precision


def _found() -> dict[str, type[EvalOptions]]:
    keys = sorted(path.parent.name for path in (PACKAGE / "evals").glob("*/options.py"))
    return {key: import_module(f"release.evals.{key}.options").OPTIONS for key in keys}


BY_EVALUATION: Mapping[str, type[EvalOptions]] = _found()
"""Key of the evaluation → its options, in alphabetical order."""


def word_of(key: str) -> str:
    """What an evaluation is called on the command line."""
    return key.replace("_", "-")


WORDS = tuple(word_of(key) for key in BY_EVALUATION)

if TYPE_CHECKING:  # for who names one of them in code; which there are is decided by the folders of the evaluations
    from release.evals.answers.options import AnswersOptions
    from release.evals.bbq.options import BbqOptions
    from release.evals.crows_pairs.options import CrowsPairsOptions
    from release.evals.divergence.options import DivergenceOptions
    from release.evals.latency.options import LatencyOptions
    from release.evals.perplexity.options import PerplexityOptions
    from release.evals.stereoset.options import StereoSetOptions
    from release.evals.tasks.options import TasksOptions
    from release.evals.winobias.options import WinoBiasOptions

    class _OfEvaluations(
        AnswersOptions,
        BbqOptions,
        CrowsPairsOptions,
        DivergenceOptions,
        LatencyOptions,
        PerplexityOptions,
        StereoSetOptions,
        TasksOptions,
        WinoBiasOptions,
    ):
        """The options of every evaluation."""

else:  # the fields of the last base come first
    _OfEvaluations = create_model("_OfEvaluations", __base__=tuple(reversed(BY_EVALUATION.values())))


class _OfSamples(Frozen):
    """What is drawn, and of which evaluations."""

    seed: Seed = DEFAULT_SEED
    sample_seed: Annotated[
        int | None,
        Option(
            "--sample-seed",
            "Seed of samples and permutations alone; that of the mask by default.",
            HelpPanel.MEASURE,
            least=0,
            most=LARGEST_SEED,
            shows_default=False,
        ),
    ] = None
    evals: Annotated[
        tuple[str, ...],
        Option(
            "--evals",
            f"Only these: {', '.join(WORDS)}, with commas.",
            HelpPanel.MEASURE,
            listed("--evals", WORDS, "an evaluation"),
            repeats=False,
        ),
    ] = ()


class Measuring(_OfEvaluations, _OfSamples):
    """What to measure, and on what.

    Attributes:
        seed: Seed of the samples and of the permutation tests, where `sample_seed` gives no other.
        sample_seed: Seed of these alone, so that masks of several seeds are asked the same.
        evals: The evaluations to run, where only some are; `of` switches all others off and leaves this empty.
        eval_dtype: Arithmetic of BBQ, perplexity and the sample answers.
        device: A torch device, or "auto".
    """

    eval_dtype: Annotated[
        Precision,
        Option("--eval-dtype", "Arithmetic of BBQ and perplexity: float32, bfloat16, float16.", HelpPanel.MEASURE),
    ] = "float32"
    device: Device = "auto"

    @property
    def sampling_seed(self) -> int:
        """The seed that samples and permutations are drawn with."""
        return self.seed if self.sample_seed is None else self.sample_seed

    def nothing(self) -> Self:
        """The same with every evaluation switched off."""
        off = {name: value for options in BY_EVALUATION.values() for name, value in options.off().items()}
        return self.model_copy(update=dict.fromkeys(BY_EVALUATION, "off") | off)

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Build it from what was asked for.

        Raises:
            BadOption: Two options contradict each other.
        """
        chosen = _chosen(values)
        for options in BY_EVALUATION.values():
            chosen = {**options.filled(chosen), **chosen}
        asked = cls(**chosen)
        for options in BY_EVALUATION.values():
            options.require_consistent(asked)
        return asked


def _told(record: type[Frozen]) -> str:
    """What the docstring of a record says of its fields."""
    return (record.__doc__ or "").partition("Attributes:\n")[2].rstrip()


# The schema of a record tells all of them in one place.
Measuring.__doc__ = "\n".join(((Measuring.__doc__ or "").rstrip(), *map(_told, BY_EVALUATION.values())))


def _chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    """Put what --evals names in the place of it: each other evaluation is off.

    Raises:
        BadOption: An evaluation is named and switched off, or asked for and not named.
    """
    found = {name: value for name, value in values.items() if name != "evals"}
    for key, options in BY_EVALUATION.items() if values.get("evals") else ():
        word, asked = word_of(key), found.get(key)
        named = _names(options, word, values["evals"], asked)
        if asked is not None and (asked == "off") == named and asked != options.model_fields[key].default:
            raise BadOption(f"--evals and --{word} {asked} contradict each other.", "Leave one of them out.")
        if not named:
            found[key] = "off"
        elif options.named and asked in (None, "off", "auto"):
            found[key] = options.named
    return found


def _names(options: type[EvalOptions], word: str, named: Collection[str], asked: Any) -> bool:
    """Whether --evals names an evaluation, by itself or with the one that it is taken from.

    Raises:
        BadOption: It names it without that one.
    """
    other = word_of(options.taken_from) if options.taken_from else None
    if other is not None and word in named and other not in named:
        raise BadOption(
            f"--evals {word} lacks {other}, from whose passes it is taken.", f"Give --evals {other},{word}."
        )
    return word in named or (other in named and asked != "off")
