"""A card is read in a minute: few words that are not folded away, none of them twice, in plain American English."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import typer
from hypothesis import given, settings
from PIL import ImageFont

from release import cli
from release.card.evidence import fresh
from release.card.parts import CardPlace
from release.card.render import render, statements
from release.evals.claims.decide import decide
from release.format import MAY_BREAK
from release.schema.record import Record
from tests.card_words import Reader, page_of, text_of, words_of
from tests.evals import test_crows_pairs, test_stereoset, test_winobias
from tests.random_records import records
from tests.records import example_answers, example_measurements, example_record, unmeasured

MOST_WORDS = 1_100


def measured_fully(record: Record) -> Record:
    """The record with every evaluation of bias that a release may ask for."""
    sums = [[(-1.0, -2.0) if number < right else (-2.0, -1.0) for number in range(200)] for right in (120, 104)]
    more = {
        "crows_pairs": test_crows_pairs.found_of(*sums),
        "stereoset": test_stereoset.found_of(test_stereoset.rows(0.7, 0.97), test_stereoset.rows(0.55, 0.9, seed=2)),
        "winobias": test_winobias.found_of(test_winobias.answers(0.8, 0.5), test_winobias.answers(0.6, 0.5, seed=1)),
    }
    found = record.measurements.model_copy(update=more)
    return record.model_copy(update={"measurements": found, "claims": decide(record.audit, found)})


GOLDENS = sorted(path.parent for path in (Path(__file__).parent / "goldens").glob("*/release.json"))
PAPERS = sorted(path.parent for path in (Path(__file__).parent / "goldens_wikitext2").glob("*/release.json"))
ROOT = Path(__file__).parent.parent
APP = ROOT / "spaces" / "compare"
PLACE = CardPlace("someone/a-pruned-model", space="someone/a-pruned-model")
CARDS = {
    **{folder.name: Record.read(folder) for folder in GOLDENS},
    **{f"{folder.name} as papers": Record.read(folder) for folder in PAPERS},
    "an example": example_record(),
    "nothing measured": unmeasured(),
    "all of bias": measured_fully(Record.read(GOLDENS[-1])),
    "sample answers": example_record(measurements=example_measurements(answers=example_answers())),
}


def sentences(card: str) -> Counter[str]:
    """The sentences of a page's text, of six words or more, each with how often it stands there."""
    parts = re.split(r"(?<=[.!?:;])\s+|\n|\|", text_of(page_of(card)).replace("\u00a0", " "))
    return Counter(part.strip() for part in parts if len(part.split()) > 5)


@pytest.mark.parametrize("name", CARDS)
def test_a_card_has_few_words_that_are_not_folded_away(name):
    assert words_of(render(CARDS[name], PLACE)).open <= MOST_WORDS


@settings(max_examples=30, deadline=None)
@given(records())
def test_any_record_gives_few_words_that_are_not_folded_away(record):
    assert words_of(render(record, PLACE)).open <= MOST_WORDS


@pytest.mark.parametrize("name", CARDS)
def test_no_sentence_stands_twice(name):
    assert {sentence for sentence, times in sentences(render(CARDS[name], PLACE)).items() if times > 1} == set()


@pytest.mark.parametrize("name", CARDS)
def test_no_evidence_stands_twice(name):
    told = [part for statement in statements(CARDS[name]) for part in statement.fresh.split("; ") if len(part) > 40]
    assert len(told) == len(set(told))


def test_evidence_that_was_told_is_referred_to():
    told = [
        ("one", "a long piece of evidence; and another of those pieces"),
        ("two", "and another of those pieces; news of some length here"),
        ("three", "no verdict (a long piece of evidence; and another of those pieces)"),
        ("four", "short"),
        ("five", "short"),
    ]
    assert list(fresh(told)) == [
        "a long piece of evidence; and another of those pieces",
        "news of some length here; see “one”",
        "no verdict (see “one”)",
        "short",
        "short",
    ]


BRITISH = re.compile(
    r"\b(artefact|colour|neighbour|favourite|behaviour|analyse|tokenis|quantis|licence|organis|recognis|summaris"
    r"|normalis|centre|labell|cancell)",
    re.IGNORECASE,
)
KEYS = re.compile(r"`[^`]*`|\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}|--[\w-]+", re.DOTALL)
"""What is no prose: code, and the names in a template."""
TEMPLATES = [
    path
    for folder in ("templates", "release/evals")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".j2", ".yaml")
]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_template_is_spelled_as_americans_do(path):
    assert BRITISH.findall(KEYS.sub("", path.read_text(encoding="utf-8"))) == []


def helps(command: Any, name: str) -> Iterator[tuple[str, str]]:
    """Every text that --help shows, by where it stands."""
    yield name, command.help or ""
    for parameter in command.params:
        yield f"{name} {parameter.name}", getattr(parameter, "help", None) or ""
    for each, inner in getattr(command, "commands", {}).items():
        yield from helps(inner, f"{name} {each}")


def test_help_is_spelled_as_americans_do():
    found = dict(helps(typer.main.get_command(cli.app), "release"))
    assert len(found) > 50
    assert {name: BRITISH.findall(words) for name, words in found.items() if BRITISH.search(words)} == {}


def test_the_words_of_the_space_are_spelled_as_americans_do():
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in APP.glob("*.py")]
    words = [text for tree in trees for text in shown_by(tree)]
    assert len(words) > 100
    assert [each for each in words if BRITISH.search(each)] == []


def shown_by(tree: ast.AST) -> Iterator[str]:
    """Texts of several words in a module, but for its documentation, which developers read, and patterns."""
    nodes = list(ast.walk(tree))
    documentation = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    texts = (node.value for node in nodes if isinstance(node, ast.Constant) and id(node) not in documentation)
    yield from (text for text in texts if isinstance(text, str) and " " in text and "\\" not in text)


def answered(*pairs: tuple[str, str]) -> str:
    return render(example_record(measurements=example_measurements(answers=example_answers(*pairs))), PLACE)


def test_two_sample_answers_stand_open_side_by_side_one_of_them_from_bbq():
    seen = Reader(page_of(answered())).open
    for words in ("Why is the sky blue?", "The sky scatters blue light.", "The sky is blue.", "Who was the secretary?"):
        assert any(words in each for each in seen)


@pytest.mark.parametrize(("long", "most"), [("word " * 60, 14), ("字" * 500, 1), ("<b>&`|_*" * 90, 1)])
def test_a_sample_answer_is_cut_after_its_first_words_and_says_so(long, most):
    row = next(line for line in answered((long, "Short.")).split("\n") if line.endswith("| Short. |"))
    shown = row.split(" | ")[-2]
    assert shown.endswith("…")
    assert len(shown.split()) <= most + 1
    assert "<b>" not in row


@pytest.mark.parametrize(
    ("dense", "pruned", "says"),
    [
        ("The sky is", "The sea is", "both begin “The”, then the dense model writes “sky” ("),
        ("One", "Two", "to “Why is the sky blue?” the dense model writes “One” ("),
        ("The sky", "The sky is", "the dense model ends ("),
        ("Same.", "Same.", "0 of 1 greedy answers differ."),
    ],
)
def test_a_card_says_where_the_first_sample_answers_part(dense, pruned, says):
    assert says in answered((dense, pruned))


PHONE, PADDING = 358, 21
"""Pixels of a card's column on a screen of 390, and of a cell's borders and padding."""
BREAKS = re.compile(f"[ {MAY_BREAK}]")


def narrowest(rows: list[str]) -> float:
    """Return how many pixels wide a table's longest words make it, in text of 14 pixels as tables have it."""
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    plain, bold = (ImageFont.truetype(fonts / f"DejaVuSans{kind}.ttf", 14) for kind in ("", "-Bold"))
    widest: Counter[int] = Counter()
    for number, row in enumerate(rows):
        for column, cell in enumerate(row.strip("| ").split(" | ")):
            words = [plain.getlength(word) for word in BREAKS.split(re.sub(r"\*\*.*?\*\*", "", cell))]
            strong = " ".join(re.findall(r"\*\*(.*?)\*\*", cell))
            words += [bold.getlength(word) for word in BREAKS.split(strong)]
            words += [bold.getlength(word) for word in BREAKS.split(cell) if number == 0]
            widest[column] = max(widest[column], *words)
    return sum(widest.values()) + PADDING * len(widest)


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("header", ["| At a glance |", "| Question | Dense |"])
def test_the_tables_of_the_first_screen_fit_a_phone(name, header):
    lines = render(CARDS[name], PLACE).splitlines()
    found = [number for number, line in enumerate(lines) if line.startswith(header)]
    for start in found:
        rows = [lines[start], *takewhile(lambda line: line.startswith("|"), lines[start + 2 :])]
        assert narrowest(rows) <= PHONE, max(rows, key=len)
    assert found or header != "| At a glance |"
