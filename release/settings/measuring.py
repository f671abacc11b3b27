"""What to measure, and on what."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from release.errors import BadOption
from release.format import quoted
from release.frozen import Frozen
from release.settings.option import HelpPanel, Option, listed, share
from release.settings.recipe import DEFAULT_SEED, LARGEST_SEED, Seed
from release.values import EngineName, Precision, Reading

BbqData = Annotated[Path | None, Option("--bbq-data", "A folder in nyu-mll/BBQ's layout.", HelpPanel.MEASURE)]
Text = Annotated[Path | None, Option("--text", "A UTF-8 text for perplexity.", HelpPanel.MEASURE)]
Device = Annotated[str, Option("--device", "A torch device, or auto.", repeats=False)]
AMOUNT = re.compile(r"0*[1-9][0-9]{0,8}")


def amount(option: str, *words: str) -> Callable[[str], str]:
    """Return a reader of a positive whole number or one of some words."""

    def read(text: str) -> str:
        plain = text.casefold()
        if plain in words or AMOUNT.fullmatch(plain):
            return plain
        raise BadOption(
            f"--{option} {quoted(text)} is not understood.",
            f"Give {', '.join(words)} or a whole number from 1 to 999,999,999.",
        )

    return read


def half_width(text: str) -> Decimal:
    """Read a half width of the change in SRS as an exact decimal, 0 < h < 1.

    Raises:
        BadOption: It is no number, or outside the range.
    """
    try:
        return share(text)
    except BadOption:
        raise BadOption(f"--precision {text!r} is no half width between 0 and 1.", "Give one like 0.03.") from None


def categories(text: str) -> tuple[str, ...]:
    """Read names with commas between them; the data tell later whether there are such."""
    return tuple(sorted({name.strip() for name in text.split(",")}))


Evaluation = Literal["bbq", "crows-pairs", "perplexity", "latency", "answers"]
FULL = {"crows-pairs": "full", "answers": "on"}
"""What is asked where --evals names an evaluation that is off by default, or on only beside others."""


class Measuring(Frozen):
    """What to measure, and on what.

    Attributes:
        seed: Seed of the samples and of the permutation tests, where `sample_seed` gives no other.
        sample_seed: Seed of these alone, so that masks of several seeds are asked the same.
        evals: The evaluations to run, where only some are; `of` switches all others off and leaves this empty.
        bbq: "auto" (as many items as this machine reads in about the time of the rest), "off", "full", "study" (the
            12,148 ambiguous items of the study's five categories), or a number of items.
        precision: Half width of the change in SRS at which no further items are asked; None for a fixed number.
        bbq_scoring: How an answer is read.
        bbq_engine: What runs the models that are asked.
        bbq_categories: Categories to ask; none means all.
        bbq_data: A folder in nyu-mll/BBQ's layout instead of the catalogue's copy.
        crows_pairs: "off", "full" (1,508 pairs of sentences), or a number of pairs.
        perplexity: "off" or a number of windows.
        text: A UTF-8 text file instead of the catalogue's Wikipedia half.
        latency: "auto" (24 prompts, up to 96 where these leave the ratio less certain than ±3 %), "off", or a number
            of prompts.
        latency_engine: What runs the models that are timed; of several engines, the first stands first on the card.
        answers: Answers to ten sample questions: "auto" (where anything else is asked of the models), "on", "off".
        eval_dtype: Arithmetic of BBQ, perplexity and the sample answers.
        log_format: Form of a further log of every answer, or None.
        device: A torch device, or "auto".
    """

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
        tuple[Evaluation, ...],
        Option(
            "--evals",
            "Only these: bbq, crows-pairs, perplexity, latency, answers, with commas.",
            HelpPanel.MEASURE,
            listed("--evals", get_args(Evaluation), "an evaluation"),
            repeats=False,
        ),
    ] = ()
    bbq: Annotated[
        str,
        Option(
            "--bbq",
            "Items: auto (what takes about as long as the rest), full, study, off, a number.",
            HelpPanel.MEASURE,
            amount("bbq", "auto", "full", "study", "off"),
        ),
    ] = "auto"
    precision: Annotated[
        Decimal | None,
        Option(
            "--precision",
            "Ask until the change in SRS is known to this half width, e.g. 0.03.",
            HelpPanel.MEASURE,
            half_width,
            shows_default=False,
        ),
    ] = None
    bbq_scoring: Annotated[
        Reading, Option("--bbq-scoring", "How answers are read: letters, answers, generate.", HelpPanel.MEASURE)
    ] = "letters"
    bbq_engine: Annotated[
        EngineName,
        Option("--bbq-engine", "What runs the models that are asked: transformers, mlx.", HelpPanel.MEASURE),
    ] = "transformers"
    bbq_categories: Annotated[
        tuple[str, ...],
        Option("--bbq-categories", "Some of BBQ's, e.g. Age,SES; all by default.", HelpPanel.MEASURE, categories),
    ] = ()
    bbq_data: BbqData = None
    crows_pairs: Annotated[
        str,
        Option(
            "--crows-pairs",
            "Sentence pairs of CrowS-Pairs: off, full, a number.",
            HelpPanel.MEASURE,
            amount("crows-pairs", "full", "off"),
        ),
    ] = "off"
    perplexity: Annotated[
        str, Option("--perplexity", "Windows, or off.", HelpPanel.MEASURE, amount("perplexity", "off"))
    ] = "32"
    text: Text = None
    latency: Annotated[
        str,
        Option(
            "--latency",
            "Prompts: auto (24, more where they vary), off, a number.",
            HelpPanel.MEASURE,
            amount("latency", "auto", "off"),
        ),
    ] = "auto"
    latency_engine: Annotated[
        tuple[EngineName, ...],
        Option(
            "--latency-engine",
            "What runs the timed models: transformers, mlx, or both with a comma.",
            HelpPanel.MEASURE,
            listed("--latency-engine", get_args(EngineName), "an engine"),
        ),
    ] = ("transformers",)
    answers: Annotated[
        Literal["auto", "on", "off"],
        Option(
            "--answers",
            "Both models' answers to ten questions: auto (if anything else is asked), on, off.",
            HelpPanel.MEASURE,
        ),
    ] = "auto"
    eval_dtype: Annotated[
        Precision,
        Option("--eval-dtype", "Arithmetic of BBQ and perplexity: float32, bfloat16, float16.", HelpPanel.MEASURE),
    ] = "float32"
    log_format: Annotated[
        Literal["lm-eval"] | None, Option("--log-format", "Log every answer once more, as lm-eval.", HelpPanel.MEASURE)
    ] = None
    device: Device = "auto"

    @property
    def sampling_seed(self) -> int:
        """The seed that samples and permutations are drawn with."""
        return self.seed if self.sample_seed is None else self.sample_seed

    def nothing(self) -> Self:
        """The same with every evaluation switched off."""
        return self.model_copy(update={word.replace("-", "_"): "off" for word in get_args(Evaluation)})

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Build it from what was asked for.

        Raises:
            BadOption: Two options contradict each other.
        """
        asked = cls(**_chosen(values))
        if asked.precision is not None and asked.bbq != "auto":
            raise BadOption("--precision and --bbq exclude each other.", "Leave one out: precision decides the items.")
        return asked


def _chosen(values: Mapping[str, Any]) -> dict[str, Any]:
    """Put what --evals names in the place of it: each other evaluation is off.

    Raises:
        BadOption: An evaluation is named and switched off, or asked for and not named.
    """
    found = {name: value for name, value in values.items() if name != "evals"}
    for word in get_args(Evaluation) if values.get("evals") else ():
        field, named = word.replace("-", "_"), word in values["evals"]
        asked = found.get(field)
        if asked is not None and (asked == "off") == named and asked != Measuring.model_fields[field].default:
            raise BadOption(f"--evals and --{word} {asked} contradict each other.", "Leave one of them out.")
        if not named:
            found[field] = "off"
        elif word in FULL and asked in (None, "off", "auto"):
            found[field] = FULL[word]
    return found
