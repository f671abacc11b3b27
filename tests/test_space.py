"""The Space: what is uploaded, and what its app reads from cards."""

import ast
import hashlib
import json
import sys
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from release.card.parts import CardPlace
from release.card.render import render
from release.evals.bbq.rendering import SYSTEM
from release.space import build as space
from tests.random_records import HOSTILE
from tests.records import example_base, example_record
from tests.space_fixtures import (
    APP,
    EXAMPLE,
    module,
)

answers, cards, lineup, page, reading = map(module, ("answers", "cards", "lineup", "page", "reading"))

IDS = ("org/dense", "me/pruned")


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def front_and_body(folder: Path) -> tuple[dict[str, Any], str]:
    _, front, body = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), body


# What is uploaded


def test_the_app_is_copied_byte_for_byte(tmp_path: Path) -> None:
    space.write_folder(example_record(), tmp_path / "space", *IDS, [EXAMPLE])
    built = digests(tmp_path / "space")
    assert {"README.md", "app.py", "requirements.txt", "examples.json"} <= set(built)
    assert digests(APP).items() <= built.items()


def test_the_same_record_gives_the_same_bytes_whatever_lay_there(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"stale-{name}.py").write_text("x")
        space.write_folder(example_record(), tmp_path / name, *IDS, [EXAMPLE])
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_the_front_matter_keeps_the_hubs_rules(tmp_path: Path) -> None:
    space.write_folder(example_record(), tmp_path / "space", *IDS, [])
    front, _ = front_and_body(tmp_path / "space")
    assert front["sdk"] == "gradio"
    assert front["sdk_version"] == version("gradio")
    assert front["python_version"] == "3.12"
    assert (tmp_path / "space" / front["app_file"]).is_file()
    assert len(front["short_description"]) <= 60
    colours = {front["colorFrom"], front["colorTo"]}
    assert colours <= {
        "red",
        "yellow",
        "green",
        "blue",
        "indigo",
        "purple",
        "pink",
        "gray",
    }
    assert not any(character.isascii() for character in front["emoji"])
    assert front["license"] == "apache-2.0"
    assert front["models"] == list(IDS)
    assert front["title"]


def test_a_base_that_is_not_on_the_hub_is_neither_listed_nor_linked(tmp_path: Path) -> None:
    record = example_record(base=example_base(id="my-folder", on_hub=False, source="folder", revision=None))
    space.write_folder(record, tmp_path / "space", "my-folder", "me/pruned", [])
    front, body = front_and_body(tmp_path / "space")
    assert front["models"] == ["me/pruned"]
    assert "not on the Hub" in body
    found = lineup.from_readme(tmp_path / "space" / "README.md")
    assert (found.dense, [source.id for source in found.pruned]) == (None, ["me/pruned"])


def test_bbq_is_credited_where_its_questions_are_shown(tmp_path: Path) -> None:
    for name, items in (("with", [EXAMPLE]), ("without", [])):
        space.write_folder(example_record(), tmp_path / name, *IDS, items)
    assert "Parrish" in front_and_body(tmp_path / "with")[1]
    assert "Parrish" not in front_and_body(tmp_path / "without")[1]
    stored = json.loads((tmp_path / "with" / "examples.json").read_text())
    assert stored == {"attribution": space.ATTRIBUTION, "instruction": SYSTEM, "examples": [EXAMPLE]}


@pytest.mark.parametrize("text", HOSTILE)
def test_strings_of_the_base_stay_text_in_the_readme(text: str) -> None:
    record = example_record(base=example_base(id=text or "x", note=text))
    readme = space.readme(record, ["me/pruned"], with_examples=False)
    _, front, body = readme.split("---\n", 2)
    assert yaml.safe_load(front)["models"] == ["me/pruned"]
    for raw in ("<script", "<img", "![i](", "[text](", "</details>"):
        assert raw not in body or raw not in text


def pins(path: Path = APP / "requirements.txt") -> dict[str, str]:
    lines = (line for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return dict(line.split("==") for line in lines)


def test_every_requirement_is_pinned_to_what_the_tests_ran() -> None:
    ran, required = pins(APP.parent.parent / "constraints.txt"), pins()
    # ZeroGPU offers no torch as new as that.
    assert {name: version for name, version in required.items() if ran[name] != version} == {"torch": "2.11.0"}


def test_all_that_the_app_imports_is_in_its_folder_or_required() -> None:
    names = {"yaml": "pyyaml"}
    required = {name.lower() for name in pins()}
    imported = set()
    for path in APP.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {path.stem for path in APP.glob("*.py")}
    assert foreign - {"spaces"} == {name for name in foreign if names.get(name, name) in required}
    assert "release" not in imported


# What the app reads from cards


def test_the_reader_finds_the_facts_of_a_generated_card() -> None:
    facts = cards.read(render(example_record(), CardPlace("me/pruned")))
    configuration, measured = dict(facts.configuration), dict(facts.measurements)
    assert configuration["Target sparsity"] == (("", "10 %"),)
    assert configuration["Actual sparsity"] == (("", "10.00 %"),)
    assert configuration["Zeroed"][0][1].startswith("362,387,866 of 3,623,878,656")
    assert configuration["Method"][0][1].startswith("random")
    assert dict(measured["Stereotype Reliance Score"])["Pruned"] == "0.070"
    assert dict(measured["Perplexity"])["Dense"] == "8.94"
    assert dict(measured["Latency"])["Change"].startswith("×")
    assert (facts.base, facts.paper, facts.research_only) == ("microsoft/Phi-3.5-mini-instruct", "2605.08137", True)


def test_figures_quoted_from_a_paper_are_not_taken_for_measurements() -> None:
    card = (
        "## Reported metrics (from the paper)\n| Metric | Value |\n|--|--|\n| Perplexity | 3.0 |\n| Latency | 0.1 s |\n"
    )
    assert cards.read(card).measurements == ()


def test_the_model_index_serves_where_there_is_no_table() -> None:
    metric = {"type": "perplexity", "value": 12.5, "name": "Perplexity"}
    front = yaml.safe_dump({"model-index": [{"results": [{"metrics": [metric, {"type": 3}]}, "x"]}, None]})
    assert cards.read(f"---\n{front}---\n").measurements == (("Perplexity", (("", "12.5"),)),)


def test_list_items_serve_where_there_is_no_table() -> None:
    card = "## Pruning configuration\n* **Method:** wanda\n- Actual sparsity achieved: 33.33%\n"
    facts = dict(cards.read(card).configuration)
    assert facts == {"Method": (("", "wanda"),), "Actual sparsity": (("", "33.33%"),)}


@pytest.mark.parametrize(
    "card",
    [
        "",
        "---",
        "---\n{broken: [\n---\n",
        "---\n- a list\n---\n",
        "---\n" + "[" * 500 + "\n---\n",
        "---\ntags: {a: b}\nbase_model: [1, {x: y}]\nmodel-index: 7\n---\n",
        "|||||\n|-|\n||\n| a",
        "## Pruning configuration\n| Method \\| x | a \\| b |\n|--|--|\n| Method | c \\| d | e |",
        "```\n| Method | hidden |\n",
        "\x00\ud800" * 10,
        *HOSTILE,
    ],
)
def test_no_card_breaks_the_reader_or_gets_markup_onto_the_page(card: str) -> None:
    table = f"{card}\n\n## Pruning configuration\n| k | v |\n|--|--|\n| Method | {card} |\n"
    for text in (card, table):
        shown = page.about(lineup.Source("me/pruned"), cards.read(text))
        for raw in ("<script", "<img", "onerror=alert(1)>", 'javascript:alert(1)"', "<!--"):
            assert raw not in shown


@pytest.mark.parametrize("base", ["javascript:alert(1)", 'a/b" onclick=x', "../../x", "https://evil.example"])
def test_only_a_hub_id_is_linked_as_base(base: str) -> None:
    facts = cards.read(f"---\nbase_model: {json.dumps(base)}\n---\n")
    assert facts.base is None


def test_a_missing_card_is_said_not_raised(tmp_path: Path) -> None:
    facts = reading.facts(lineup.Source("me/x", str(tmp_path)))
    assert "could not be read" in page.about(lineup.Source("me/x"), facts)


@given(st.text(), st.data())
def test_a_shown_message_is_restored_exactly_and_opens_no_tag_but_the_mark(text: str, data: st.DataObject) -> None:
    shown = page.shown(text)
    assert page.restored(shown) == text
    assert not any(shown[at + 1 : at + 2].isascii() and shown[at + 1 : at + 2].isalpha() for at in _opens(shown))
    ends = data.draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(sorted))
    opened = Opened()
    opened.feed(page.marked(answers.Answer(text, differing=tuple(ends))))
    opened.close()
    assert set(opened.tags) <= {"mark"}


class Opened(HTMLParser):
    """The names of all tags that a browser would open."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += [tag, *(name for name, _ in attrs)]


def _opens(text: str) -> list[int]:
    return [at for at, character in enumerate(text) if character == "<"]


# Which models


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"pruned": []}', '{"pruned": [{"id": "x"}]}', "{"])
def test_a_broken_list_of_models_is_refused_by_name(text: str) -> None:
    with pytest.raises(lineup.SetupError, match="COMPARE_MODELS"):
        lineup.from_variable(text)


@pytest.mark.parametrize("text", ["", "# no front matter", "---\nmodels: 3\n---\n", "---\nmodels: []\n---\n"])
def test_a_readme_without_models_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "README.md").write_text(text)
    with pytest.raises(lineup.SetupError, match=r"README\.md"):
        lineup.from_readme(tmp_path / "README.md")
