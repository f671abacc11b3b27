"""The Space: what is uploaded, what its app reads from cards, and how its models answer."""

import ast
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pyarrow
import pytest
import yaml
from gradio import Error
from gradio_client import Client
from gradio_client.exceptions import AppError
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from release import examples, space
from release.card import render
from release.card_parts import Target
from release.errors import BadOption
from release.measure.prompts import question_text
from release.progress import Console
from release.record import FILE_NAME
from release.sources.bbq import Item
from tests.random_records import HOSTILE
from tests.records import example_base, example_record
from tests.space_fixtures import (
    APP,
    EXAMPLE,
    ITEMS,
    app_command,
    checkpoint,
    free_port,
    module,
    running,
    variable,
    write_answers,
)

answers, cards, compare, decoding, grid, lens, memory, models, page = map(
    module, ("answers", "cards", "compare", "decoding", "grid", "lens", "memory", "models", "page")
)

IDS = ("org/dense", "me/pruned")


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def front_and_body(folder: Path) -> tuple[dict[str, Any], str]:
    _, front, body = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), body


# What is uploaded


def test_the_app_is_copied_byte_for_byte(tmp_path: Path) -> None:
    space.build(example_record(), tmp_path / "space", *IDS, [EXAMPLE])
    built = digests(tmp_path / "space")
    assert {"README.md", "app.py", "requirements.txt", "examples.json"} <= set(built)
    assert digests(APP).items() <= built.items()


def test_the_same_record_gives_the_same_bytes_whatever_lay_there(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"stale-{name}.py").write_text("x")
        space.build(example_record(), tmp_path / name, *IDS, [EXAMPLE])
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_the_front_matter_keeps_the_hubs_rules(tmp_path: Path) -> None:
    space.build(example_record(), tmp_path / "space", *IDS, [])
    front, _ = front_and_body(tmp_path / "space")
    assert front["sdk"] == "gradio"
    assert front["sdk_version"] == space.version("gradio")
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
    space.build(record, tmp_path / "space", "my-folder", "me/pruned", [])
    front, body = front_and_body(tmp_path / "space")
    assert front["models"] == ["me/pruned"]
    assert "not on the Hub" in body
    lineup = models.from_readme(tmp_path / "space" / "README.md")
    assert (lineup.dense, [source.id for source in lineup.pruned]) == (None, ["me/pruned"])


def test_bbq_is_credited_where_its_questions_are_shown(tmp_path: Path) -> None:
    for name, items in (("with", [EXAMPLE]), ("without", [])):
        space.build(example_record(), tmp_path / name, *IDS, items)
    assert "Parrish" in front_and_body(tmp_path / "with")[1]
    assert "Parrish" not in front_and_body(tmp_path / "without")[1]
    stored = json.loads((tmp_path / "with" / "examples.json").read_text())
    assert stored == {"attribution": space.ATTRIBUTION, "examples": [EXAMPLE]}


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
    facts = cards.read(render(example_record(), Target("me/pruned")))
    configuration, measured = dict(facts.configuration), dict(facts.measurements)
    assert configuration["Target sparsity"] == (("", "10 %"),)
    assert configuration["Actual sparsity"] == (("", "10.00 %"),)
    assert configuration["Zeroed"][0][1].startswith("362,387,866 of 3,623,878,656")
    assert configuration["Method"][0][1].startswith("random")
    assert dict(measured["Stereotype Reliance Score"])["Pruned"] == "0.0704"
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
        shown = page.about(models.Source("me/pruned"), cards.read(text))
        for raw in ("<script", "<img", "onerror=alert(1)>", 'javascript:alert(1)"', "<!--"):
            assert raw not in shown


@pytest.mark.parametrize("base", ["javascript:alert(1)", 'a/b" onclick=x', "../../x", "https://evil.example"])
def test_only_a_hub_id_is_linked_as_base(base: str) -> None:
    facts = cards.read(f"---\nbase_model: {json.dumps(base)}\n---\n")
    assert facts.base is None


def test_a_missing_card_is_said_not_raised(tmp_path: Path) -> None:
    facts = cards.facts(models.Source("me/x", str(tmp_path)))
    assert "could not be read" in page.about(models.Source("me/x"), facts)


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
    with pytest.raises(models.SetupError, match="COMPARE_MODELS"):
        models.from_variable(text)


@pytest.mark.parametrize("text", ["", "# no front matter", "---\nmodels: 3\n---\n", "---\nmodels: []\n---\n"])
def test_a_readme_without_models_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "README.md").write_text(text)
    with pytest.raises(models.SetupError, match=r"README\.md"):
        models.from_readme(tmp_path / "README.md")


# How the models answer


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return checkpoint(folder / "dense"), checkpoint(folder / "pruned", zeroed=0.5)


@pytest.fixture
def comparison(folders: tuple[Path, Path]) -> Any:
    return compare.Comparison(models.from_variable(variable(*folders)))


def last(steps: Iterator[Any]) -> Any:
    *_, end = steps
    return end


def said(side: Any) -> list[str]:
    return [message["content"][0]["text"] for message in side]


def alone(folder: Path, tokens: int) -> Any:
    """What a model says to a question by transformers' own greedy search, and its scores at each token."""
    loaded = models.load(models.Source("x/y", str(folder)))
    prompt = answers.encode(loaded, [{"role": "user", "content": "why is the sky blue"}], tokens)
    options = {"do_sample": False, "return_dict_in_generate": True, "output_logits": True}
    found = loaded.model.generate(answers.torch.tensor([prompt]), max_new_tokens=tokens, **options)
    return loaded.tokenizer, found.sequences[0, len(prompt) :].tolist(), found.logits


def test_both_answers_grow_to_what_each_model_says_alone(comparison: Any, folders: tuple[Path, Path]) -> None:
    steps = [[said(side)[-1] for side in step] for step in comparison.compare("why is the sky blue") if step[0][1:]]
    assert all(later[side].startswith(earlier[side]) for earlier, later in pairwise(steps[1:]) for side in (0, 1))
    assert len({tuple(step) for step in steps}) > 2
    for folder, answer in zip(folders, steps[-1], strict=True):
        tokenizer, tokens, _ = alone(folder, 128)
        assert answer == tokenizer.decode(tokens, skip_special_tokens=True)


def test_the_first_difference_carries_both_models_own_probabilities(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    near = checkpoint(tmp_path / "near", zeroed=0.003)
    lined = models.from_variable(variable(folders[0], near))
    ends = last(compare.Comparison(lined).compare("why is the sky blue", max_new_tokens=64))
    (tokenizer, ours, our_scores), (_, theirs, their_scores) = alone(folders[0], 64), alone(near, 64)
    place = next(at for at, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other)
    assert place > 0
    for side, token in zip(ends, (ours[place], theirs[place]), strict=True):
        found = side[-1]["first_difference"]
        assert (found["position"], found["token"]) == (place, tokenizer.decode([token]))
        for name, scores in (("dense", our_scores), ("pruned", their_scores)):
            likely = float(scores[place][0].float().softmax(-1)[token])
            assert found["probabilities"][name] == pytest.approx(likely, abs=1e-5)


def test_equal_answers_have_no_difference_and_speed_is_tokens_over_seconds(folders: tuple[Path, Path]) -> None:
    twins = compare.Comparison(models.from_variable(variable(folders[0], folders[0])))
    dense, pruned = last(twins.compare("why", max_new_tokens=8))
    assert dense[-1]["first_difference"] is None
    assert said(dense) == said(pruned)
    assert dense[-1]["tokens"] <= 8
    assert answers.Answer("x", tokens=11, seconds=2.0).speed == 5


def test_other_tokens_are_not_compared(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    foreign = checkpoint(tmp_path / "foreign", seed=3)
    words = json.loads((foreign / "tokenizer.json").read_text())
    words["model"]["vocab"] = {word: (place + 7) % 320 for word, place in words["model"]["vocab"].items()}
    (foreign / "tokenizer.json").write_text(json.dumps(words))
    lined = models.from_variable(variable(folders[0], foreign))
    step = last(compare.Comparison(lined).ask("me", "why", decoding.Decoding(max_new_tokens=8), None, ()))
    assert (step.progress.comparable, step.progress.difference) == (False, None)
    assert "different tokens" in page.status(step)


def test_a_seed_repeats_an_answer_and_equal_models_then_say_the_same(folders: tuple[Path, Path]) -> None:
    twins = compare.Comparison(models.from_variable(variable(folders[0], folders[0])))
    first, again, other = ([said(s) for s in last(twins.compare("why", 1.5, 32, seed))] for seed in (1, 1, 2))
    assert first == again
    assert first[0] == first[1]
    assert first != other


@pytest.mark.parametrize(("top_p", "kept"), [(1.0, 3), (0.8, 2), (0.01, 1)])
def test_sampling_follows_the_softmax_of_the_tempered_logits_within_the_nucleus(top_p: float, kept: int) -> None:
    torch = answers.torch
    logits, draws, temperature = torch.tensor([0.0, 1.0, 2.0]), 20_000, 2.0
    picked = decoding.Sampler(decoding.Decoding(temperature, top_p, 1, 7))(logits.expand(draws, 3))
    shares = torch.bincount(picked, minlength=3) / draws
    wanted = torch.softmax(logits / temperature, 0)
    wanted[: 3 - kept] = 0
    assert torch.allclose(shares, wanted / wanted.sum(), atol=0.015)


def test_a_second_turn_goes_on_from_each_models_own_answer(comparison: Any) -> None:
    parts = [{"type": "text", "text": "why"}]
    dense = [{"role": "user", "content": parts}, {"role": "assistant", "content": [{"type": "text", "text": "a b"}]}]
    ours, theirs = last(comparison.compare("and", 0, 8, 42, None, dense, []))
    assert said(ours)[:3] == ["why", "a b", "and"]
    assert [message["role"] for message in theirs] == ["user", "assistant"]


def test_stop_ends_what_runs_and_not_what_is_asked_next(comparison: Any) -> None:
    asked = comparison.ask("me", "why", decoding.Decoding(max_new_tokens=400), None, ())
    next(asked)
    comparison.runs.stop("somebody else")
    next(asked)
    comparison.runs.stop("me")
    stopped = last(asked)
    assert stopped.stopped
    assert stopped.turns[0].answers["dense"].tokens < 400
    comparison.runs.stop("me")
    step = last(comparison.ask("me", "and", decoding.Decoding(max_new_tokens=3), None, stopped.turns))
    assert not step.stopped
    assert step.turns[1].answers["dense"].tokens == 3


def test_a_conversation_has_an_end(comparison: Any) -> None:
    turns = (compare.Turn("why", {}),) * compare.MOST_TURNS
    with pytest.raises(compare.Refusal, match="Clear"):
        next(comparison.ask("me", "and", decoding.Decoding(), None, turns))


def test_roles_alternate_even_after_an_answer_that_never_came() -> None:
    history = [
        {"role": "assistant", "content": "greeting"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": ""},
        {"role": "system", "content": "obey"},
        {"role": "user", "content": 5},
        {"role": "user", "content": ["x", {"text": 6}]},
        {"role": "user", "content": [{"type": "file", "file": {"path": "x"}}, {"type": "text", "text": "b"}]},
    ]
    assert answers.conversation(answers.plain(history)) == [{"role": "user", "content": "a\n\nb"}]


def test_a_tokenizer_without_template_gets_the_texts_line_by_line(tmp_path: Path) -> None:
    loaded = models.load(models.Source("x/y", str(checkpoint(tmp_path / "plain", template=None))))
    tokens = answers.encode(loaded, [{"role": "user", "content": "why is"}, {"role": "assistant", "content": "sky"}], 1)
    assert loaded.tokenizer.decode(tokens) == "why is\nsky".replace("\n", "")


def test_the_pruned_model_answers_alone_where_there_is_no_dense_one(folders: tuple[Path, Path]) -> None:
    dense, pruned = last(compare.Comparison(models.from_variable(variable(None, folders[1]))).compare("why", 0, 8))
    assert dense == []
    assert len(pruned) == 2


WRONG = [
    ({"prompt": "  "}, "no question"),
    ({"prompt": ["x"]}, "no question"),
    ({"prompt": "x" * 4001}, "4001 characters"),
    ({"prompt": "a " * 1999}, "Clear"),
    ({"prompt": "x", "temperature": 9}, "temperature"),
    ({"prompt": "x", "temperature": "hot"}, "temperature"),
    ({"prompt": "x", "top_p": 0}, "top_p"),
    ({"prompt": "x", "max_new_tokens": 0}, "max_new_tokens"),
    ({"prompt": "x", "max_new_tokens": 2.5}, "whole number"),
    ({"prompt": "x", "seed": -1}, "seed"),
    ({"prompt": "x", "variant": "<b>no</b>"}, "&lt;b&gt;"),
    ({"prompt": "x", "variant": ["no"]}, "no model"),
    ({"prompt": "x", "dense_history": "hello"}, "list of messages"),
    ({"prompt": "x", "dense_history": [{"role": "user", "content": "y" * 40_001}]}, "40000 characters"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG)
def test_what_cannot_be_answered_is_refused_with_a_remedy(comparison: Any, arguments: Any, words: str) -> None:
    with pytest.raises(Error) as caught:
        list(comparison.compare(**arguments))
    assert words in caught.value.message


@pytest.mark.parametrize("harm", ["nothing", "cut", "code"])
def test_a_model_that_cannot_be_loaded_is_a_message_without_its_path(
    tmp_path: Path, folders: tuple[Path, Path], harm: str
) -> None:
    broken = tmp_path / "broken"
    if harm == "nothing":
        broken.mkdir()
    else:
        shutil.copytree(folders[0], broken)
    if harm == "cut":
        os.truncate(broken / "model.safetensors", 3000)
    if harm == "code":
        config = json.loads((broken / "config.json").read_text())
        named = {"model_type": "unheard-of", "auto_map": {"AutoModelForCausalLM": "evil.Model"}}
        (broken / "config.json").write_text(json.dumps(config | named))
        (broken / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(models.LoadError, match="could not be loaded") as caught:
        models.load(models.Source("me/broken", str(broken)))
    assert str(tmp_path) not in str(caught.value)
    assert "Check" in str(caught.value)


def test_closing_the_stream_ends_both_answers(folders: tuple[Path, Path]) -> None:
    sources = {side: models.Source(side, str(folder)) for side, folder in zip(("a", "b"), folders, strict=True)}
    prompts = {side: [5, 6, 7] for side in sources}
    steps = answers.stream(sources, prompts, decoding.Decoding(max_new_tokens=1500))
    next(steps)
    started = time.monotonic()
    steps.close()
    assert time.monotonic() - started < 2


def test_a_model_larger_than_the_memory_is_refused_with_its_size(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "meminfo"
    small.write_text("MemTotal: 8 kB\nMemAvailable:       4 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", small)
    with pytest.raises(models.LoadError, match=r"GB of memory and 0\.0 GB are free"):
        models.load(models.Source("me/big", str(folders[0])))


def test_equal_tokenizers_are_kept_once(folders: tuple[Path, Path]) -> None:
    shelf = models.Shelf()
    dense, pruned = (shelf.get(models.Source(name, str(folder))) for name, folder in zip("ab", folders, strict=True))
    assert dense.tokenizer is pruned.tokenizer


def test_the_shelf_keeps_the_two_models_used_last(folders: tuple[Path, Path]) -> None:
    shelf = models.Shelf(room=2)
    dense, one, two = (models.Source(name, str(folders[0])) for name in ("dense", "one", "two"))
    for source in (dense, one, dense, two):
        shelf.get(source)
    assert [source in shelf for source in (dense, one, two)] == [True, False, True]


# The bias lens and the grid


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A variant with answers to the items of a Space."""
    texts = tmp_path / "examples.json"
    texts.write_text(json.dumps({"attribution": "BBQ", "examples": ITEMS}))
    monkeypatch.setattr(lens, "TEXTS", texts)
    lens.texts.cache_clear()
    yield models.Source("me/pruned", str(write_answers(tmp_path / "pruned")))
    lens.texts.cache_clear()


def test_items_are_sorted_by_what_became_of_their_answer(measured: Any) -> None:
    found = lens.lens(measured)
    kinds = {each.item.example_id: each.kind for each in found.asked}
    assert kinds == {0: "to", 1: "away", 2: "other", 3: "same"}
    assert [each.item.example_id for each in found.select("to")] == [0]
    assert [each.item.example_id for each in found.select(category="SES")] == [3]
    assert found.categories == ["Age", "SES"]


def test_shares_are_probabilities_whose_largest_is_the_choice(measured: Any) -> None:
    for asked in lens.lens(measured).asked:
        for side in lens.SIDES:
            assert sum(asked.shares[side]) == pytest.approx(1)
            assert asked.shares[side].index(max(asked.shares[side])) == asked.choices[side]


def test_generated_answers_are_counted(measured: Any) -> None:
    runs = [{"choice": choice} for choice in (0, 2, 2, -1, 2)]
    assert lens._shares(runs) == (0.2, 0, 0.6)
    assert lens._choice(runs) == 2


def test_a_release_states_of_an_item_what_the_app_reads() -> None:
    asked = Item(
        "Age", 7, "1", "neg", "ambig", "two met", "Who?", ("a", "b", "c"), ("old", "unknown", "young"), 1, 1, 0
    )
    (read,) = lens._items([examples.example(asked)])
    assert (read.category, read.example_id, read.target, read.answers) == ("Age", 7, 0, ("a", "b", "c"))
    assert read.prompt == question_text(asked, 0)


@pytest.mark.parametrize("harm", ["missing", "text", "foreign"])
def test_answers_that_cannot_be_read_are_said_not_raised(measured: Any, harm: str) -> None:
    table = Path(measured.path) / lens.ANSWERS
    table.unlink()
    if harm == "text":
        table.write_text("no table")
    if harm == "foreign":
        parquet.write_table(pyarrow.table({"a": [1]}), table)
    assert "can be read" in lens.lens(measured).trouble


def test_the_items_of_a_program_are_those_of_the_page(measured: Any) -> None:
    comparison = compare.Comparison(models.Lineup(None, (measured,)))
    found = comparison.items(kind="to")
    assert (found["total"], found["items"][0]["choices"]) == (1, {"dense": 2, "pruned": 0})
    assert comparison.items(limit=1, offset=3)["items"][0]["category"] == "SES"
    for wrong in ({"kind": "x"}, {"category": "x"}, {"limit": 0}, {"offset": -1}, {"variant": "x"}, {"kind": [1]}):
        with pytest.raises(Error):
            comparison.items(**wrong)


def test_a_cards_numbers_become_points_with_their_intervals() -> None:
    facts = cards.read(render(example_record(), Target("me/pruned")))
    number = facts.number("Stereotype Reliance Score")
    assert (number.dense, number.pruned) == (0.0652, 0.0704)
    assert number.low == pytest.approx(0.0652 + 0.0052 - 0.01)
    perplexity = facts.number("Perplexity")
    assert perplexity.low < perplexity.pruned < perplexity.high
    assert (facts.method, facts.sparsity) == ("random", 0.1)
    drawn = grid.picture({"me/pruned": facts}) + grid.table({"me/pruned": facts})
    assert drawn.count('role="img"') == len(grid.PANELS)
    assert "0.0704" in drawn


@pytest.mark.parametrize(
    ("text", "value"), [("1,374.92", 1374.92), ("−0.35", -0.35), ("10 %", 0.1), ("× 1.5", 1.5), ("n/a", None)]
)
def test_numbers_are_read_as_cards_write_them(text: str, value: float | None) -> None:
    assert cards.number(text) == value


@given(st.floats(1e-6, 1e9), st.floats(1e-6, 1e9), st.booleans())
def test_every_value_of_a_panel_lies_within_it(one: float, other: float, logarithmic: bool) -> None:
    found = [grid.Point("x", "m", 0.5, cards.Number(one, other))]
    scale = grid._scale(found, logarithmic)
    assert all(-1e-6 <= scale(value) <= 1 + 1e-6 for value in (one, other, *scale.ticks()))


def test_a_cards_warning_and_caveats_are_on_the_page() -> None:
    facts = cards.read(render(example_record(), Target("me/pruned")))
    about = page.about(models.Source("me/pruned"), facts)
    for words in ("Research artefact only", "Storage. ", "Latency. ", "https://huggingface.co/me/pruned"):
        assert words in about
    assert "Evidence" not in "".join(facts.caveats)
    assert cards.read("# x\n## Limits\n- a limit.\n").caveats == ("a limit.",)


# The app as a program


@pytest.fixture
def release(tmp_path: Path, folders: tuple[Path, Path]) -> Path:
    shutil.copytree(folders[1], tmp_path / "release" / "model")
    (tmp_path / "release" / "model" / FILE_NAME).write_text(example_record().to_json())
    space.build(example_record(), tmp_path / "release" / "space", *IDS, [EXAMPLE])
    return tmp_path / "release"


def test_a_release_runs_its_own_space_and_ends_with_the_command(release: Path, folders: tuple[Path, Path]) -> None:
    before, port = digests(release), free_port()
    call = "import sys; from pathlib import Path; from release import space; from release.progress import Console; "
    call += "space.run([Path(sys.argv[1])], Path(sys.argv[2]), Console())"
    variables = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"}
    command = [sys.executable, "-c", call, str(release), str(folders[0])]
    process = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr
    url = f"http://127.0.0.1:{port}"
    try:
        assert any(f"at {url} " in line for line in process.stderr)
        require_an_endpoint_that_needs_only_the_prompt(url)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=2)
    assert digests(release) == before
    assert not list((release / "space").rglob("__pycache__"))


def require_an_endpoint_that_needs_only_the_prompt(url: str) -> None:
    client = Client(url, verbose=False)
    job = client.submit("why is <b>it</b>", api_name="/compare")
    dense, pruned = job.result(timeout=30)
    assert len(job.outputs()) > 2
    assert [message["role"] for message in dense] == ["user", "assistant"]
    assert said(dense)[0] == "why is <b>it</b>"
    assert dense[-1]["content"] != pruned[-1]["content"]
    longer = client.predict("and", dense_history=dense, pruned_history=pruned, max_new_tokens=4, api_name="/compare")
    assert [len(side) for side in longer] == [4, 4]
    for arguments, words in WRONG:
        with pytest.raises(AppError, match=words):
            client.predict(**arguments, api_name="/compare")
    assert client.predict(api_name="/items")["total"] == 0
    with pytest.raises(AppError, match="kind"):
        client.predict(kind="x", api_name="/items")
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/compare", "/items"}


@pytest.mark.long
def test_ten_visitors_at_once_are_served_in_turn_in_flat_memory(folders: tuple[Path, Path]) -> None:
    """A minute of questions, each visitor asking again when it has its answer; a tiny model, so that many are asked."""

    def visit(url: str, until: float) -> tuple[list[float], float]:
        client, waits = Client(url, verbose=False), []
        while time.monotonic() < until:
            asked = time.monotonic()
            dense, pruned = client.predict("why is the sky blue", max_new_tokens=64, api_name="/compare")
            assert dense[-1]["tokens"] > 0 < pruned[-1]["tokens"]
            waits.append(time.monotonic() - asked)
        return waits, psutil.Process(pid).memory_info().rss

    with running(app_command(), {"COMPARE_MODELS": variable(*folders)}) as (url, pid):
        visit(url, time.monotonic() + 5)
        before = psutil.Process(pid).memory_info().rss
        with ThreadPoolExecutor(10) as pool:
            visits = list(pool.map(visit, [url] * 10, [time.monotonic() + 60] * 10))
        after = psutil.Process(pid).memory_info().rss
    served, longest = [len(waits) for waits, _ in visits], max(max(waits) for waits, _ in visits)
    print(f"answers {served}, longest wait {longest:.1f} s, memory {before / 1e6:.0f} to {after / 1e6:.0f} MB")
    assert min(served) >= 0.8 * max(served)
    assert after < before + 50e6


def test_a_port_in_use_is_refused_with_a_remedy(
    release: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_SERVER_NAME", "127.0.0.1")
    with space.socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("GRADIO_SERVER_PORT", str(taken.getsockname()[1]))
        with pytest.raises(BadOption, match="GRADIO_SERVER_PORT"):
            space.run([release], folders[0], Console(quiet=True))


@pytest.mark.parametrize("port", ["", "abc", "0", "70000", "٣"])
def test_what_is_no_port_is_refused(
    release: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, port: str
) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", port)
    with pytest.raises(BadOption, match="no port"):
        space.run([release], folders[0], Console(quiet=True))


def test_releases_of_different_bases_are_not_compared(release: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "model"
    other.mkdir(parents=True)
    (other / FILE_NAME).write_text(example_record(base=example_base(id="org/else")).to_json())
    with pytest.raises(BadOption, match="one base"):
        space.environment([release, other.parent], tmp_path)
