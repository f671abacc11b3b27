"""How the Space's models answer, on the page and to programs."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from gradio import Error
from gradio_client import Client
from gradio_client.exceptions import AppError

from release import local_space
from release.errors import BadOption
from release.progress import Console
from release.schema.record import FILE_NAME
from release.space import build as space
from tests.records import example_base, example_record
from tests.space_fixtures import (
    app_command,
    checkpoint,
    free_port,
    module,
    running,
    variable,
)

NAMES = ("answers", "compare", "decoding", "lineup", "models", "page", "sampling", "turns")
answers, compare, decoding, lineup, models, page, sampling, turns = map(module, NAMES)

OF_RECORD = (example_record().base.id, example_record().name)
SECRETS = {"HF_TOKEN": "hf_verysecret", "MY_API_KEY": "verysecret", "GH_TOKEN": "ghp_verysecret"}


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# How the models answer


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return checkpoint(folder / "dense"), checkpoint(folder / "pruned", zeroed=0.5)


@pytest.fixture
def comparison(folders: tuple[Path, Path]) -> Any:
    return compare.SideBySide(lineup.from_variable(variable(*folders)))


def last(steps: Iterator[Any]) -> Any:
    *_, end = steps
    return end


def said(side: Any) -> list[str]:
    return [message["content"][0]["text"] for message in side]


def alone(folder: Path, tokens: int) -> Any:
    """What a model says to a question by transformers' own greedy search, and its scores at each token."""
    loaded = models.load(lineup.Source("x/y", str(folder)))
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
    lined = lineup.from_variable(variable(folders[0], near))
    ends = last(compare.SideBySide(lined).compare("why is the sky blue", max_new_tokens=64))
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
    twins = compare.SideBySide(lineup.from_variable(variable(folders[0], folders[0])))
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
    lined = lineup.from_variable(variable(folders[0], foreign))
    step = last(compare.SideBySide(lined).ask("me", "why", decoding.Decoding(max_new_tokens=8), None, ()))
    assert (step.progress.comparable, step.progress.difference) == (False, None)
    assert "different tokens" in page.status(step)


def test_a_seed_repeats_an_answer_and_equal_models_then_say_the_same(folders: tuple[Path, Path]) -> None:
    twins = compare.SideBySide(lineup.from_variable(variable(folders[0], folders[0])))
    first, again, other = ([said(s) for s in last(twins.compare("why", 1.5, 32, seed))] for seed in (1, 1, 2))
    assert first == again
    assert first[0] == first[1]
    assert first != other


@pytest.mark.parametrize(("top_p", "kept"), [(1.0, 3), (0.8, 2), (0.01, 1)])
def test_sampling_follows_the_softmax_of_the_tempered_logits_within_the_nucleus(top_p: float, kept: int) -> None:
    torch = answers.torch
    logits, draws, temperature = torch.tensor([0.0, 1.0, 2.0]), 20_000, 2.0
    picked = sampling.Sampler(decoding.Decoding(temperature, top_p, 1, 7))(logits.expand(draws, 3))
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


def test_a_model_that_cannot_be_loaded_ends_in_the_reason_and_in_no_answer_of_another(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folders[1], broken)
    (broken / "model.safetensors").write_bytes(b"cut")
    comparison = compare.SideBySide(lineup.from_variable(variable(folders[0], broken)))
    before = (turns.Turn("why", {"dense": turns.Answer("a", 1), "pruned": turns.Answer("b", 1)}),)
    step = last(comparison.ask("me", "and", decoding.Decoding(), None, before))
    assert "tiny/broken could not be loaded" in step.trouble
    assert (step.progress, step.waiting, step.turns[-1].answers) == (None, None, {})
    assert page.chat(step, "pruned")[-1] == {"role": "user", "content": "and"}
    with pytest.raises(Error, match="could not be loaded"):
        last(comparison.compare("and"))


def test_a_conversation_has_an_end(comparison: Any) -> None:
    asked = (turns.Turn("why", {}),) * compare.MOST_TURNS
    with pytest.raises(compare.Refusal, match="Clear"):
        next(comparison.ask("me", "and", decoding.Decoding(), None, asked))


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
    assert answers.conversation(turns.plain(history)) == [{"role": "user", "content": "a\n\nb"}]


def test_a_tokenizer_without_template_gets_the_texts_line_by_line(tmp_path: Path) -> None:
    loaded = models.load(lineup.Source("x/y", str(checkpoint(tmp_path / "plain", template=None))))
    tokens = answers.encode(loaded, [{"role": "user", "content": "why is"}, {"role": "assistant", "content": "sky"}], 1)
    assert loaded.tokenizer.decode(tokens) == "why is\nsky".replace("\n", "")


def test_the_pruned_model_answers_alone_where_there_is_no_dense_one(folders: tuple[Path, Path]) -> None:
    dense, pruned = last(compare.SideBySide(lineup.from_variable(variable(None, folders[1]))).compare("why", 0, 8))
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
        models.load(lineup.Source("me/broken", str(broken)))
    assert str(tmp_path) not in str(caught.value)
    assert "Check" in str(caught.value)


def test_closing_the_stream_ends_both_answers(folders: tuple[Path, Path]) -> None:
    sources = {side: lineup.Source(side, str(folder)) for side, folder in zip(("a", "b"), folders, strict=True)}
    prompts = {side: [5, 6, 7] for side in sources}
    steps = answers.stream(sources, prompts, decoding.Decoding(max_new_tokens=1500))
    next(steps)
    started = time.monotonic()
    steps.close()
    assert time.monotonic() - started < 2


def test_a_model_larger_than_the_memory_is_refused_with_its_size(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=4096))
    with pytest.raises(models.LoadError, match=r"GB of memory and 0\.0 GB are free"):
        models.load(lineup.Source("me/big", str(folders[0])))


@pytest.mark.parametrize(("cuda", "mps", "kind"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_models_lie_on_a_gpu_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, kind: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert models.device() == kind


def test_on_an_apple_chip_weights_are_float32(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[object] = []
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.nn.Module, "to", lambda model, *place: (where.extend(place), model)[1])
    assert models.load(lineup.Source("me/bf16", str(folders[0]))).model.dtype == torch.float32
    assert where == ["mps"]


def test_equal_tokenizers_are_kept_once(folders: tuple[Path, Path]) -> None:
    shelf = models.Shelf()
    dense, pruned = (shelf.get(lineup.Source(name, str(folder))) for name, folder in zip("ab", folders, strict=True))
    assert dense.tokenizer is pruned.tokenizer


def test_the_shelf_keeps_the_two_models_used_last(folders: tuple[Path, Path]) -> None:
    shelf = models.Shelf(room=2)
    dense, one, two = (lineup.Source(name, str(folders[0])) for name in ("dense", "one", "two"))
    for source in (dense, one, dense, two):
        shelf.get(source)
    assert [source in shelf for source in (dense, one, two)] == [True, False, True]


# The app as a program


@pytest.fixture
def release(tmp_path: Path, folders: tuple[Path, Path]) -> Path:
    shutil.copytree(folders[1], tmp_path / "release" / "model")
    (tmp_path / "release" / "model" / FILE_NAME).write_text(example_record().to_json())
    space.write_folder(example_record(), tmp_path / "release" / "space", *OF_RECORD, [])
    return tmp_path / "release"


@pytest.mark.long
def test_a_release_runs_its_own_space_without_secrets_and_ends_with_the_command(
    release: Path, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "gradio.py").write_text("raise SystemExit('imported from the working folder')")
    before, port = digests(release), free_port()
    call = (
        "import sys; from pathlib import Path; from release import local_space; from release.progress import Console; "
    )
    call += "local_space.run([Path(sys.argv[1])], Path(sys.argv[2]), Console())"
    variables = os.environ | SECRETS | {"GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"}
    variables |= {"PYTHONPATH": ".", "COMPARE_QUESTIONS_PER_MINUTE": "100000"}
    command = [sys.executable, "-P", "-c", call, str(release), str(folders[0])]
    process = subprocess.Popen(
        command,
        env=variables,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path / "here",
    )
    assert process.stderr
    url = f"http://127.0.0.1:{port}"
    try:
        assert any(f"at {url} " in line for line in process.stderr)
        [app] = psutil.Process(process.pid).children()
        assert not [name for name, value in app.environ().items() if "verysecret" in value]
        assert "/here" not in app.cwd()
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
    dense, pruned = job.result(timeout=120)
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
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/compare", "/items", "/variants"}


@pytest.mark.long
def test_ten_visitors_at_once_are_served_in_turn_in_flat_memory(folders: tuple[Path, Path]) -> None:
    """A minute of questions, each visitor asking again when it has its answer; a tiny model, so that many are asked."""

    def visit(url: str, until: float) -> tuple[list[float], float]:
        client, waits = Client(url, verbose=False), []
        while time.monotonic() < until:
            asked = time.monotonic()
            # Drawn, for greedy answers are remembered, and no model would be asked.
            how = {"max_new_tokens": 64, "temperature": 1.0, "seed": len(waits)}
            dense, pruned = client.predict("why is the sky blue", **how, api_name="/compare")
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
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("GRADIO_SERVER_PORT", str(taken.getsockname()[1]))
        with pytest.raises(BadOption, match="GRADIO_SERVER_PORT"):
            local_space.run([release], folders[0], Console(quiet=True))


@pytest.mark.parametrize("port", ["", "abc", "0", "70000", "٣"])
def test_what_is_no_port_is_refused(
    release: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, port: str
) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", port)
    with pytest.raises(BadOption, match="no port"):
        local_space.run([release], folders[0], Console(quiet=True))


def test_releases_of_different_bases_are_not_compared(release: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "model"
    other.mkdir(parents=True)
    (other / FILE_NAME).write_text(example_record(base=example_base(id="org/else")).to_json())
    with pytest.raises(BadOption, match="one base"):
        local_space.environment([release, other.parent], tmp_path)
