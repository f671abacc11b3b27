"""The commands, thin: read options, call one function, show its result.

Heavy imports (torch, transformers, gradio) happen inside the commands, so that `release --help` is quick.
"""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from release import __version__
from release.progress import Console

if TYPE_CHECKING:
    from release.plan import Measuring, Plan

app = typer.Typer(
    help="Publish pruned language models that can be believed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Panel(StrEnum):
    """Headings in the help."""

    MEASURE = "Measurement"
    PUBLISH = "Publication"


Model = Annotated[
    str, typer.Argument(help="An alias, a Hub id org/name[@revision], a folder, or demo.", show_default=False)
]
Method = Annotated[
    str, typer.Option("--method", help="Pruning method; `release methods` lists them.", show_default=False)
]
Sparsity = Annotated[
    str, typer.Option("--sparsity", help="Share of the prunable weights to zero, e.g. 0.1.", show_default=False)
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of masks, samples and bootstraps.")]
Threads = Annotated[int, typer.Option("--threads", min=0, help="Worker threads for pruning; 0: one per core.")]
Out = Annotated[Path, typer.Option("--out", help="Folder that releases are built in.")]
Bbq = Annotated[
    str,
    typer.Option(
        "--bbq",
        help="auto (200 on a CPU, all on a GPU), full, study, off, a number.",
        rich_help_panel=Panel.MEASURE,
    ),
]
BbqData = Annotated[
    Path | None, typer.Option("--bbq-data", help="A folder in nyu-mll/BBQ's layout.", rich_help_panel=Panel.MEASURE)
]
Perplexity = Annotated[str, typer.Option("--perplexity", help="Windows, or off.", rich_help_panel=Panel.MEASURE)]
Text = Annotated[
    Path | None, typer.Option("--text", help="A UTF-8 text for perplexity.", rich_help_panel=Panel.MEASURE)
]
Latency = Annotated[str, typer.Option("--latency", help="Prompts, or off.", rich_help_panel=Panel.MEASURE)]
Device = Annotated[str, typer.Option("--device", help="A torch device, or auto.", rich_help_panel=Panel.MEASURE)]
To = Annotated[
    str | None,
    typer.Option("--to", help="Hub user or organisation; your own by default.", rich_help_panel=Panel.PUBLISH),
]
Local = Annotated[
    bool, typer.Option("--local", help="Build and verify, upload nothing.", rich_help_panel=Panel.PUBLISH)
]
Private = Annotated[
    bool, typer.Option("--private", help="Leave the repositories private.", rich_help_panel=Panel.PUBLISH)
]
NoSpace = Annotated[bool, typer.Option("--no-space", help="Publish no demo Space.", rich_help_panel=Panel.PUBLISH)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; needs only config and headers.")]
Base = Annotated[str | None, typer.Option("--base", help="The dense model to compare with.")]
Releases = Annotated[list[Path], typer.Argument(help="Release folders.", show_default=False)]
ReleaseFolder = Annotated[Path, typer.Argument(help="A release folder.", show_default=False)]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def release(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Publish pruned language models that can be believed."""


@app.command()
def publish(
    model: Model,
    method: Method,
    sparsity: Sparsity,
    seed: Seed = 42,
    to: To = None,
    local: Local = False,
    private: Private = False,
    no_space: NoSpace = False,
    bbq: Bbq = "auto",
    bbq_data: BbqData = None,
    perplexity: Perplexity = "32",
    text: Text = None,
    latency: Latency = "24",
    device: Device = "auto",
    out: Out = Path("releases"),
    threads: Threads = 0,
    dry_run: DryRun = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Prune, audit, measure, write the card and the Space, and upload them."""
    from release import pipeline, report
    from release.preview import preview

    measuring = _measuring(bbq, bbq_data, perplexity, text, latency, device, seed)
    plan = _plan(model, method, sparsity, seed, measuring, out, threads).model_copy(
        update={"local": local, "namespace": to, "private": private, "space": not no_space}
    )
    if dry_run:
        report.show_preview(preview(plan), json)
    else:
        report.show_release(pipeline.publish(plan, Console()), json)


@app.command()
def prune(
    model: Model,
    method: Method,
    sparsity: Sparsity,
    out: Annotated[Path, typer.Option("--out", help="The model folder to write.", show_default=False)],
    seed: Seed = 42,
    threads: Threads = 0,
    dry_run: DryRun = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a complete pruned model folder, audited, with its record and card."""
    from release import pipeline, report
    from release.preview import preview

    measuring = _measuring("off", None, "off", None, "off", "auto", seed)
    plan = _plan(model, method, sparsity, seed, measuring, out, threads)
    if dry_run:
        report.show_preview(preview(plan), json)
    else:
        report.show_release(pipeline.prune_only(plan, Console()), json)


@app.command()
def verify(
    path_or_repo: Annotated[
        str, typer.Argument(help="A release, a model folder, or a Hub id org/name[@revision].", show_default=False)
    ],
    base: Base = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make every mask again from base and seed.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Read every weight again and compare with record, card and base; exit 1 where they disagree."""
    from release import report
    from release.sources.base import pruned_folder, resolve
    from release.verify import verify as verify_folder

    console = Console()
    folder = pruned_folder(path_or_repo, console)
    dense = resolve(base, console).checkpoint if base else None
    verification = verify_folder(folder, dense, console, rebuild)
    report.show_verification(verification, json)
    raise typer.Exit(0 if verification.ok else 1)


@app.command()
def measure(
    pruned: Annotated[Path, typer.Argument(help="A pruned model folder.", show_default=False)],
    base: Annotated[str, typer.Option("--base", help="The dense model.", show_default=False)],
    seed: Seed = 42,
    bbq: Bbq = "auto",
    bbq_data: BbqData = None,
    perplexity: Perplexity = "32",
    text: Text = None,
    latency: Latency = "24",
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the per-item answers.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure any pruned model beside its base; changes neither."""
    from release import pipeline, report

    measuring = _measuring(bbq, bbq_data, perplexity, text, latency, device, seed)
    report.show_measurements(pipeline.measure_only(pruned, base, measuring, out, Console()), json)


@app.command()
def card(release: ReleaseFolder, json: Json = False, debug: Debug = False) -> None:
    """Write the card anew from the record alone."""
    from release import pipeline, report

    report.show_facts({"card": str(pipeline.render_again(release))}, json)


@app.command()
def push(
    release: ReleaseFolder,
    to: To = None,
    private: Private = False,
    no_space: NoSpace = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Upload a release that was built before."""
    from release import pipeline, report

    report.show_facts(pipeline.push_only(release, to, private, not no_space, Console()).model_dump(mode="json"), json)


@app.command()
def demo(releases: Releases, base: Base = None, debug: Debug = False) -> None:
    """Run a release's Space on this machine; GRADIO_SERVER_NAME and GRADIO_SERVER_PORT are honoured."""
    from release import pipeline

    pipeline.run_space(releases, base, Console())


@app.command()
def methods(json: Json = False) -> None:
    """List the pruning methods."""
    from release import report
    from release.pruning.registry import METHODS

    report.show_methods(METHODS.values(), json)


@app.command()
def models(json: Json = False) -> None:
    """List the aliases of base models."""
    from release import report
    from release.sources.base import ALIASES, DEMO
    from release.sources.demo import HUB_ID

    report.show_models({**ALIASES, DEMO: HUB_ID}, json)


def _plan(model: str, method: str, sparsity: str, seed: int, measuring: "Measuring", out: Path, threads: int) -> "Plan":
    from release.plan import Plan, parse_sparsity
    from release.pruning.recipe import Recipe

    recipe = Recipe.of(method, parse_sparsity(sparsity), seed)
    return Plan(model=model, recipe=recipe, measuring=measuring, out=out, threads=threads, local=True)


def _measuring(
    bbq: str, bbq_data: Path | None, perplexity: str, text: Path | None, latency: str, device: str, seed: int
) -> "Measuring":
    from release.plan import Measuring, parse_amount

    return Measuring(
        bbq=parse_amount("bbq", bbq, ("auto", "full", "study", "off")),
        bbq_data=bbq_data,
        perplexity=parse_amount("perplexity", perplexity, ("off",)),
        text=text,
        latency=parse_amount("latency", latency, ("off",)),
        device=device,
        seed=seed,
    )
