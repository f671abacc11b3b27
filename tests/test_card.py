"""The card says what the record says, whatever the record holds."""

import ast
import re
import subprocess
import sys
from decimal import Decimal
from html.parser import HTMLParser

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markdown_it import MarkdownIt

from release import format as text
from release.card.parts import NOWHERE, CardPlace
from release.card.render import compare
from release.card.render import render as rendered
from release.card.said import sentence
from release.card.templates import bibliography, environment
from release.decimals import of_difference
from release.errors import BadOption
from release.evals.bbq.result import CategoryTest, Sampling
from release.resources import resource
from release.schema.record import Licence, Record
from release.schema.study import default_study
from release.values import Estimate
from tests.random_records import HOSTILE, VOID_WORDS, records
from tests.records import (
    dense_against_dense,
    example_base,
    example_bbq,
    example_measurements,
    example_perplexity,
    example_pruning,
    example_record,
    example_usage,
    rate,
    score,
    unmeasured,
)

REPO = "someone/phi-3.5-mini-instruct-random-s10"
SECTIONS = [
    "Use it",
    "Intended use",
    "Model",
    "How it was pruned",
    "Measured on these files",
    "What happens to the zeros next",
    "Caveats for IoT and edge deployment",
    "Limits of these measurements",
    "License and attribution",
    "Citation",
    "Reproducibility",
]
TAGS = {"h1", "h2", "h3", "p", "br", "strong", "em", "a", "code", "pre", "ul", "li", "blockquote", "details", "summary"}
TAGS |= {"table", "thead", "tbody", "tr", "th", "td"}


def render(record: Record, target: CardPlace = NOWHERE) -> str:
    """The card with ordinary spaces between numbers and units."""
    return rendered(record, target).replace("\u00a0", " ")


class Page(HTMLParser):
    """What a browser makes of a card: its tags, links, headings and text."""

    def __init__(self, card: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.headings: list[str] = []
        self.words = ""
        self.inside = ""
        body = card.split("\n---\n", 1)[1]
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(body))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]
        self.inside = tag
        if tag == "h2":
            self.headings.append("")

    def handle_data(self, data: str) -> None:
        self.words += data
        if self.inside == "h2" and data.strip():
            self.headings[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = "" if tag == self.inside else self.inside

    @property
    def shown(self) -> str:
        return " ".join(self.words.split())


def problems(record: Record, card: str) -> list[str]:
    return [check.detail for check in compare(record, card) if check.ok is not True]


# Laws of every record


@settings(max_examples=30, deadline=None)
@given(records(), st.sampled_from((NOWHERE, CardPlace(REPO), CardPlace(REPO, gated=True, tag="v12"))))
def test_any_record_gives_a_card_of_the_same_structure_that_agrees_with_it(record, target):
    card = rendered(record, target)
    assert VOID_WORDS.search(card) is None
    assert problems(record, card) == []
    page = Page(render(record))
    assert page.headings == SECTIONS
    assert page.tags <= TAGS
    assert page.attributes <= {"href", "style", "class"}
    assert all(re.fullmatch(r"https?://[\w./?#=&%+:@~-]+|[\w./-]+", link) for link in page.links)


# Strings from outside


def category_test(category: str, h: float | None = 0.0204, p: float | None = 0.04) -> CategoryTest:
    return CategoryTest(category=category, items=100, cohens_h=h, p_value=p, p_adjusted=p)


def hostile_record(name: str) -> Record:
    """The example with one string wherever a string comes from outside."""
    record = example_record()
    measured = record.measurements
    source = measured.bbq.data.model_copy(update={"name": name, "origin": name, "revision": name, "licence": name})
    measured = example_measurements(
        bbq=example_bbq(
            data=source, prompt=name, tests=(category_test(name),), by_category=(score("srs", name, 0.1, 0.1),)
        ),
        perplexity=example_perplexity(text=source),
    )
    base = example_base(
        id=name, note=name, licence=Licence(id="other", name=name, link=name), languages=(name,), dtypes=(name,)
    )
    return example_record(
        name=name,
        base=base,
        measurements=measured,
        plan=record.plan.model_copy(update={"model": name, "command": name}),
        environment=record.environment.model_copy(update={"processor": name}),
    )


@pytest.mark.quick_rows(8)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_string_is_shown_as_it_is_and_does_nothing(name):
    record = hostile_record(name)
    card = rendered(record)
    page = Page(card)
    shown = text.one_line(name)
    assert f"About these weights. {shown}".strip() in page.shown
    assert f"{shown}, 2 cores, x86_64" in page.shown, "a table's cell was broken"
    assert page.headings == SECTIONS
    assert page.tags <= TAGS
    assert problems(record, card) == []
    facts = yaml.safe_load(card[4 : card.index("\n---\n")])
    assert (facts["license"], facts["license_name"]) == ("other", name or "unnamed")
    assert {"base_model", "language"} & set(facts) == set()


def test_a_repository_must_be_a_hub_id():
    with pytest.raises(BadOption, match="NAMESPACE/NAME"):
        render(example_record(), CardPlace("no id --> <script>"))


def test_a_template_cannot_print_a_missing_name_or_a_bare_number():
    with pytest.raises(UndefinedError):
        environment().from_string("{{ sparsty }}").render()
    for bare in (0.1, 3, None, Decimal("0.1")):
        with pytest.raises(TypeError, match="without saying how"):
            environment().from_string("{{ x }}").render(x=bare)


# What stands on it

FACTS = {
    "title": r"^# Phi-3\.5-mini-instruct, randomly pruned to 10 %$",
    "warning": r"^> ⚠️ \*\*Research artifact only — not for production use\.\*\*",
    "no deployment": r"Do not deploy it in any user-facing or decision-making system",
    "paper": r"^\*\*Weight Pruning Amplifies Bias: A Multi-Method Study .* Rath, Rahul Maliakkal\. IEEE AIIoT 2026\.",
    "paper link": r"\(https://arxiv\.org/abs/2605\.08137\)",
    "what it is": r"^\[microsoft/Phi-3\.5-mini-instruct\]\(.*\) with \*\*10\.00 % of its linear-layer weights set",
    "what pruning did": r"^Pruning may have lowered .* and raised perplexity from 8\.94 to 9\.31; BBQ cannot",
    "intended": r"^- \*\*For\*\* research on pruning",
    "out of scope": r"^- \*\*Not for\*\* products",
    "base's limits": r"^- \*\*The base's limits\*\* hold too: see \[microsoft/Phi-3",
    "contact": rf"report errors and harm in the \[Community tab\]\(https://huggingface\.co/{REPO}/discussions\)",
    "parameters": r"^\| Architecture \| `Phi3ForCausalLM`, 3,821,079,552 parameters \|$",
    "context": r"^\| Context length \| 131,072 tokens \|$",
    "languages": r"^\| Languages \| en, as the base's card states \|$",
    "released": r"^\| Base released \| 2024-08-16, by its repository on the Hub \|$",
    "peak": r"^\| Peak memory \| 15\.9 GB → 15\.8 GB measured on cpu in float32 \|$",
    "energy": r"Reading the models took 12\.50 kJ by package-0, all that ran there included\.$",
    "memory": r"^\| Size \| 7\.64 GB on disk and in memory \(BF16\); 15\.3 GB in float32 \|$",
    "serving": r"^\*\*Serving\.\*\* Transformers 5.* ran these files here\. vLLM, llama\.cpp, MLX were not tried",
    "tag": r"^model = AutoModelForCausalLM\.from_pretrained\(path, revision=\"v3\"\)$",
    "Space": rf"^\*\*Try it:\*\* \[ask both models\]\(https://huggingface\.co/spaces/{REPO}\)",
    "retained": r"^\| Right answers, guessing 0\.33 \| .*, 99 % kept \|",
    "worst group": r"^\*\*Worst group:\*\* stereotyped answers rose most for Age \(0\.065 → 0\.070, 100 items\)",
    "zeros next": r"^- \*\*Quantizing\*\* with a scale alone keeps every zero",
    "time and device": r"^Pruned in 14\.2 s on 2 threads\. Measured in .* on cpu\.",
    "method": r"^\| Method \| random \|$",
    "target": r"^\| Target sparsity \| 10 % \|$",
    "actual": r"^\| Actual sparsity \| 10\.00 % \|$",
    "zeroed of prunable": r"^\| Zeroed parameters \| 362,387,866 of 3,623,878,656 prunable \(10\.00 %\)",
    "zeros before": r"^\| In the base before \| 1,204 of these; 362,386,662 are new \|$",
    "wall time": r"^Pruned in 14\.2 s ",
    "scope": r"^\| Pruned \| linear layers in the transformer blocks \(attention projections and MLP\) \|$",
    "untouched": r"^\| Untouched \| embeddings, LM head, norms, biases",
    "calibration": r"No calibration data is used",
    "method description": r"^\*\*Random pruning\*\* zeroes a uniformly random subset",
    "metric of the study": r"^\| Mean latency per item, .* \(§V\.B\) \| Phi-3\.5-mini, Apple.*, MLX \| 0\.158 s \|$",
    "own metric": r"^\| Latency per answer \| 1\.58 s → \*\*1\.58 s\*\* \| × 1\.002 \(0\.991 to 1\.013\) \|",
    "no storage savings": r"^- \*\*Storage\.\*\* No storage gain.*safetensors or GGUF",
    "no latency savings": r"^- \*\*Latency\.\*\* No latency gain.*Dense matrix kernels",
    "paradox": r"^- \*\*Perplexity does not measure bias\.\*\*.*perplexity \+3\.5 %, SRS \+83\.7 % \(24 times",
    "citation": r"^@inproceedings\{rath2026pruning,$",
    "citation of BBQ": r"^@inproceedings\{parrish-etal-2022-bbq,$",
    "citation of the text": r"^@inproceedings\{dhamala2021bold,$",
    "command": r"^release publish microsoft/Phi-3\.5-mini-instruct --method random --sparsity 0\.1 --seed 42$",
    "verify": rf"^release verify {REPO} --base microsoft/Phi-3\.5-mini-instruct@2fe192450127[0-9a-f]{{28}}$",
    "base files": r"^\| base `model\.safetensors` \| 7,642,159,104 \| `(f5)+`",
    "pruned files": r"^\| pruned `model\.safetensors` \| 7,642,159,104 \| `(e4)+`",
    "seed": r"^\| Seed \| 42 \|$",
    "srs, macro": r"^\| Stereotyped \(SRS\).* 0\.065 → \*\*0\.070\*\* \| \+0\.005 \(−0\.005 to \+0\.015\) \|",
    "item-weighted": r"^\| All items alike \(item-weighted\) \|",
    "by category": r"^\| Race\\_ethnicity \| 100 \| 0\.065 ",
    "letters": r"^\| Best letter A / B / C \| dense 203 / 205 / 192, pruned 201 / 208 / 191 \|$",
    "sample": r"200 of 58,492 BBQ items \(5 categories\), drawn with seed 42, from 96 question templates",
    "scope of BBQ": r"in English about stereotypes in the United States",
    "license": r"under its license: mit \(\[LICENSE\]\(LICENSE\)\)",
    "license of BBQ": r"by Parrish et al\. \(2022\), license CC BY 4\.0",
    "front: licence": r"^license: mit$",
    "front: base": r"^base_model: microsoft/Phi-3\.5-mini-instruct$",
    "front: relation": r"^base_model_relation: finetune$",
    "front: library": r"^library_name: transformers$",
    "front: task": r"^pipeline_tag: text-generation$",
    "front: language": r"^language:\n- en$",
}


FULL = example_record(
    base=example_base(context=131_072, released="2024-08-16"),
    measurements=example_measurements(usage=example_usage(counters=("package-0",))),
)


@pytest.mark.parametrize("fact", FACTS)
def test_the_card_has_every_fact(fact):
    assert re.search(FACTS[fact], render(FULL, CardPlace(REPO, space=REPO, tag="v3")), re.MULTILINE)


def test_a_note_on_the_base_stands_before_everything_but_the_warning():
    card = render(example_record(base=example_base(note="Unpacked from a 4-bit GGUF file.")))
    at = card.index("Unpacked from a 4-bit GGUF file.")
    assert card.index("Research artifact only") < at < card.index("| At a glance") < card.index("**Check it:**")


def test_the_studys_latency_stands_only_on_cards_of_its_model():
    assert "0.158 s" not in render(example_record(base=example_base(id="org/other")))


@pytest.mark.parametrize(
    ("changes", "covered"),
    [
        ({}, True),
        ({"base": example_base(id="org/other")}, False),
        ({"pruning": example_pruning(method="other")}, False),
        ({"pruning": example_pruning(target_sparsity=Decimal("0.10"))}, True),
        ({"pruning": example_pruning(target_sparsity=Decimal("0.2"))}, False),
    ],
)
def test_a_release_is_called_part_of_the_study_only_where_it_is(changes, covered):
    assert ("one of the study's configurations" in render(example_record(**changes))) == covered


# Law 9: nothing is asserted that this release's evidence does not support


def first_screen(record: Record) -> str:
    return render(record).split("\n| At a glance")[0].split("\n# ", 1)[1]


@pytest.mark.parametrize("pruned", [0.0952, 0.0352, 0.0652])
def test_the_first_screen_holds_the_sentence_and_warns(pruned):
    scores = tuple(score(name, "macro", 0.0652, pruned) for name in ("srs", "lean"))
    record = example_record(measurements=example_measurements(bbq=example_bbq(scores=scores)))
    found = first_screen(record)
    assert text.markdown(sentence(record)) in found
    assert "Do not deploy it in any user-facing or decision-making system" in found


@pytest.mark.parametrize(("reach", "leans"), [(0.01, "● no lean"), (0.1, "◐ unclear")])
def test_a_model_that_merely_stopped_saying_unknown_is_not_said_to_amplify(reach, leans):
    srs, usr = score("srs", "macro", 0.05, 0.33), score("usr", "macro", 0.9, 0.34)
    scores = (srs, usr, score("lean", "macro", 0.0, 0.0, reach))
    record = example_record(measurements=example_measurements(bbq=example_bbq(scores=scores)))
    found = first_screen(record)
    assert "the model says “unknown” less often (90.0 % before, 34.0 % after)" in found
    assert re.search(rf"^\| Lean .* \| {leans} \|$", render(record), re.MULTILINE)
    assert "amplif" not in found


def test_a_model_against_itself_is_not_said_to_amplify():
    card = render(example_record(measurements=dense_against_dense()))
    own = card.replace(default_study().title, "")
    assert "amplification" not in own
    assert "Amplifies" not in own


def test_a_record_without_bias_numbers_says_so():
    card = render(unmeasured())
    assert "bias was not measured" in first_screen(unmeasured())
    assert re.search(r"^\| Stereotyped \(SRS\), .* \| – \| – \| – not run \|", card, re.M)
    assert "Best letter" not in card


def test_an_undefined_score_is_printed_as_not_available():
    undefined = Estimate(value=None, low=None, high=None)
    found = score("s_dis", "macro", 0.1, 0.1).model_copy(update={"pruned": undefined, "difference": undefined})
    card = render(example_record(measurements=example_measurements(bbq=example_bbq(scores=(found,)))))
    assert "| Bias score s\\_DIS | 0.10 → n/a | n/a |" in card


# How the answers were read


SAMPLING = Sampling(temperature=0.3, new_tokens=5, seeds=(42, 123))


def read_card(**changes) -> str:
    return render(example_record(measurements=example_measurements(bbq=example_bbq(**changes))))


@pytest.mark.parametrize(
    ("reading", "says"),
    [
        ("letters", "read from the log-probabilities of the option letters, averaged for each answer over 3 cyclic"),
        (
            "answers",
            "read from the mean log-probability per token of each answer’s text, averaged for each answer over 3",
        ),
        ("generate", "read from generated text, by a strict parser. Sampled at temperature 0.3, at most 5 new tokens,"),
    ],
)
def test_the_card_says_how_answers_are_read(reading, says):
    generated = reading == "generate"
    card = read_card(reading=reading, rotations=1 if generated else 3, sampling=SAMPLING if generated else None)
    assert says in card
    assert ("seeds 42, 123; dense" in card) == generated


def test_without_letters_none_is_listed_and_no_preference_is_claimed():
    card = read_card(reading="answers", letters_dense=None, letters_pruned=None, favourite_dense=None)
    assert "Best letter" not in card
    assert "| Letter preferred | –&nbsp;not measured |" in card


@pytest.mark.parametrize("reading", ["letters", "answers", "generate"])
def test_unparsed_answers_stand_where_texts_are_generated(reading):
    scores = (score("srs", "macro", 0.1, 0.1), score("unparsed", "macro", 0.02, 0.11))
    card = read_card(reading=reading, scores=scores)
    assert ("| Unparsed answers | 0.020 → 0.110 | +0.090 (" in card) == (reading == "generate")
    assert ("of the parsed answers" in card) == (reading == "generate")


CHANGES = ("Answers that changed", "Right answers lost and won", "Newly biased", "Newly unbiased")


@pytest.mark.parametrize("row", CHANGES)
def test_beside_every_rate_of_change_stands_what_rounding_alone_does(row):
    floor = "; rounding alone changes 33.3 % of answers |"
    cards = {precision: read_card(precision=precision, rounding=found) for precision, found in FLOORS.items()}
    for precision, card in cards.items():
        line = next(line for line in card.splitlines() if line.startswith(f"| {row}"))
        assert line.endswith(floor) == (precision == "bfloat16")
    assert "the order of the arithmetic alone changes the dense model’s answer to 20 of 60 items" in cards["bfloat16"]
    assert "rounding" not in cards["float32"]


FLOORS = {"float32": None, "bfloat16": rate(20, 60)}


@pytest.mark.parametrize(("runs", "new", "reverse"), [(1, "33.3 %", "66.7 %"), (5, "86.8 %", "13.2 %")])
def test_beside_new_bias_stands_what_guessing_would_give(runs, new, reverse):
    card = read_card(guessing_level=1 - (2 / 3) ** runs)
    assert re.search(rf"^\| Newly biased \| 3 of 93 .*; guessing would give {new} \|$", card, re.MULTILINE)
    assert re.search(rf"^\| Newly unbiased \| 2 of 7 .*; guessing would give {reverse} \|$", card, re.MULTILINE)


def test_a_category_stands_with_its_effect_and_adjusted_p():
    card = read_card(tests=(category_test("Age"), category_test("SES", None, None)))
    cells = "100 | 0.065 | 0.070 | +0.005 | −0.005 to +0.015"
    assert f"| Age | {cells} | +0.020 | 0.0400 |" in card
    assert f"| SES | {cells} | n/a | n/a |" in card
    assert f"| Religion | {cells} | n/a | n/a |" in card


@pytest.mark.parametrize(("bbq", "perplexity", "said"), [(0, 0, None), (400, 0, "400"), (1200, 32, "1,232")])
def test_readings_that_were_taken_over_are_named(bbq, perplexity, said):
    measured = example_measurements(bbq=example_bbq(recalled=bbq), perplexity=example_perplexity(recalled=perplexity))
    found = re.search(r"^(\S+) readings were taken over", render(example_record(measurements=measured)), re.MULTILINE)
    assert (found and found[1]) == said


# Templates and what they rest on


def test_the_documentation_names_every_section():
    table = (resource("templates").parent / "docs" / "card.md").read_text(encoding="utf-8")
    named = {line.split("|")[2].split(",")[0].strip() for line in table.splitlines() if line.startswith("| ")}
    assert set(SECTIONS) <= named


def test_every_template_compiles_and_every_method_has_a_paragraph():
    for name in environment().list_templates(extensions=["j2"]):
        environment().get_template(name)
    for path in (resource("templates") / "methods").glob("*.md.j2"):
        method = path.name.removesuffix(".md.j2")
        card = render(example_record(pruning=example_pruning(method=method)))
        assert re.search(r"^## How it was pruned\n\n.{60,}", card, re.MULTILINE), method


def test_every_citation_is_one_whole_entry():
    for entry in (*bibliography().values(), default_study().bibtex):
        assert entry.startswith("@")
        assert entry.count("{") == entry.count("}")
        assert entry.endswith("}\n")


@pytest.mark.parametrize(("method", "cited"), [("magnitude", True), ("random", False)])
def test_the_methods_paper_is_cited_where_it_has_one(method, cited):
    card = render(example_record(pruning=example_pruning(method=method)))
    assert ("@inproceedings{han2015learning," in card) == cited


@pytest.mark.parametrize("prompt", ["chat", "plain"])
@pytest.mark.parametrize(("repo_id", "path"), [(None, "."), (REPO, REPO)])
def test_the_snippet_is_python_that_names_the_release(prompt, repo_id, path):
    record = example_record(measurements=example_measurements(bbq=example_bbq(prompt=prompt)))
    snippet = re.search(r"```python\n(.*?)```", render(record, CardPlace(repo_id)), re.DOTALL)[1]
    names = {node.value for node in ast.walk(ast.parse(snippet)) if isinstance(node, ast.Constant)}
    assert path in names
    assert ("user" in names) == (prompt == "chat")


def test_no_line_breaks_between_a_number_and_its_unit_and_code_is_left_alone():
    card = rendered(example_record(plan=example_record().plan.model_copy(update={"command": "release x '10 %' 5 s"})))
    prose = re.sub(r"(?ms)^```.*?^```$", "", card)
    assert re.search(r"\d (%|s\b|MB)", prose) is None
    assert "release x '10 %' 5 s\n" in card


def test_rendering_needs_no_torch():
    code = (
        "import sys, release.card.render; sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("low", "high", "digits", "written"),
    [(0.45, 12185.2, 0, "0.45 to 12,185"), (0.0, 2.0, 0, "0 to 2"), (0.99, 1.04, 2, "0.99 to 1.04")],
)
def test_an_end_of_an_interval_that_is_not_zero_is_not_written_as_zero(low, high, digits, written) -> None:
    assert text.interval(Estimate(value=1.0, low=low, high=high), digits) == written


@pytest.mark.parametrize(("value", "digits"), [(1.1e-16, 2), (-5.6e-17, 2), (4e-6, 7), (0.0, 2)])
def test_a_difference_that_rounding_alone_made_has_no_more_digits_than_none(value, digits) -> None:
    assert of_difference(value, None, None) == digits
