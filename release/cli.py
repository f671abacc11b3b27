"""The commands, thin: read options, call one function, show its result.

A command takes records, whose fields declare the options (`release.settings`). Heavy imports (torch, transformers,
gradio) happen inside the commands, so that `release --help` is quick.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from release import __version__
from release.progress import Console
from release.settings.base import Identity
from release.settings.building import BuildOptions
from release.settings.command import command, option
from release.settings.common import (
    Base,
    Debug,
    DryRun,
    Json,
    MaxMemory,
    Model,
    PathOrRepo,
    PrivateKey,
    ReleaseFolder,
    Since,
)
from release.settings.measuring import Measuring
from release.settings.option import HelpPanel, shares
from release.settings.publication import PublishOptions
from release.settings.recipe import RecipeOptions

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
    recipe: RecipeOptions,
    identity: Identity,
    local: Annotated[
        bool, typer.Option("--local", help="Build and verify, upload nothing.", rich_help_panel=HelpPanel.PUBLISH)
    ] = False,
    ways: PublishOptions,
    sign: PrivateKey = None,
    measuring: Measuring,
    max_memory: MaxMemory = None,
    out: Annotated[Path, typer.Option("--out", help="Folder that releases are built in.")] = Path("releases"),
    building: BuildOptions,
    dry_run: DryRun = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Prune, audit, measure, write the card and the Space, and upload them."""
    from release import api, report
    from release.plan import Plan
    from release.preview import preview

    where = {"model": model, "identity": identity, "out": out, "local": local}
    plan = Plan.of(recipe, building, measuring=measuring, ways=ways, **where)
    if dry_run:
        report.show_preview(preview(plan), json)
    else:
        report.show_release(api.publish(plan, sign), json)


@command(app, omit=("seeds",))
def prune(
    *,
    model: Model,
    out: Annotated[
        Path, typer.Option("--out", help="The model folder to write; several lie inside.", show_default=False)
    ],
    recipe: RecipeOptions,
    identity: Identity,
    sparsity: Annotated[
        str | None,
        typer.Option("--sparsity", help="Share to zero, or several: 0.1,0.3,0.5 from one read.", show_default=False),
    ] = None,
    device: Annotated[str, option(Measuring, "device")] = "auto",
    max_memory: MaxMemory = None,
    building: BuildOptions,
    dry_run: DryRun = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a complete pruned model folder, audited, with its record and card; or one for each sparsity."""
    from release import api, report
    from release.plan import Plan
    from release.preview import preview

    nothing = Measuring(device=device, seed=recipe.seed).nothing()
    where = {"model": model, "identity": identity, "out": out, "local": True}
    each = (recipe.model_copy(update={"sparsity": share}) for share in shares(sparsity))
    plans = [Plan.of(one, building, measuring=nothing, **where) for one in each]
    if dry_run:
        report.show_previews([preview(plan) for plan in plans], json)
    else:
        report.show_releases(api.prune(*plans), json)


@app.command()
def verify(
    path_or_repo: PathOrRepo,
    base: Base = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make every mask again from base and seed.")] = False,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", help="The text file a release was calibrated on, for --rebuild.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="The signer's public key (PEM), to check model.sig with.")
    ] = None,
    identity: Annotated[str | None, typer.Option("--identity", help="Who signed by Sigstore, to check.")] = None,
    identity_provider: Annotated[
        str | None, typer.Option("--identity-provider", help="The address of who vouches for that identity.")
    ] = None,
    spot: Annotated[
        int | None,
        typer.Option("--spot-check", min=1, max=100_000, help="Ask so many items of both models again.", metavar="N"),
    ] = None,
    spot_seed: Annotated[
        int | None, typer.Option("--spot-seed", min=0, max=2**32 - 1, help="Draws them; by default a fresh one.")
    ] = None,
    since: Since = None,
    bbq_data: Annotated[Path | None, option(Measuring, "bbq_data")] = None,
    text: Annotated[Path | None, option(Measuring, "text")] = None,
    device: Annotated[str, option(Measuring, "device")] = "auto",
    max_memory: MaxMemory = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Read every weight again and compare with record, card and base; exit 1 where they disagree."""
    from release import report
    from release.evals.again import Spot
    from release.sources.base import base_files, changed_since, pruned_files
    from release.sources.changes import told_where_it_fails
    from release.verification.keyless import whose
    from release.verification.remask import Again
    from release.verification.verify import verify as verify_files

    console, who = Console(), whose(key, identity, identity_provider)
    files = pruned_files(path_or_repo, console)
    changed = changed_since(since, files) if since is not None else None
    dense = partial(base_files, base, console) if base is not None else None
    again = Again(calibration, device) if rebuild else None
    some = Spot(spot, spot_seed, device, bbq_data, text) if spot is not None else None
    with told_where_it_fails(changed, console):
        verification = verify_files(files, dense, console, again, who, some, base)
    report.show_verification(verification.model_copy(update={"since": changed}), json)
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
    max_memory: MaxMemory = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for per-item answers and figures.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure any pruned model beside its base; changes neither."""
    from release import api, report

    report.show_measurements(api.measure(pruned, base, measuring, out), json)


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


@command(app)
def push(
    *,
    release: ReleaseFolder,
    ways: PublishOptions,
    sign: PrivateKey = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be uploaded and changed.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Upload a release that was built before."""
    from release import report
    from release.publishing import upload as publishing

    if dry_run:
        report.show_push_plan(publishing.push_preview(release, ways.namespace, ways, ways.space, Console()), json)
    else:
        pushed = publishing.push_only(release, ways.namespace, ways, ways.space, Console(), sign)
        report.show_facts(pushed.model_dump(mode="json"), json)


@app.command()
def watch(
    repositories: Annotated[list[str], typer.Argument(help="Models on the Hub, org/name.", show_default=False)],
    stop: Annotated[bool, typer.Option("--stop", help="Take away what watches them.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Verify and report here and now; what the Job runs.")] = False,
    package: Annotated[
        str | None,
        typer.Option(
            "--package", help="What pip installs `release` from in a Job.", show_default="where this one is from"
        ),
    ] = None,
    flavor: Annotated[str, typer.Option("--flavor", help="What the Job runs on.")] = "cpu-basic",
    token_from: Annotated[
        str | None,
        typer.Option(
            "--token-from", help="The variable that holds the Job's token.", show_default="yours", metavar="VARIABLE"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be made.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Have every push to a repository verified by a Hub Job and reported in a discussion."""
    from release import report
    from release.hub import HubClient, job
    from release.hub import watch as webhooks
    from release.verification import standing

    if once:
        reported = standing.check_all(repositories, Console())
        report.show_reported(reported, json)
        raise typer.Exit(max(each.exit_code for each in reported))
    if stop:
        report.show_facts({"stopped": webhooks.stop(repositories)}, json)
        return
    source, token = job.package_of(package), job.secret_of(HubClient(), token_from)
    if dry_run:
        report.show_watched(webhooks.survey(repositories, source, flavor), json)
    else:
        report.show_watched(webhooks.watch(repositories, source, flavor, token, anew=token_from is not None), json)


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
