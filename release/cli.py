"""The commands, thin: read options, call one function, show its result.

Heavy imports (torch, transformers, gradio) happen inside the commands, so that `release --help` is quick.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from release import __version__
from release.options import (
    Adopt,
    Allocation,
    AllowNonfinite,
    Base,
    BaseId,
    BaseNote,
    Bbq,
    BbqCategories,
    BbqData,
    BbqEngine,
    BbqPrecision,
    BbqScoring,
    Calibration,
    CalibrationLength,
    CalibrationSamples,
    Collection,
    Debug,
    Device,
    DryRun,
    EvalDtype,
    Flavor,
    Gated,
    Into,
    Json,
    Latency,
    LatencyEngine,
    License,
    Local,
    LogFormat,
    MaxMemory,
    Method,
    Model,
    NoSpace,
    Out,
    Package,
    PathOrRepo,
    Pattern,
    Perplexity,
    Private,
    PullRequest,
    ReleaseFolder,
    Releases,
    Repositories,
    ResourceGroup,
    Revision,
    Scope,
    Seed,
    Seeds,
    ShowUnasked,
    Sign,
    Since,
    SpaceHardware,
    SpaceTimeout,
    Sparsities,
    Sparsity,
    StudyFile,
    Text,
    Threads,
    To,
    TokenFrom,
    Uncalibrated,
    Weights,
    WithMask,
)
from release.progress import Console

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


@app.command()
def publish(
    model: Model,
    method: Method,
    sparsity: Sparsity = None,
    seed: Seed = 42,
    pattern: Pattern = None,
    scope: Scope = None,
    allocation: Allocation = "uniform",
    calibration: Calibration = "auto",
    calibration_samples: CalibrationSamples = 128,
    calibration_length: CalibrationLength = None,
    uncalibrated: Uncalibrated = "refuse",
    allow_nonfinite: AllowNonfinite = False,
    with_mask: WithMask = False,
    base_id: BaseId = None,
    licence: License = None,
    base_note: BaseNote = None,
    study: StudyFile = None,
    to: To = None,
    into: Into = None,
    adopt: Adopt = False,
    local: Local = False,
    private: Private = False,
    gated: Gated = None,
    pr: PullRequest = False,
    revision: Revision = "main",
    collection: Collection = None,
    no_space: NoSpace = False,
    space_hardware: SpaceHardware = None,
    space_timeout: SpaceTimeout = None,
    show_unasked: ShowUnasked = False,
    weights: Weights = "all",
    resource_group: ResourceGroup = None,
    sign: Sign = None,
    bbq: Bbq = "auto",
    seeds: Seeds = 1,
    precision: BbqPrecision = None,
    bbq_scoring: BbqScoring = "letters",
    bbq_engine: BbqEngine = "transformers",
    bbq_categories: BbqCategories = None,
    bbq_data: BbqData = None,
    perplexity: Perplexity = "32",
    text: Text = None,
    latency: Latency = "auto",
    latency_engine: LatencyEngine = "transformers",
    eval_dtype: EvalDtype = "float32",
    log_format: LogFormat = None,
    device: Device = "auto",
    max_memory: MaxMemory = None,
    out: Out = Path("releases"),
    threads: Threads = 0,
    dry_run: DryRun = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Prune, audit, measure, write the card and the Space, and upload them."""
    from release import api, report
    from release.plan import Plan, measuring, parse_calibration, parse_sparsity, recipe_of, ways
    from release.preview import preview
    from release.schema.study import study_of
    from release.sources.identity import identity

    text_plan, text_file = parse_calibration(calibration, calibration_samples, calibration_length)
    plan = Plan(
        model=model,
        recipe=recipe_of(
            method,
            parse_sparsity(sparsity) if sparsity is not None else None,
            seed,
            scope=scope,
            pattern=pattern,
            allocation=allocation,
            calibration=text_plan,
            uncalibrated=uncalibrated,
            allow_nonfinite=allow_nonfinite,
        ),
        measuring=measuring(
            bbq=bbq,
            bbq_scoring=bbq_scoring,
            bbq_engine=bbq_engine,
            bbq_categories=bbq_categories,
            bbq_data=bbq_data,
            perplexity=perplexity,
            text=text,
            latency=latency,
            latency_engine=latency_engine,
            eval_dtype=eval_dtype,
            log_format=log_format,
            device=device,
            seed=seed,
            precision=precision,
        ),
        out=out,
        local=local,
        namespace=to,
        ways=ways(
            private=private,
            gated=gated,
            pull_request=pr,
            revision=revision,
            collection=collection,
            space_hardware=space_hardware,
            into=into or (),
            adopt=adopt,
            space_timeout=space_timeout,
            show_unasked=show_unasked,
            weights=weights,
            resource_group=resource_group,
        ),
        space=not no_space,
        threads=threads,
        calibration_file=text_file,
        with_mask=with_mask,
        study=study_of(study),
        study_file=Path(study).name if study else None,
        identity=identity(base_id=base_id, licence=licence, base_note=base_note),
        seeds=seeds,
    )
    if dry_run:
        report.show_preview(preview(plan), json)
    else:
        report.show_release(api.publish(plan, sign), json)


@app.command()
def prune(
    model: Model,
    method: Method,
    out: Annotated[
        Path, typer.Option("--out", help="The model folder to write; several lie inside.", show_default=False)
    ],
    sparsity: Sparsities = None,
    seed: Seed = 42,
    pattern: Pattern = None,
    scope: Scope = None,
    allocation: Allocation = "uniform",
    calibration: Calibration = "auto",
    calibration_samples: CalibrationSamples = 128,
    calibration_length: CalibrationLength = None,
    uncalibrated: Uncalibrated = "refuse",
    allow_nonfinite: AllowNonfinite = False,
    with_mask: WithMask = False,
    base_id: BaseId = None,
    licence: License = None,
    base_note: BaseNote = None,
    study: StudyFile = None,
    device: Device = "auto",
    max_memory: MaxMemory = None,
    threads: Threads = 0,
    dry_run: DryRun = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a complete pruned model folder, audited, with its record and card; or one for each sparsity."""
    from release import api, report
    from release.plan import Measuring, Plan, parse_calibration, parse_sparsities, recipe_of
    from release.preview import preview
    from release.schema.study import study_of
    from release.sources.identity import identity

    text_plan, text_file = parse_calibration(calibration, calibration_samples, calibration_length)
    plans = [
        Plan(
            model=model,
            recipe=recipe_of(
                method,
                share,
                seed,
                scope=scope,
                pattern=pattern,
                allocation=allocation,
                calibration=text_plan,
                uncalibrated=uncalibrated,
                allow_nonfinite=allow_nonfinite,
            ),
            measuring=Measuring(bbq="off", perplexity="off", latency="off", device=device, seed=seed),
            out=out,
            local=True,
            threads=threads,
            calibration_file=text_file,
            with_mask=with_mask,
            study=study_of(study),
            study_file=Path(study).name if study else None,
            identity=identity(base_id=base_id, licence=licence, base_note=base_note),
        )
        for share in parse_sparsities(sparsity)
    ]
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
    bbq_data: BbqData = None,
    text: Text = None,
    device: Device = "auto",
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


@app.command()
def measure(
    pruned: Annotated[Path, typer.Argument(help="A pruned model folder.", show_default=False)],
    base: Annotated[str, typer.Option("--base", help="The dense model.", show_default=False)],
    seed: Seed = 42,
    bbq: Bbq = "auto",
    precision: BbqPrecision = None,
    bbq_scoring: BbqScoring = "letters",
    bbq_engine: BbqEngine = "transformers",
    bbq_categories: BbqCategories = None,
    bbq_data: BbqData = None,
    perplexity: Perplexity = "32",
    text: Text = None,
    latency: Latency = "auto",
    latency_engine: LatencyEngine = "transformers",
    eval_dtype: EvalDtype = "float32",
    log_format: LogFormat = None,
    device: Device = "auto",
    max_memory: MaxMemory = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for per-item answers and figures.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure any pruned model beside its base; changes neither."""
    from release import api, report
    from release.plan import measuring

    asked = measuring(
        bbq=bbq,
        bbq_scoring=bbq_scoring,
        bbq_engine=bbq_engine,
        bbq_categories=bbq_categories,
        bbq_data=bbq_data,
        perplexity=perplexity,
        text=text,
        latency=latency,
        latency_engine=latency_engine,
        eval_dtype=eval_dtype,
        log_format=log_format,
        device=device,
        seed=seed,
        precision=precision,
    )
    report.show_measurements(api.measure(pruned, base, asked, out), json)


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


@app.command()
def push(
    release: ReleaseFolder,
    to: To = None,
    into: Into = None,
    adopt: Adopt = False,
    private: Private = False,
    gated: Gated = None,
    pr: PullRequest = False,
    revision: Revision = "main",
    collection: Collection = None,
    no_space: NoSpace = False,
    space_hardware: SpaceHardware = None,
    space_timeout: SpaceTimeout = None,
    show_unasked: ShowUnasked = False,
    weights: Weights = "all",
    resource_group: ResourceGroup = None,
    sign: Sign = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be uploaded and changed.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Upload a release that was built before."""
    from release import report
    from release.plan import ways
    from release.publishing import upload as publishing

    how = ways(
        private=private,
        gated=gated,
        pull_request=pr,
        revision=revision,
        collection=collection,
        space_hardware=space_hardware,
        into=into or (),
        adopt=adopt,
        space_timeout=space_timeout,
        show_unasked=show_unasked,
        weights=weights,
        resource_group=resource_group,
    )
    if dry_run:
        report.show_push_plan(publishing.push_preview(release, to, how, not no_space, Console()), json)
    else:
        pushed = publishing.push_only(release, to, how, not no_space, Console(), sign)
        report.show_facts(pushed.model_dump(mode="json"), json)


@app.command()
def watch(
    repositories: Repositories,
    stop: Annotated[bool, typer.Option("--stop", help="Take away what watches them.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Verify and report here and now; what the Job runs.")] = False,
    package: Package = None,
    flavor: Flavor = "cpu-basic",
    token_from: TokenFrom = None,
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
def demo(releases: Releases, base: Base = None, debug: Debug = False) -> None:
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
