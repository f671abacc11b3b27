"""The commands, thin: read options, call one function, show its result.

A command takes records, whose fields declare the options (`release.settings`). Heavy imports (torch, transformers,
gradio) happen inside the commands, so that `release --help` is quick.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from release import __version__
from release.progress import Console
from release.settings.building import ReleaseOptions
from release.settings.command import command, parameters
from release.settings.common import Base, Debug, DryRun, Json, Model, PathOrRepo, ReleaseFolder, RunOptions
from release.settings.measuring import Measuring
from release.settings.option import shares
from release.settings.publication import Destination, PublishOptions
from release.settings.sweeping import SweepOptions
from release.settings.verifying import VerifyOptions
from release.settings.watching import WatchOptions

app = typer.Typer(
    help="Publish pruned language models that can be believed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def release(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Publish pruned language models that can be believed."""


@command(app)
def publish(
    *,
    model: Model,
    asked: ReleaseOptions,
    destination: Destination,
    publication: PublishOptions,
    dry_run: DryRun = False,
    run: RunOptions,
) -> None:
    """Prune, audit, measure, write the card and the Space, and upload them."""
    from release import api, report
    from release.plan import Plan

    plan = Plan.of(model, asked, out=destination.out, local=destination.local, publication=publication)
    if dry_run:
        from release.preview import preview  # it asks the Hub

        report.show_preview(preview(plan), run.as_json)
    else:
        report.show_release(api.publish(plan, destination.sign), run.as_json)


@command(app, omit=("seeds", *parameters(Measuring, "seed", "device")))
def prune(
    *,
    model: Model,
    out: Annotated[
        Path, typer.Option("--out", help="The model folder to write; several lie inside.", show_default=False)
    ],
    asked: ReleaseOptions,
    sparsity: Annotated[
        str | None,
        typer.Option("--sparsity", help="Share to zero, or several: 0.1,0.3,0.5 from one read.", show_default=False),
    ] = None,
    dry_run: DryRun = False,
    run: RunOptions,
) -> None:
    """Write a complete pruned model folder, audited, with its record and card; or one for each sparsity."""
    from release import api, report
    from release.plan import Plan

    each = (asked.with_sparsity(share) for share in shares(sparsity))
    plans = [Plan.of(model, one, out=out).unmeasured() for one in each]
    if dry_run:
        from release.preview import preview

        report.show_previews([preview(plan) for plan in plans], run.as_json)
    else:
        report.show_releases(api.prune(*plans), run.as_json)


@command(app)
def verify(*, path_or_repo: PathOrRepo, base: Base = None, asked: VerifyOptions, run: RunOptions) -> None:
    """Read every weight again and compare with record, card and base; exit 1 where they disagree."""
    from release import report
    from release.commands.verify import verify_as_asked

    verification = verify_as_asked(path_or_repo, base, asked, Console())
    report.show_verification(verification, run.as_json)
    raise typer.Exit(0 if verification.ok else 1)


@app.command()
def rebuild(
    release_or_repo: PathOrRepo,
    base: Annotated[str, typer.Option("--base", help="The dense model.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="The model folder to write.", show_default=False)],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a pruned model from its base without downloading it; every file is checked by hash."""
    from release import api, report

    report.show_facts({"folder": str(api.rebuild(release_or_repo, base, out))}, json)


@command(app)
def measure(
    *,
    pruned: Annotated[Path, typer.Argument(help="A pruned model folder.", show_default=False)],
    base: Annotated[str, typer.Option("--base", help="The dense model.", show_default=False)],
    measuring: Measuring,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for per-item answers and figures.")] = None,
    run: RunOptions,
) -> None:
    """Measure any pruned model beside its base; changes neither."""
    from release import api, report

    report.show_measurements(api.measure(pruned, base, measuring, out), run.as_json)


@app.command()
def card(
    release: ReleaseFolder,
    diff: Annotated[bool, typer.Option("--diff", help="Only show what would change.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the card anew from the record alone; what you wrote around it stays."""
    from release import report
    from release.commands.card import card_changes, render_again

    if diff:
        report.show_changes(card_changes(release), json)
    else:
        report.show_facts({"card": str(render_again(release))}, json)


@command(app, omit=("out", "local"))
def push(
    *,
    release: ReleaseFolder,
    publication: PublishOptions,
    destination: Destination,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be uploaded and changed.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Upload a release that was built before."""
    from release import report
    from release.publishing.upload import push_only, push_preview

    to = release, publication.namespace, publication, publication.space, Console()
    if dry_run:
        report.show_push_plan(push_preview(*to), json)
    else:
        report.show_facts(push_only(*to, destination.sign).model_dump(mode="json"), json)


@command(app)
def watch(
    *,
    repositories: Annotated[list[str], typer.Argument(help="Models on the Hub, org/name.", show_default=False)],
    asked: WatchOptions,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be made.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Have every push to a repository verified by a Hub Job and reported in a discussion."""
    from release import report
    from release.commands import watch as commands

    if asked.once:
        reported = commands.check_now(repositories, Console())
        report.show_reported(reported, json)
        raise typer.Exit(max(each.exit_code for each in reported))
    if asked.stop:
        report.show_facts({"stopped": commands.stop(repositories)}, json)
    else:
        report.show_watched(commands.watched(repositories, asked, dry_run=dry_run), json)


@command(app)
def sweep(
    *,
    grid: Annotated[Path, typer.Argument(help="A grid's YAML file; see docs/sweep.md.", show_default=False)],
    asked: SweepOptions,
    dry_run: DryRun = False,
    run: RunOptions,
) -> None:
    """Build a grid of releases from one file; what is done already is left as it is. Exit 1 where a cell failed."""
    from release.commands.sweep import run_sweep

    raise typer.Exit(0 if run_sweep(grid, asked, dry_run=dry_run, as_json=run.as_json) else 1)


@app.command()
def report(
    releases: Annotated[
        list[str], typer.Argument(help="Releases, model folders, or Hub ids org/name\\[@revision].", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.")] = Path("report"),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Lay releases beside each other: a page, Markdown, CSV and Parquet. Exit 1 where a card and its files disagree."""
    from release.commands.report import report_on
    from release.report import show_comparison

    found = report_on(releases, out, Console())
    show_comparison(found, out, json)
    raise typer.Exit(1 if any(each.agrees is False for each in found) else 0)


@app.command()
def demo(
    releases: Annotated[list[Path], typer.Argument(help="Release folders.", show_default=False)],
    base: Base = None,
    debug: Debug = False,
) -> None:
    """Run a release's Space on this machine; GRADIO_SERVER_NAME and GRADIO_SERVER_PORT are honoured."""
    from release.commands.demo import run_space

    run_space(releases, base, Console())


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


@cache
def parser() -> Any:
    """Return what reads a command line: typer's command of all commands, made once."""
    return typer.main.get_command(app)
