"""An option has one home: the field of a record. The help, the plan, the record and the repeating command follow."""

import json
import shlex
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

import release
from release import cli
from release.asked import command, plan_record
from release.errors import BadOption, UnknownName
from release.frozen import Frozen
from release.plan import Plan
from release.progress import Console
from release.pruning.registry import METHODS
from release.schema.record import PlanRecord
from release.settings.base import Identity
from release.settings.building import BuildOptions
from release.settings.command import collected, understood
from release.settings.measuring import Measuring
from release.settings.option import Setting, settings_of, share, shares
from release.settings.publication import PublishOptions
from release.settings.recipe import RecipeOptions
from release.settings.words import words_of
from release.sources.base import BaseModel, resolve

RECORDS = (RecipeOptions, Measuring, PublishOptions, BuildOptions, Identity)
GROUP: Any = typer.main.get_command(cli.app)


def parsed(words: list[str]) -> dict[str, Any]:
    """What `release publish` takes from a command line, by its own parser."""
    context = GROUP.commands["publish"].make_context("publish", words)
    return collected(cli.publish, context.params)


def planned(words: list[str]) -> Plan:
    found = parsed(words)
    return Plan.of(found["model"], found["asked"])


@pytest.fixture(scope="module")
def base(base_folders: dict[str, Path]) -> BaseModel:
    return resolve(str(base_folders["llama"]), Console(quiet=True))


SHARES = st.decimals(Decimal("0.001"), Decimal("0.999"), places=3).map(lambda value: format(value, "f"))
AMOUNTS = st.integers(1, 999_999_999).map(str)
SEEDS = st.integers(0, (1 << 63) - 21).map(str)
WORDS: dict[str, st.SearchStrategy[str]] = {
    "--sparsity": SHARES,
    "--seed": SEEDS,
    "--sample-seed": SEEDS,
    "--pattern": st.sampled_from(("2:4", "4:8", "1:2")),
    "--calibration": st.sampled_from(("auto", "c4", "WikiPedia")),
    "--calibration-samples": st.integers(1, 1_000_000).map(str),
    "--calibration-length": st.integers(2, 10_000_000).map(str),
    "--study": st.just("none"),
    "--seeds": st.integers(1, 20).map(str),
    "--threads": st.integers(0, 1_024).map(str),
    "--bbq": st.sampled_from(("auto", "full", "study", "OFF")) | AMOUNTS,
    "--precision": SHARES,
    "--bbq-categories": st.lists(st.sampled_from(("Age", "SES", "Race_x_SES")), min_size=1, unique=True).map(",".join),
    "--bbq-data": st.sampled_from(("bbq", "my data", "-x")),
    "--perplexity": st.just("off") | AMOUNTS,
    "--window": st.integers(256, 1_000_000).map(str),
    "--stride": st.integers(1, 256).map(str),
    "--divergence": st.sampled_from(("auto", "off")),
    "--crows-pairs": st.sampled_from(("full", "OFF")) | AMOUNTS,
    "--stereoset": st.sampled_from(("full", "OFF")) | AMOUNTS,
    "--winobias": st.sampled_from(("full", "OFF")) | AMOUNTS,
    "--text": st.sampled_from(("t.txt", "a b.txt")),
    "--latency": st.just("off") | AMOUNTS,
    "--latency-engine": st.sampled_from(("transformers", "mlx", "mlx,transformers", "transformers,mlx")),
    "--tasks": st.sampled_from(("arc_easy", "arc_easy, hellaswag", "off")),
    "--base-id": st.just("lab/Model-1B"),
    "--license": st.sampled_from(("mit", "apache-2.0")),
    "--base-note": st.sampled_from(("Merged from two runs.", "It's 'odd' $x \"y\"", "--local")),
}
"""Words for each option that is no choice and no flag."""


NOT_ALONE = ("--tasks-limit", "--tasks-shots", "--tasks-path", "--import-lm-eval")
"""Options that another has to be given beside, or that take two words; a test of their own asks them."""


def repeating(records: tuple[type[Frozen], ...]) -> dict[str, Setting]:
    """The options that a repeating command states, by their word."""
    found: dict[str, Setting] = {}
    for record in records:
        for _, each in settings_of(record):
            inner = {each.option.word: each} if isinstance(each, Setting) else repeating((each,))
            found |= {word: setting for word, setting in inner.items() if setting.option.repeats}
    return found


def without_contradictions(words: dict[str, str | None]) -> dict[str, str | None]:
    """Leave out what the rest of a command line excludes."""
    row, left_out = METHODS[str(words["--method"])], list[str]()
    if "--pattern" in words:
        left_out += ["--sparsity", "--allocation", "--scope"]
    if words.get("--scope") not in row.scopes:
        left_out.append("--scope")
    if not row.calibrated:
        left_out.append("--allocation")
    if not row.seeded or (words.get("--bbq"), words.get("--perplexity")) == ("OFF", "off"):
        left_out.append("--seeds")
    if words.get("--perplexity-preset") in ("c4", "study"):
        left_out.append("--text")
    if "--precision" in words:
        left_out.append("--bbq")
    return ({} if "--pattern" in words else {"--sparsity": "0.5"}) | {
        k: v for k, v in words.items() if k not in left_out
    }


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command line that asks for anything that changes files or numbers."""
    words: dict[str, str | None] = {"--method": draw(st.sampled_from(sorted(METHODS)))}
    for word, setting in repeating((RecipeOptions, Measuring, BuildOptions, Identity)).items():
        if word == "--method" or not draw(st.booleans()):
            continue
        if word in NOT_ALONE:
            continue
        if setting.kind is bool:
            words[word] = None
        else:
            words[word] = draw(st.sampled_from(setting.choices) if setting.choices else WORDS[word])
    asked = without_contradictions(words)
    return ["llama", *(word if value is None else f"{word}={value}" for word, value in asked.items())]


@settings(max_examples=40)
@given(asked=command_lines())
def test_the_command_on_record_parses_back_to_the_same_plan(base: BaseModel, asked: list[str]) -> None:
    plan = planned(asked)
    _, _, *words = shlex.split(command(plan, base, None))
    again = planned(words)
    assert again.recipe == plan.recipe
    assert again.measuring == plan.measuring
    assert again.building == plan.building.model_copy(update={"threads": 0})
    assert (again.identity, again.study, again.publication) == (plan.identity, plan.study, PublishOptions())


@pytest.mark.parametrize(
    "words",
    [
        ["--tasks=arc_easy,hellaswag", "--tasks-limit=50", "--tasks-shots=5", "--tasks-path=mine"],
        ["--import-lm-eval", "dense.json", "pruned.json"],
    ],
)
def test_options_of_tasks_parse_back_without_the_folders_of_their_paths(base: BaseModel, words: list[str]) -> None:
    plan = planned(["llama", "--method=magnitude", "--sparsity=0.5", *words])
    _, _, *again = shlex.split(command(plan, base, None))
    assert planned(again).measuring == plan.measuring


def test_a_category_that_bbq_has_not_is_refused_with_the_options_and_one_of_other_data_by_the_data() -> None:
    words = "llama", "--method=random", "--sparsity=0.1", "--bbq-categories=Agee"
    with pytest.raises(UnknownName, match="Agee"):
        planned([*words])
    assert planned([*words, "--bbq-data=mine"]).measuring.bbq_categories == ("Agee",)


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_of_defaults_has_no_words_but_what_is_required(record: type[Frozen]) -> None:
    required = {"method": "random"} if record is RecipeOptions else {}
    assert words_of(record(**required), all_of_them=True) == [w for k, v in required.items() for w in (f"--{k}", v)]


def test_words_of_how_a_release_is_published_parse_back() -> None:
    words = ["--to", "lab", "--into", "lab/m", "--into", "spaces/lab/s", "--gated", "manual", "--no-space", "--adopt"]
    words += ["--weights", "none", "--space-timeout", "90", "--resource-group", "abc-1", "--revision", "next"]
    words += ["--contact", "https://example.org/harm"]
    found = parsed(["demo", "--method", "random", *words])["publication"]
    assert (found.into, found.space_into, found.space, found.weights) == ("lab/m", "lab/s", False, "none")
    again = parsed(["demo", "--method", "random", *words_of(found, all_of_them=True)])["publication"]
    assert again == found


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ({"method": "Random"}, "method", "random"),
        ({"scope": "GLOBAL"}, "scope", "global"),
        ({"allocation": "OWL"}, "allocation", "owl"),
        ({"uncalibrated": " Magnitude"}, "uncalibrated", "magnitude"),
        ({"sparsity": "10%"}, "sparsity", Decimal("0.1")),
        ({"sparsity": "12.5 %"}, "sparsity", Decimal("0.125")),
        ({"sparsity": "0.10"}, "sparsity", Decimal("0.1")),
    ],
)
def test_choices_are_taken_in_any_case_and_shares_in_per_cent(words: dict[str, str], field: str, value: object) -> None:
    assert getattr(understood(RecipeOptions, {"method": "random"} | words), field) == value


def test_several_shares_are_taken_in_per_cent_too() -> None:
    assert shares("10%,0.3,50%") == [Decimal("0.1"), Decimal("0.3"), Decimal("0.5")]
    with pytest.raises(BadOption, match="twice"):
        shares("10%,0.1")


@pytest.mark.parametrize("text", ["10", "2", "99.5", "100%", "0%", "-5%", "1", "200%", "%", "1e999%"])
def test_a_share_outside_its_range_is_refused(text: str) -> None:
    with pytest.raises(BadOption, match="Sparsity"):
        share(text)


@given(st.decimals(Decimal("1.1"), Decimal("99.9"), places=1))
def test_the_remedy_for_a_number_above_one_works_when_followed(number: Decimal) -> None:
    with pytest.raises(BadOption) as caught:
        share(str(number))
    meant = caught.value.remedy.removesuffix(".").split("give ")[1].split(" or ")
    assert [share(text) for text in meant] == [number / 100] * 2


def test_what_is_on_record_holds_no_folder(base: BaseModel) -> None:
    words = ["llama", "--method=random", "--sparsity=0.1", "--bbq-data=/secret/bbq", "--text=/secret/t.txt"]
    found = plan_record(planned(words), base, None)
    assert "secret" not in found.model_dump_json()
    assert (found.measuring.bbq_data, found.measuring.text) == (Path("bbq"), Path("t.txt"))
    assert PlanRecord.model_validate_json(found.model_dump_json()) == found


HOMES = {
    "measuring": ("    device: Device", "MEASURE"),
    "recipe": ("    uncalibrated: Annotated", "PRUNE"),
    "building": ("    threads: Annotated", "PUBLISH"),
}
"""Module of a record → where a further field goes, and under which heading."""
PROBE = """
import json, sys
import release
from tests.test_settings import GROUP, planned
from release.asked import plan_record
from release.sources.base import resolve
from release.progress import Console
publish = GROUP.commands["publish"]
plan = planned(["m", "--method", "random", "--sparsity", "0.1", *sys.argv[2:]])
found = plan_record(plan, resolve(sys.argv[1], Console(quiet=True)), None)
told = {each.opts[0]: each.help for each in publish.params if hasattr(each, "help")}
print(json.dumps([release.__file__, told, plan.model_dump(mode="json"), found.model_dump(mode="json")]))
"""


def holding(value: object, name: str) -> list[object]:
    """What stands under a name anywhere in it."""
    if not isinstance(value, dict):
        return []
    return [value[name] for _ in range(name in value)] + [one for each in value.values() for one in holding(each, name)]


def test_a_further_option_touches_one_file(base: BaseModel, tmp_path: Path) -> None:
    source = Path(release.__file__).parent
    for part in (source, source.parent / "templates", source.parent / "tests"):
        shutil.copytree(part, tmp_path / part.name, ignore=shutil.ignore_patterns("__pycache__", "goldens*"))
    words = []
    for home, (before, panel) in HOMES.items():
        path = tmp_path / "release" / "settings" / f"{home}.py"
        said = f'Option("--dummy-{home}", "Dummy of {home}.", HelpPanel.{panel}, least=0)'
        field = f"    dummy_{home}: Annotated[int, {said}] = 3\n"
        path.write_text(path.read_text().replace(before, field + before, 1))
        words += [f"--dummy-{home}", "7"]
    asked = [sys.executable, "-c", PROBE, str(base.checkpoint.folder), *words]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    where, told, plan, record = json.loads(done.stdout)
    assert Path(where).is_relative_to(tmp_path)
    for home in HOMES:
        assert told[f"--dummy-{home}"] == f"Dummy of {home}."
        assert (holding(plan, f"dummy_{home}"), holding(record, f"dummy_{home}")) == ([7], [7])
        assert f"--dummy-{home} 7" in record["command"]
