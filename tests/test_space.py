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
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from gradio import Error
from gradio_client import Client
from hypothesis import given
from hypothesis import strategies as st

from release import space
from release.card import render
from release.card_parts import Target
from release.errors import BadOption
from release.progress import Console
from release.record import FILE_NAME
from tests.random_records import HOSTILE
from tests.records import example_base, example_record
from tests.space_fixtures import APP, checkpoint, free_port, module, variable

answers, cards, models, page = map(module, ("answers", "cards", "models", "page"))

EXAMPLE = {"prompt": "Who was rude?", "category": "Age", "example_id": "7"}
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
    for name, examples in (("with", [EXAMPLE]), ("without", [])):
        space.build(example_record(), tmp_path / name, *IDS, examples)
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


def test_all_that_the_app_imports_is_in_its_folder_or_required() -> None:
    names = {"yaml": "pyyaml"}
    required = {line.split(">=")[0].lower() for line in (APP / "requirements.txt").read_text().split()}
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
        "---\n" + "[" * 1500 + "\n---\n",
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


@given(st.text())
def test_a_shown_message_is_restored_exactly_and_opens_no_tag(text: str) -> None:
    shown = page.shown(text)
    assert page.restored(shown) == text
    assert not any(shown[at + 1 : at + 2].isascii() and shown[at + 1 : at + 2].isalpha() for at in _opens(shown))


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
    return module("app").Comparison(models.from_variable(variable(*folders)))


def last(steps: Iterator[Any]) -> Any:
    *_, end = steps
    return end


def test_both_answers_grow_to_what_each_model_says_alone(comparison: Any, folders: tuple[Path, Path]) -> None:
    steps = [[side[-1]["content"] for side in step] for step in comparison.compare("why is the sky blue")]
    assert all(later[side].startswith(earlier[side]) for earlier, later in pairwise(steps) for side in (0, 1))
    assert len({tuple(step) for step in steps}) > 3
    for folder, answer in zip(folders, steps[-1], strict=True):
        loaded = models.load(models.Source("x/y", str(folder)))
        prompt = answers.encode(loaded, [{"role": "user", "content": "why is the sky blue"}], 128)
        tokens = loaded.model.generate(answers.torch.tensor([prompt]), do_sample=False, max_new_tokens=128)[0]
        alone = loaded.tokenizer.decode(tokens[len(prompt) :], skip_special_tokens=True)
        assert page.restored(answer) == alone


def test_a_seed_repeats_an_answer_and_equal_models_then_say_the_same(folders: tuple[Path, Path]) -> None:
    twins = module("app").Comparison(models.from_variable(variable(folders[0], folders[0])))
    first, again, other = (last(twins.compare("why", 1.5, 32, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first[0] == first[1]
    assert first != other


def test_sampling_follows_the_softmax_of_the_tempered_logits() -> None:
    torch = answers.torch
    logits, draws, temperature = torch.tensor([0.0, 1.0, 2.0]), 20_000, 2.0
    picked = answers.Gumbel(answers.Decoding(temperature, 1, 7))(None, logits.expand(draws, 3)).argmax(-1)
    shares = torch.bincount(picked, minlength=3) / draws
    assert torch.allclose(shares, torch.softmax(logits / temperature, 0), atol=0.015)


def test_a_second_turn_goes_on_from_each_models_own_answer(comparison: Any) -> None:
    parts = [{"type": "text", "text": "why"}]
    dense = [{"role": "user", "content": parts}, {"role": "assistant", "content": [{"type": "text", "text": "a b"}]}]
    screen = last(comparison.compare("and", 0, 8, 42, None, dense, []))
    assert [message["content"] for message in screen[0][:3]] == ["why", "a b", "and"]
    assert [message["role"] for message in screen[1]] == ["user", "assistant"]


def test_roles_alternate_even_after_an_answer_that_never_came() -> None:
    history = [
        {"role": "assistant", "content": "greeting"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": ""},
        {"role": "system", "content": "obey"},
        {"role": "user", "content": [{"type": "file", "file": {"path": "x"}}, {"type": "text", "text": "b"}]},
    ]
    assert answers.conversation(answers.plain(history)) == [{"role": "user", "content": "a\n\nb"}]


def test_a_tokenizer_without_template_gets_the_texts_line_by_line(tmp_path: Path) -> None:
    loaded = models.load(models.Source("x/y", str(checkpoint(tmp_path / "plain", template=None))))
    tokens = answers.encode(loaded, [{"role": "user", "content": "why is"}, {"role": "assistant", "content": "sky"}], 1)
    assert loaded.tokenizer.decode(tokens) == "why is\nsky".replace("\n", "")


def test_the_pruned_model_answers_alone_where_there_is_no_dense_one(folders: tuple[Path, Path]) -> None:
    alone = module("app").Comparison(models.from_variable(variable(None, folders[1])))
    dense, pruned = last(alone.compare("why", 0, 8))
    assert dense == []
    assert len(pruned) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prompt": "  "}, "no question"),
        ({"prompt": "x" * 4001}, "4001 characters"),
        ({"prompt": "a " * 1999}, "Clear"),
        ({"prompt": "x", "temperature": 9}, "temperature"),
        ({"prompt": "x", "max_new_tokens": 0}, "max_new_tokens"),
        ({"prompt": "x", "seed": -1}, "seed"),
        ({"prompt": "x", "variant": "<b>no</b>"}, "&lt;b&gt;"),
    ],
)
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


def test_closing_the_stream_ends_both_threads(folders: tuple[Path, Path]) -> None:
    sources = {side: models.Source(side, str(folder)) for side, folder in zip(("a", "b"), folders, strict=True)}
    prompts = {side: [5, 6, 7] for side in sources}
    steps = answers.stream(sources, prompts, answers.Decoding(0, 1500))
    next(steps)
    started = time.monotonic()
    steps.close()
    assert time.monotonic() - started < 2


def test_the_shelf_keeps_the_two_models_used_last(folders: tuple[Path, Path]) -> None:
    shelf = models.Shelf(room=2)
    dense, one, two = (models.Source(name, str(folders[0])) for name in ("dense", "one", "two"))
    for source in (dense, one, dense, two):
        shelf.get(source)
    assert [source in shelf for source in (dense, one, two)] == [True, False, True]


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
    assert len(job.outputs()) > 3
    assert [message["role"] for message in dense] == ["user", "assistant"]
    assert dense[-1]["content"] != pruned[-1]["content"]
    longer = client.predict("and", dense_history=dense, pruned_history=pruned, max_new_tokens=4, api_name="/compare")
    assert [len(side) for side in longer] == [4, 4]
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/compare"}


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
