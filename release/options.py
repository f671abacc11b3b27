"""The options and arguments that commands share, each said once."""

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from release.errors import BadOption
from release.format import quoted
from release.machine import MOST_MEMORY

MOST_SAMPLES = 1_000_000
MOST_TOKENS = 10_000_000
MOST_THREADS = 1_024
MOST_MASKS = 20
LARGEST_SEED = (1 << 63) - 1
LONGEST_SPACE_TIMEOUT = 86_400


UNITS = {"": 1, "MB": 10**6, "GB": 10**9, "MIB": 1 << 20, "GIB": 1 << 30}


def limit_memory(text: str | None) -> str | None:
    """Let this process, and those that it starts, hold so many bytes at most.

    Raises:
        BadOption: It is no such number.
    """
    if text is not None:
        match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([MG]i?B)?", text.strip(), re.IGNORECASE)
        if not match or float(match[1]) == 0:
            raise BadOption(f"--max-memory {quoted(text)} is no amount of memory.", "Give it as in 8GB or 512MiB.")
        os.environ[MOST_MEMORY] = str(int(float(match[1]) * UNITS[(match[2] or "").upper()]))
    return text


class HelpPanel(StrEnum):
    """Headings in the help."""

    PRUNE = "Pruning"
    MEASURE = "Measurement"
    PUBLISH = "Publication"


Model = Annotated[
    str, typer.Argument(help="An alias, a Hub id org/name[@revision], a folder, or demo.", show_default=False)
]
Method = Annotated[
    str, typer.Option("--method", help="Pruning method; `release methods` lists them.", show_default=False)
]
Sparsity = Annotated[
    str | None, typer.Option("--sparsity", help="Share of the prunable weights to zero, e.g. 0.1.", show_default=False)
]
Sparsities = Annotated[
    str | None,
    typer.Option("--sparsity", help="Share to zero, or several: 0.1,0.3,0.5 from one read.", show_default=False),
]
Pattern = Annotated[
    str | None, typer.Option("--pattern", help="Keep n of every m inputs, as in 2:4.", rich_help_panel=HelpPanel.PRUNE)
]
Scope = Annotated[
    str | None,
    typer.Option("--scope", help="Where weights compete: tensor, row, global.", rich_help_panel=HelpPanel.PRUNE),
]
Allocation = Annotated[
    str, typer.Option("--allocation", help="Shares of the blocks: uniform, owl.", rich_help_panel=HelpPanel.PRUNE)
]
Calibration = Annotated[
    str,
    typer.Option("--calibration", help="Text: auto, c4, wikipedia, or a UTF-8 file.", rich_help_panel=HelpPanel.PRUNE),
]
CalibrationSamples = Annotated[
    int,
    typer.Option(
        "--calibration-samples", min=1, max=MOST_SAMPLES, help="Windows of text.", rich_help_panel=HelpPanel.PRUNE
    ),
]
CalibrationLength = Annotated[
    int | None,
    typer.Option(
        "--calibration-length",
        min=2,
        max=MOST_TOKENS,
        help="Tokens per window; by default 2,048, or what the model reads.",
        rich_help_panel=HelpPanel.PRUNE,
    ),
]
Uncalibrated = Annotated[
    str,
    typer.Option(
        "--uncalibrated", help="Experts that no token reached: refuse, magnitude.", rich_help_panel=HelpPanel.PRUNE
    ),
]
AllowNonfinite = Annotated[
    bool, typer.Option("--allow-nonfinite", help="Prune a base that holds NaN or Inf.", rich_help_panel=HelpPanel.PRUNE)
]
WithMask = Annotated[
    bool,
    typer.Option("--with-mask", help="Publish the mask, one bit per weight.", rich_help_panel=HelpPanel.PRUNE),
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Seed of masks, samples and permutations.")]
Seeds = Annotated[
    int,
    typer.Option(
        "--seeds", min=1, max=MOST_MASKS, help="Masks to measure, for their spread.", rich_help_panel=HelpPanel.MEASURE
    ),
]
Threads = Annotated[
    int, typer.Option("--threads", min=0, max=MOST_THREADS, help="Worker threads for pruning; 0: one per core.")
]
Out = Annotated[Path, typer.Option("--out", help="Folder that releases are built in.")]
Bbq = Annotated[
    str,
    typer.Option(
        "--bbq",
        help="Items: auto (what takes about as long as the rest), full, study, off, a number.",
        rich_help_panel=HelpPanel.MEASURE,
    ),
]
BbqPrecision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="Ask until the change in SRS is known to this half width, e.g. 0.03.",
        rich_help_panel=HelpPanel.MEASURE,
        show_default=False,
    ),
]
BbqData = Annotated[
    Path | None, typer.Option("--bbq-data", help="A folder in nyu-mll/BBQ's layout.", rich_help_panel=HelpPanel.MEASURE)
]
BbqScoring = Annotated[
    str,
    typer.Option(
        "--bbq-scoring", help="How answers are read: letters, answers, generate.", rich_help_panel=HelpPanel.MEASURE
    ),
]
BbqEngine = Annotated[
    str,
    typer.Option(
        "--bbq-engine",
        help="What runs the models that are asked: transformers, mlx.",
        rich_help_panel=HelpPanel.MEASURE,
    ),
]
BbqCategories = Annotated[
    str | None,
    typer.Option(
        "--bbq-categories", help="Some of BBQ's, e.g. Age,SES; all by default.", rich_help_panel=HelpPanel.MEASURE
    ),
]
EvalDtype = Annotated[
    str,
    typer.Option(
        "--eval-dtype",
        help="Arithmetic of BBQ and perplexity: float32, bfloat16, float16.",
        rich_help_panel=HelpPanel.MEASURE,
    ),
]
LogFormat = Annotated[
    str | None,
    typer.Option("--log-format", help="Log every answer once more, as lm-eval.", rich_help_panel=HelpPanel.MEASURE),
]
Perplexity = Annotated[str, typer.Option("--perplexity", help="Windows, or off.", rich_help_panel=HelpPanel.MEASURE)]
Text = Annotated[
    Path | None, typer.Option("--text", help="A UTF-8 text for perplexity.", rich_help_panel=HelpPanel.MEASURE)
]
Latency = Annotated[
    str,
    typer.Option(
        "--latency", help="Prompts: auto (24, more where they vary), off, a number.", rich_help_panel=HelpPanel.MEASURE
    ),
]
LatencyEngine = Annotated[
    str,
    typer.Option(
        "--latency-engine",
        help="What runs the timed models: transformers, mlx, or both with a comma.",
        rich_help_panel=HelpPanel.MEASURE,
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        "--max-memory",
        help="Memory to stay within, as in 8GB; larger models are read block by block.",
        callback=limit_memory,
    ),
]
Device = Annotated[str, typer.Option("--device", help="A torch device, or auto.")]
To = Annotated[
    str | None,
    typer.Option("--to", help="Hub user or organisation; your own by default.", rich_help_panel=HelpPanel.PUBLISH),
]
Into = Annotated[
    list[str] | None,
    typer.Option(
        "--into",
        help="The exact repository, org/name; spaces/org/name for the Space.",
        rich_help_panel=HelpPanel.PUBLISH,
        show_default=False,
    ),
]
Adopt = Annotated[
    bool,
    typer.Option("--adopt", help="Replace what this tool did not make there.", rich_help_panel=HelpPanel.PUBLISH),
]
Local = Annotated[
    bool, typer.Option("--local", help="Build and verify, upload nothing.", rich_help_panel=HelpPanel.PUBLISH)
]
Private = Annotated[
    bool, typer.Option("--private", help="Leave the repositories private.", rich_help_panel=HelpPanel.PUBLISH)
]
Gated = Annotated[
    str | None,
    typer.Option(
        "--gated", help="Readers must ask: auto, manual.", rich_help_panel=HelpPanel.PUBLISH, show_default=False
    ),
]
PullRequest = Annotated[
    bool, typer.Option("--pr", help="Only propose the files, as a pull request.", rich_help_panel=HelpPanel.PUBLISH)
]
Revision = Annotated[
    str, typer.Option("--revision", help="Branch of the model repository.", rich_help_panel=HelpPanel.PUBLISH)
]
Collection = Annotated[
    str | None,
    typer.Option(
        "--collection", help="Title or slug to add it to.", rich_help_panel=HelpPanel.PUBLISH, show_default=False
    ),
]
SpaceHardware = Annotated[
    str | None,
    typer.Option(
        "--space-hardware", help="E.g. zero-a10g (ZeroGPU).", rich_help_panel=HelpPanel.PUBLISH, show_default=False
    ),
]
SpaceTimeout = Annotated[
    int | None,
    typer.Option(
        "--space-timeout",
        min=1,
        max=LONGEST_SPACE_TIMEOUT,
        help="Seconds to wait for the Space; 1800 by default.",
        rich_help_panel=HelpPanel.PUBLISH,
        show_default=False,
    ),
]
ShowUnasked = Annotated[
    bool,
    typer.Option("--show-unasked", help="Show it though the Space gave no answer.", rich_help_panel=HelpPanel.PUBLISH),
]
ResourceGroup = Annotated[
    str | None,
    typer.Option(
        "--resource-group",
        help="Id of the organisation's resource group for new repositories.",
        rich_help_panel=HelpPanel.PUBLISH,
        show_default=False,
    ),
]
BaseId = Annotated[
    str | None,
    typer.Option(
        "--base-id",
        help="Hub id org/name of a base that is a folder.",
        rich_help_panel=HelpPanel.PUBLISH,
        show_default=False,
    ),
]
License = Annotated[
    str | None,
    typer.Option(
        "--license",
        help="Licence of such a base, by the Hub's id, e.g. apache-2.0.",
        rich_help_panel=HelpPanel.PUBLISH,
        show_default=False,
    ),
]
BaseNote = Annotated[
    str | None,
    typer.Option(
        "--base-note",
        help="A sentence on such a base that readers must know.",
        rich_help_panel=HelpPanel.PUBLISH,
        show_default=False,
    ),
]
Weights = Annotated[
    str,
    typer.Option(
        "--weights",
        help="Upload all, or none: the recipe alone, from which they are made again.",
        rich_help_panel=HelpPanel.PUBLISH,
    ),
]
NoSpace = Annotated[bool, typer.Option("--no-space", help="Publish no demo Space.", rich_help_panel=HelpPanel.PUBLISH)]
Sign = Annotated[
    Path | None,
    typer.Option(
        "--sign", help="Sign with this private key (PEM), or as yourself: sigstore.", rich_help_panel=HelpPanel.PUBLISH
    ),
]
StudyFile = Annotated[
    str | None,
    typer.Option("--study", help="A study's YAML file, or none; see docs/study.md.", rich_help_panel=HelpPanel.PUBLISH),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; needs only config and headers.")]
Base = Annotated[str | None, typer.Option("--base", help="The dense model to compare with.")]
PathOrRepo = Annotated[
    str, typer.Argument(help="A release, a model folder, or a Hub id org/name[@revision].", show_default=False)
]
Since = Annotated[
    str | None,
    typer.Option("--since", help="Say what changed on the Hub since this commit or tag.", metavar="REVISION"),
]
Repositories = Annotated[list[str], typer.Argument(help="Models on the Hub, org/name.", show_default=False)]
Package = Annotated[
    str | None,
    typer.Option("--package", help="What pip installs `release` from in a Job.", show_default="where this one is from"),
]
Flavor = Annotated[str, typer.Option("--flavor", help="What the Job runs on.")]
TokenFrom = Annotated[
    str | None,
    typer.Option(
        "--token-from", help="The variable that holds the Job's token.", show_default="yours", metavar="VARIABLE"
    ),
]
Releases = Annotated[list[Path], typer.Argument(help="Release folders.", show_default=False)]
ReleaseFolder = Annotated[Path, typer.Argument(help="A release folder.", show_default=False)]
