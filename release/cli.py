"""The commands, thin: read options, call one function, show its result.

A command takes records, whose fields declare the options (`release.settings`). Annotations are looked up with a
command's options, and heavy imports (torch, transformers, gradio) happen inside the commands, so that `release --help`
and every first line are quick.
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

import release as package  # one of the commands is called so
from release import __version__
from release.deferred import DeferredGroup, command
from release.devices import require_possible
from release.format import exact_percent

if TYPE_CHECKING:
    from release.progress import Console
    from release.settings import building, common, measuring, publication, sweeping, verifying, watching

COUNTS = "Count what is prunable in the headers, and ask the model class"
LAYS_OUT = f"{COUNTS}; lay out what both models would be asked"
"""What a dry run does, which takes seconds."""

app = typer.Typer(
    cls=DeferredGroup,
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
    _console().say(f"{text} …")


def _console() -> Console:
    from release.progress import Console  # rich, which only the help of all does without

    return Console()


def _not_of_pruning() -> tuple[str, ...]:
    """What `prune` has no option for: it measures nothing, and makes several releases by their sparsities."""
    from release.settings import command, measuring

    return ("seeds", *command.parameters(measuring.Measuring, "seed", "device"))


def _require_place(out: Path, model: str) -> None:
    from release.place import require_place  # as the records, by pydantic

    require_place(out, model)


@app.callback()
def release(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Publish pruned language models that can be believed."""


@command()
def publish(
    *,
    model: common.Model,
    asked: building.ReleaseOptions,
    destination: publication.Destination,
    publication: publication.PublishOptions,
    dry_run: common.DryRun = False,
    run: common.RunOptions,
) -> None:
    """Prune, audit, measure, write the card and the Space, and upload them."""
    from release.plan import Plan

    where = destination.model_dump(exclude={"sign"})
    plan = Plan.of(model, asked, **where, publication=publication)
    _require_place(plan.out, model)
    require_possible(plan.measuring.device)
    _begin(f"{model}, {plan.recipe.method}, {exact_percent(plan.recipe.sparsity)}")
    from release import report

    if dry_run:
        _begin(LAYS_OUT)
        from release.preview import of_publishing  # it asks the Hub

        report.show_preview(of_publishing(plan, destination.sign), run.as_json)
    else:
        report.show_release(package.publish(plan, destination.sign), run.as_json)


@command(_not_of_pruning)
def prune(
    *,
    model: common.Model,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The model folder to write; several lie inside.", show_default=False)
    ],
    asked: building.ReleaseOptions,
    sparsity: Annotated[
        str | None,
        typer.Option(
            "--sparsity", "-s", help="Share to zero, or several: 0.1,0.3,0.5 from one read.", show_default=False
        ),
    ] = None,
    dry_run: common.DryRun = False,
    run: common.RunOptions,
) -> None:
    """Write a complete pruned model folder, audited, with its record and card; or one for each sparsity."""
    from release.plan import Plan
    from release.settings.option import shares

    each = (asked.with_sparsity(share) for share in shares(sparsity))
    plans = [Plan.of(model, one, out=out).unmeasured() for one in each]
    _require_place(out, model)
    if plans[0].recipe.calibration is not None:
        require_possible(plans[0].measuring.device)
    _begin(f"{model}, {plans[0].recipe.method}, {', '.join(exact_percent(plan.recipe.sparsity) for plan in plans)}")
    from release import report

    if dry_run:
        _begin(COUNTS)
        from release.preview import of_pruning

        report.show_previews(of_pruning(plans), run.as_json)
    else:
        from release.commands.prune import prune_only  # `release.api` brings the Hub, too

        report.show_releases(prune_only(plans, _console()), run.as_json)


@command()
def verify(
    *, path_or_repo: common.PathOrRepo, base: common.Base = None, asked: verifying.VerifyOptions, run: common.RunOptions
) -> None:
    """Read every weight again and compare with record, card and base; exit 1 where they disagree."""
    if asked.rebuild or asked.spot_check is not None:
        require_possible(asked.device)
    _begin(f"Verify {path_or_repo}")
    from release import report
    from release.commands.verify import verify_as_asked

    verification = verify_as_asked(path_or_repo, base, asked, _console())
    report.show_verification(verification, run.as_json, report.after_verify(path_or_repo, base))
    raise typer.Exit(0 if verification.ok else 1)


@command()
def rebuild(
    release_or_repo: common.PathOrRepo,
    base: Annotated[str, typer.Option("--base", help="The dense model.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model folder to write.", show_default=False)],
    json: common.Json = False,
    debug: common.Debug = False,
) -> None:
    """Make a pruned model from its base without downloading it; every file is checked by hash."""
    _begin(f"Rebuild {release_or_repo}")
    from release import api, report

    made = api.rebuild(release_or_repo, base, out)
    check = {"Check it": f"release verify {quote(str(made))} --base {quote(base)}"}
    report.show_facts({"folder": str(made)}, json, check)


@command()
def measure(
    *,
    pruned: Annotated[Path, typer.Argument(help="A pruned model folder.", show_default=False)],
    base: Annotated[str, typer.Option("--base", help="The dense model.", show_default=False)],
    measuring: measuring.Measuring,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for per-item answers and figures.")] = None,
    run: common.RunOptions,
) -> None:
    """Measure any pruned model beside its base; changes neither."""
    require_possible(measuring.device)
    _begin(f"Measure {pruned}")
    from release import api, report

    found = api.measure(pruned, base, measuring, out)
    report.show_measurements(found, run.as_json, {} if out else {"Keep the answers": "the same with --out FOLDER"})


@command()
def card(
    release: common.ReleaseFolder,
    diff: Annotated[bool, typer.Option("--diff", help="Only show what would change.")] = False,
    json: common.Json = False,
    debug: common.Debug = False,
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


@command(lambda: ("out", "local", "overwrite"))
def push(
    *,
    release: common.ReleaseFolder,
    publication: publication.PublishOptions,
    destination: publication.Destination,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be uploaded and changed.")] = False,
    json: common.Json = False,
    debug: common.Debug = False,
) -> None:
    """Upload a release that was built before."""
    _begin(f"Push {release}")
    from release import report
    from release.publishing.upload import push_only, push_preview

    to = release, publication.namespace, publication, publication.space, _console()
    if dry_run:
        report.show_push_plan(push_preview(*to), json)
    else:
        pushed = push_only(*to, destination.sign)
        report.show_facts(pushed.model_dump(mode="json"), json, report.after_push(pushed.model_url))


@command()
def watch(
    *,
    repositories: Annotated[list[str], typer.Argument(help="Models on the Hub, org/name.", show_default=False)],
    asked: watching.WatchOptions,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be made.")] = False,
    json: common.Json = False,
    debug: common.Debug = False,
) -> None:
    """Have every push to a repository verified by a Hub Job and reported in a discussion."""
    _begin(f"Watch {', '.join(repositories)}")
    from release import report
    from release.commands import watch as commands

    if asked.once:
        reported = commands.check_now(repositories, _console())
        report.show_reported(reported, json)
        raise typer.Exit(max(each.exit_code for each in reported))
    if asked.stop:
        report.show_facts({"stopped": commands.stop(repositories)}, json)
    else:
        report.show_watched(commands.watched(repositories, asked, dry_run=dry_run), json)


@command()
def sweep(
    *,
    grid: Annotated[Path, typer.Argument(help="A grid's YAML file; see docs/sweep.md.", show_default=False)],
    asked: sweeping.SweepOptions,
    dry_run: common.DryRun = False,
    run: common.RunOptions,
) -> None:
    """Build a grid of releases from one file; what is done already is left as it is. Exit 1 where a cell failed."""
    _begin(f"Grid {grid}")
    if dry_run or asked.status:
        from release.commands.sweep_plan import look

        raise typer.Exit(0 if look(grid, asked, dry_run=dry_run, as_json=run.as_json) else 1)
    from release.commands.sweep import run_sweep

    raise typer.Exit(0 if run_sweep(grid, asked, as_json=run.as_json) else 1)


@command()
def report(
    releases: Annotated[
        list[str], typer.Argument(help="Releases, model folders, or Hub ids org/name\\[@revision].", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the report.")] = Path("report"),
    json: common.Json = False,
    debug: common.Debug = False,
) -> None:
    """Lay releases beside each other: a page, Markdown, CSV and Parquet. Exit 1 where a card and its files disagree."""
    _begin(f"Report on {len(releases)} releases")
    from release.commands.report import report_on
    from release.report import show_comparison

    found = report_on(releases, out, _console())
    show_comparison(found, out, json)
    raise typer.Exit(1 if any(each.agrees is False for each in found) else 0)


@command()
def demo(
    releases: Annotated[list[Path], typer.Argument(help="Release folders.", show_default=False)],
    base: common.Base = None,
    debug: common.Debug = False,
) -> None:
    """Run a release's Space on this machine; GRADIO_SERVER_NAME and GRADIO_SERVER_PORT are honoured."""
    _begin(f"Space of {', '.join(map(str, releases))}")
    from release.commands.demo import run_space

    with suppress(KeyboardInterrupt):  # it is how a demo ends
        run_space(releases, base, _console())


@command()
def doctor(
    model: Annotated[
        str | None, typer.Argument(help="A model to look at, as for publish.", show_default=False, metavar="[MODEL]")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder that releases would be built in.")] = Path(
        "releases"
    ),
    json: common.Json = False,
    debug: common.Debug = False,
) -> None:
    """Look at versions, devices, login, disk and caches, and whether a model fits here; exit 1 where it does not."""
    _begin("Look at this machine")
    from release import report
    from release.commands.doctor import examine

    found = examine(out, model)
    report.show_findings(found, json)
    raise typer.Exit(1 if any(each.ok is False for each in found) else 0)


@command()
def cache(
    clear: Annotated[
        list[str] | None,
        typer.Option("--clear", help="Remove this part; `all` for all.", show_default=False, metavar="NAME"),
    ] = None,
    json: common.Json = False,
    debug: common.Debug = False,
) -> None:
    """List what was fetched and measured before, with its size, or remove parts of it."""
    from release import report
    from release.commands import cache as commands

    if clear:
        report.show_cache(commands.clear([] if clear == ["all"] else clear), json, gone=True)
    else:
        report.show_cache(commands.parts(), json)


@command()
def methods(json: common.Json = False) -> None:
    """List the pruning methods."""
    from release import report
    from release.pruning.registry import METHODS

    report.show_methods(METHODS.values(), json)


@command()
def models(json: common.Json = False) -> None:
    """List the aliases of base models."""
    from release import report
    from release.sources import base, demo

    report.show_models({**base.ALIASES, base.DEMO: demo.HUB_ID}, {base.DEMO: demo.SHORT_NOTE}, json)


@lru_cache
def parser() -> Any:
    """Return what reads a command line: typer's command of all commands, made once."""
    return typer.main.get_command(app)
