"""The commands, thin: read options, call one function, show its result.

A command takes records, whose fields declare the options (`release.settings`). Heavy imports (torch, transformers,
gradio) happen inside the commands, so that `release --help` is quick.
"""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from release import __version__
from release.devices import require_possible
from release.format import exact_percent
from release.place import require_place
from release.progress import Console
from release.settings.building import ReleaseOptions
from release.settings.command import command, parameters
from release.settings.common import Base, Debug, DryRun, Json, Model, PathOrRepo, ReleaseFolder, RunOptions
from release.settings.examples import epilog
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
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


def _begin(text: str) -> None:
    """Say at once what was understood: what follows loads libraries that take seconds."""
    Console().say(f"{text} …")


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
    from release.plan import Plan

    where = destination.model_dump(exclude={"sign"})
    plan = Plan.of(model, asked, **where, publication=publication)
    require_place(plan.out, model)
    require_possible(plan.measuring.device)
    _begin(f"{model}, {plan.recipe.method}, {exact_percent(plan.recipe.sparsity)}")
    from release import api, report

    if dry_run:
        from release.preview import of_publishing  # it asks the Hub

        report.show_preview(of_publishing(plan, destination.sign), run.as_json)
    else:
        report.show_release(api.publish(plan, destination.sign), run.as_json)


@command(app, omit=("seeds", *parameters(Measuring, "seed", "device")))
def prune(
    *,
    model: Model,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The model folder to write; several lie inside.", show_default=False)
    ],
    asked: ReleaseOptions,
    sparsity: Annotated[
        str | None,
        typer.Option(
            "--sparsity", "-s", help="Share to zero, or several: 0.1,0.3,0.5 from one read.", show_default=False
        ),
    ] = None,
    dry_run: DryRun = False,
    run: RunOptions,
) -> None:
    """Write a complete pruned model folder, audited, with its record and card; or one for each sparsity."""
    from release.plan import Plan

    each = (asked.with_sparsity(share) for share in shares(sparsity))
    plans = [Plan.of(model, one, out=out).unmeasured() for one in each]
    require_place(out, model)
    if plans[0].recipe.calibration is not None:
        require_possible(plans[0].measuring.device)
    _begin(f"{model}, {plans[0].recipe.method}, {', '.join(exact_percent(plan.recipe.sparsity) for plan in plans)}")
    from release import api, report

    if dry_run:
        from release.preview import of_pruning

        report.show_previews(of_pruning(plans), run.as_json)
    else:
        report.show_releases(api.prune(*plans), run.as_json)


@command(app)
def verify(*, path_or_repo: PathOrRepo, base: Base = None, asked: VerifyOptions, run: RunOptions) -> None:
    """Read every weight again and compare with record, card and base; exit 1 where they disagree."""
    if asked.rebuild or asked.spot_check is not None:
        require_possible(asked.device)
    _begin(f"Verify {path_or_repo}")
    from release import report
    from release.commands.verify import verify_as_asked

    verification = verify_as_asked(path_or_repo, base, asked, Console())
    report.show_verification(verification, run.as_json, report.after_verify(path_or_repo, base))
    raise typer.Exit(0 if verification.ok else 1)


@app.command(epilog=epilog("rebuild"))
def rebuild(
    release_or_repo: PathOrRepo,
    base: Annotated[str, typer.Option("--base", help="The dense model.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model folder to write.", show_default=False)],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a pruned model from its base without downloading it; every file is checked by hash."""
    _begin(f"Rebuild {release_or_repo}")
    from release import api, report

    made = api.rebuild(release_or_repo, base, out)
    check = {"Check it": f"release verify {quote(str(made))} --base {quote(base)}"}
    report.show_facts({"folder": str(made)}, json, check)


@command(app)
def measure(
    *,
    pruned: Annotated[Path, typer.Argument(help="A pruned model folder.", show_default=False)],
    base: Annotated[str, typer.Option("--base", help="The dense model.", show_default=False)],
    measuring: Measuring,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for per-item answers and figures.")] = None,
    run: RunOptions,
) -> None:
    """Measure any pruned model beside its base; changes neither."""
    require_possible(measuring.device)
    _begin(f"Measure {pruned}")
    from release import api, report

    found = api.measure(pruned, base, measuring, out)
    report.show_measurements(found, run.as_json, {} if out else {"Keep the answers": "the same with --out FOLDER"})


@app.command(epilog=epilog("card"))
def card(
    release: ReleaseFolder,
    diff: Annotated[bool, typer.Option("--diff", help="Only show what would change.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the card anew from the record alone; what you wrote around it stays."""
    _begin(f"Card of {release}")
    from release import report
    from release.commands.card import card_changes, render_again

    if diff:
        report.show_changes(card_changes(release), json)
    else:
        made = str(render_again(release))
        report.show_facts({"card": made}, json, {"Upload it": f"release push {quote(str(release))}"})


@command(app, omit=("out", "local", "overwrite"))
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
    _begin(f"Push {release}")
    from release import report
    from release.publishing.upload import push_only, push_preview

    to = release, publication.namespace, publication, publication.space, Console()
    if dry_run:
        report.show_push_plan(push_preview(*to), json)
    else:
        pushed = push_only(*to, destination.sign)
        report.show_facts(pushed.model_dump(mode="json"), json, report.after_push(pushed.model_url))


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
    _begin(f"Watch {', '.join(repositories)}")
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
    _begin(f"Grid {grid}")
    if dry_run or asked.status:
        from release.commands.sweep_plan import look

        raise typer.Exit(0 if look(grid, asked, dry_run=dry_run, as_json=run.as_json) else 1)
    from release.commands.sweep import run_sweep

    raise typer.Exit(0 if run_sweep(grid, asked, as_json=run.as_json) else 1)


@app.command(epilog=epilog("report"))
def report(
    releases: Annotated[
        list[str], typer.Argument(help="Releases, model folders, or Hub ids org/name\\[@revision].", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the report.")] = Path("report"),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Lay releases beside each other: a page, Markdown, CSV and Parquet. Exit 1 where a card and its files disagree."""
    _begin(f"Report on {len(releases)} releases")
    from release.commands.report import report_on
    from release.report import show_comparison

    found = report_on(releases, out, Console())
    show_comparison(found, out, json)
    raise typer.Exit(1 if any(each.agrees is False for each in found) else 0)


@app.command(epilog=epilog("demo"))
def demo(
    releases: Annotated[list[Path], typer.Argument(help="Release folders.", show_default=False)],
    base: Base = None,
    debug: Debug = False,
) -> None:
    """Run a release's Space on this machine; GRADIO_SERVER_NAME and GRADIO_SERVER_PORT are honoured."""
    _begin(f"Space of {', '.join(map(str, releases))}")
    from release.commands.demo import run_space

    with suppress(KeyboardInterrupt):  # it is how a demo ends
        run_space(releases, base, Console())


@app.command(epilog=epilog("doctor"))
def doctor(
    model: Annotated[
        str | None, typer.Argument(help="A model to look at, as for publish.", show_default=False, metavar="[MODEL]")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder that releases would be built in.")] = Path(
        "releases"
    ),
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Look at versions, devices, login, disk and caches, and whether a model fits here; exit 1 where it does not."""
    _begin("Look at this machine")
    from release import report
    from release.commands.doctor import examine

    found = examine(out, model)
    report.show_findings(found, json)
    raise typer.Exit(1 if any(each.ok is False for each in found) else 0)


@app.command(epilog=epilog("cache"))
def cache(
    clear: Annotated[
        list[str] | None,
        typer.Option("--clear", help="Remove this part; `all` for all.", show_default=False, metavar="NAME"),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List what was fetched and measured before, with its size, or remove parts of it."""
    from release import report
    from release.commands import cache as commands

    if clear:
        report.show_cache(commands.clear([] if clear == ["all"] else clear), json, gone=True)
    else:
        report.show_cache(commands.parts(), json)


@app.command(epilog=epilog("methods"))
def methods(json: Json = False) -> None:
    """List the pruning methods."""
    from release import report
    from release.pruning.registry import METHODS

    report.show_methods(METHODS.values(), json)


@app.command(epilog=epilog("models"))
def models(json: Json = False) -> None:
    """List the aliases of base models."""
    from release import report
    from release.sources.base import ALIASES, DEMO
    from release.sources.demo import HUB_ID, SHORT_NOTE

    report.show_models({**ALIASES, DEMO: HUB_ID}, {DEMO: SHORT_NOTE}, json)


@lru_cache
def parser() -> Any:
    """Return what reads a command line: typer's command of all commands, made once."""
    return typer.main.get_command(app)
