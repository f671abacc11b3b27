"""Every command line and every Python block of the pages is run as it stands, or says beside itself why not.

The machine that they are run on has a Hub in reach, where the names that the pages use are tiny models. Measuring is
made short by words that are put behind a line; nothing of a line is changed.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
import yaml

from release.cli import parser
from release.sources import c4
from tests import checkpoints, remote
from tests.pages import PAGES, ROOT, Block, Line, blocks, lines
from tests.sources.test_calibration_text import pack
from tests.space_fixtures import await_page, free_port

BLOCKS, LINES = list(blocks()), list(lines())
LANGUAGES = {"bash", "python", "yaml", "json", "text"}
MEASURING = ("--bbq", "6", "--perplexity", "2", "--divergence", "off", "--latency", "off", "--answers", "off")
SHORT = {
    "publish": (*MEASURING, "--calibration-samples", "4", "--calibration-length", "64"),
    "measure": MEASURING,
    "watch": ("--package", "git+https://example.org/prunecard"),  # here it is installed from a folder
}
"""Command → words put behind its lines."""
OTHERS = {"hf", "pip", "pytest", "python", "ray", "make", "uvx", "llama-perplexity"}
"""Programs whose options are their own."""
TOOLS = ("openssl",)
"""Programs of others that pages use, and that every machine of ours has."""


def ours() -> list[Line]:
    return [line for line in LINES if line.of_ours]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
def test_a_block_says_its_language_and_is_read_by_it(block: Block) -> None:
    assert block.language in LANGUAGES, "fence it, with its language"
    if block.language == "python":
        compile(block.text, block.name, "exec")
    if block.language == "yaml":
        assert yaml.safe_load(block.text)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
def test_a_line_is_run_here_or_says_why_not(line: Line) -> None:
    assert line.reason or line.of_ours or line.words[0] in TOOLS, "begin its comment with [the reason]"


@pytest.mark.parametrize("line", ours(), ids=lambda line: line.name)
def test_a_line_of_ours_is_a_command_with_options_that_it_has(line: Line) -> None:
    command, *words = line.of_ours
    parser().commands[command].make_context(command, words).close()


@pytest.mark.parametrize("page", PAGES)
def test_an_option_named_in_a_sentence_is_one_of_a_command_or_of_a_benchmark(page: str) -> None:
    said = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGES[page], flags=re.DOTALL))
    asked = {word for code in said if code.split()[0] not in OTHERS for word in re.findall(r"(?<!\S)--[\w-]+", code)}
    assert {word for word in asked if "_" not in word} <= options() | {"--help", "--version", "--install-completion"}


@cache
def options() -> set[str]:
    """Every option of every command, and of the benchmarks."""
    benchmarks = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("*.py"))
    ours = {word for command in parser().commands.values() for each in command.params for word in each.opts}
    return ours | set(re.findall(r'add_argument\("(--[a-z-]+)"', benchmarks))


@dataclass(frozen=True)
class World:
    """A machine with a Hub that holds what the pages name."""

    client: remote.Client

    def run(self, line: Line) -> None:
        if line.words[0] in TOOLS:
            subprocess.run(["bash", "-ec", line.text], cwd=self.client.home, check=True, capture_output=True)
        elif line.of_ours[0] == "demo":
            self.serve(line.of_ours)
        else:
            words = line.of_ours + [word for word in SHORT.get(line.of_ours[0], ()) if word not in line.of_ours]
            said = self.client.run(*words, token=self.client.hub.token)
            assert said["code"] == 0, f"{line.name}: {line.text}\n{said['err']}\n{said['out']}"

    def serve(self, words: list[str]) -> None:
        """Run a demo until its page answers; an interrupt is its normal end."""
        port = str(free_port())
        env = os.environ | {"GRADIO_SERVER_PORT": port, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "release", *words]
        there = {"cwd": self.client.home, "stderr": subprocess.PIPE, "preexec_fn": listening}
        with subprocess.Popen(command, env=env, text=True, **there) as process:
            await_page(f"http://127.0.0.1:{port}", lambda: process.poll() and process.communicate()[1])
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0


def listening() -> None:
    """Hear interrupts again, which a shell has its background jobs ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    cache = os.environ.get("RELEASE_CACHE", "")  # the demo model and BBQ are fetched once for all tests
    base = checkpoints.make(tmp_path / "base", "llama", max_position_embeddings=4096)
    # Not by Xet: here each repository has a store of its own, and a process that pushed the same file to two would send
    # it to the first alone.
    with remote.client(tmp_path, RELEASE_CACHE=cache, HF_HUB_DISABLE_XET="1") as client:
        hub = client.hub
        hub.site.looks = 0
        hub.accounts[hub.token] = replace(hub.accounts[hub.token], orgs=("lab", "my-lab", "org"))
        for name in ("microsoft/Phi-3.5-mini-instruct", "org/dense"):
            remote.lay(hub, name, base, **{"README.md": "---\nlicense: mit\n---\n"})
        pruned = ["prune", "org/dense", "-m", "random", "-s", "30%", "-o", "pruned"]
        assert client.run(*pruned, token=hub.token)["code"] == 0
        for name in ("org/name", "org/another", "some-lab/Mistral-7B-wanda-s50"):
            remote.lay(hub, name, client.home / "pruned")
        lay_c4(client)
        (client.home / "grid.yaml").write_text(grid())
        yield World(client)


def grid() -> str:
    """The grid that the page of grids shows first."""
    return next(block.text for block in BLOCKS if block.page == "docs/sweep.md" and block.language == "yaml")


def lay_c4(client: remote.Client) -> None:
    """Lay a little of the text that calibration asks the Hub for, at the commit that it asks for."""
    texts = [PAGES["docs/statistics.md"], PAGES["docs/verify.md"], PAGES["README.md"]] * 4
    repo = client.hub.store.create("datasets", c4.REPO, False, None)
    file = client.hub.store.keep([pack(client.home / "c4.gz", texts).read_bytes()], lfs=True)
    sha = repo.record(repo.branches["main"], "data", "", {c4.FILE: file})
    shutil.copy(repo.folder / f"{sha}.json", repo.folder / f"{c4.REVISION}.json")


@pytest.mark.long
@pytest.mark.demo
@pytest.mark.timeout(1200)
def test_the_lines_of_all_pages_run_in_their_order(world: World) -> None:
    """One reader types all of them: what a page made is there for the next."""
    for line in LINES:
        if not line.reason:
            world.run(line)


@pytest.mark.long
@pytest.mark.demo
@pytest.mark.parametrize("block", [each for each in BLOCKS if each.language == "python"], ids=lambda each: each.name)
def test_a_python_block_runs(block: Block, tmp_path: Path) -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", block.text], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
