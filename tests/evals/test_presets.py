"""Perplexity as papers state it: their text, joined, cut and scored as they do, and told on the card."""

import gzip
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from release.card.render import render
from release.errors import BadOption, UnusableData
from release.evals.engine.subject import EvaluatedModel, Runtime
from release.evals.perplexity.compare import WindowCut, Windows, compare
from release.evals.perplexity.windows import losses_of, windows_of
from release.evals.run import prepare
from release.models.load import loaded
from release.progress import Console
from release.settings.measuring import Measuring
from release.sources import c4, tulu, wikitext
from release.sources.text import read_text
from release.values import DataSource
from tests import checkpoints
from tests.hub.server import HubServer
from tests.records import example_measurements, example_perplexity, example_record

CPU = torch.device("cpu")
TEXT = "".join(f"Line {i} tells that {i * 7919 % 97} is a number. " for i in range(60))
ROWS = ["", " = A title = \n", "", " A paragraph of some words . \n", ""]
RAW = " \n = A title = \n \n A paragraph of some words . \n \n"
SOURCE = DataSource(name="x", origin="a file", revision=None, licence=None, sha256="0")


def test_a_raw_split_has_the_rows_of_the_hub_s_copy():
    assert wikitext._rows_of(RAW) == ROWS


MESSAGES = pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))
PART = 200
"""Conversations in each file of the mixture; each file is one source, as in the real one nearly."""


def part_of_tulu(path: Path, number: int) -> bytes:
    """A file with the columns of the real ones, in several row groups."""
    told = range(number * PART, (number + 1) * PART)
    messages = [[(f" Ask {row}.\n", "user"), (f"Answer {row}.", "assistant")] for row in told]
    turns = [[{"content": content, "role": role} for content, role in each] for each in messages]
    columns = {"id": pa.array([f"x_{row}" for row in told]), "messages": pa.array(turns, MESSAGES)}
    table = pa.table(columns | {"source": pa.array([f"source-{number}"] * PART)})
    pq.write_table(table, path, row_group_size=64)
    return path.read_bytes()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    path = tmp_path / "test.parquet"
    pq.write_table(pa.table({"text": ROWS}), path)
    lines = "".join(json.dumps({"text": f"Page {number}."}) + "\n" for number in range(c4.DOCUMENTS + 5))
    held = {
        (wikitext.REPO, wikitext.REVISION, wikitext.FILE): path.read_bytes(),
        (c4.REPO, c4.REVISION, c4.VALIDATION): gzip.compress(lines.encode()),
    }
    parts = {file: part_of_tulu(tmp_path / "part.parquet", number) for number, file in enumerate(tulu.FILES)}
    with HubServer(tmp_path / "hub") as server:
        for (name, revision, file), content in held.items():
            repo = server.store.create("datasets", name, False, None)
            sha = repo.record(repo.branches["main"], "data", "", {file: server.store.keep([content], lfs=True)})
            shutil.copy(repo.folder / f"{sha}.json", repo.folder / f"{revision}.json")
        repo = server.store.create("datasets", tulu.REPO, False, None)
        kept = {file: server.store.keep([content], lfs=True) for file, content in parts.items()}
        sha = repo.record(repo.branches["main"], "data", "", kept)
        shutil.copy(repo.folder / f"{sha}.json", repo.folder / f"{tulu.REVISION}.json")
        yield server


SCRIPT = """
import json, sys
from release.errors import ReleaseError
from release.progress import Console
from release.sources.text import read_text
try:
    text, source = read_text(None, Console(quiet=True), sys.argv[1])
    print(json.dumps([text, source.model_dump()]))
except ReleaseError as error:
    print(json.dumps([type(error).__name__, error.remedy]))
"""


def fetched(home: Path, preset: str = "wikitext2", **changes: str) -> list:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    ours = {"HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", SCRIPT, preset]
    done = subprocess.run(command, capture_output=True, text=True, env=kept | ours | changes, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.long
def test_wikitext_is_fetched_once_at_its_commit_and_joined_as_papers_join_it(hub: HubServer, tmp_path: Path) -> None:
    text, source = fetched(tmp_path / "home", HF_ENDPOINT=hub.url)
    assert text == "\n\n".join(ROWS)
    assert (source["revision"], source["name"]) == (wikitext.REVISION, "WikiText-2 raw, test split")
    assert fetched(tmp_path / "home", HF_HUB_OFFLINE="1")[0] == text
    name, remedy = fetched(tmp_path / "other", HF_HUB_OFFLINE="1")
    assert name == "HubUnreachable"
    assert "--text FILE" in remedy


def test_c4_is_the_first_documents_of_its_validation_split(hub: HubServer, tmp_path: Path) -> None:
    text, source = fetched(tmp_path / "home", "c4", HF_ENDPOINT=hub.url)
    assert text == " ".join(f"Page {number}." for number in range(1_100))
    assert source["name"] == f"C4, first 1,100 documents of {c4.VALIDATION}"


@pytest.mark.long
def test_the_study_s_text_is_taken_evenly_from_all_of_the_mixture(hub: HubServer, tmp_path: Path) -> None:
    text, source = fetched(tmp_path / "home", "study", HF_ENDPOINT=hub.url)
    asks, answers = text.split("\n\n")[::2], text.split("\n\n")[1::2]
    rows = [int(each.removeprefix("Ask ").removesuffix(".")) for each in asks]
    assert answers == [f"Answer {row}." for row in rows]
    assert (len(set(rows)), len(rows)) == (512, 512)
    assert set(np.diff(sorted(rows)).tolist()) <= {2, 3}
    # The sources are mixed: the first hundred conversations come from every file.
    assert {row // PART for row in rows[:100]} == set(range(6))
    assert source["name"] == "Tulu 3 SFT mixture, 512 of 1,200 conversations"
    assert (source["revision"], source["licence"]) == (tulu.REVISION, "odc-by")
    assert fetched(tmp_path / "home", "study", HF_HUB_OFFLINE="1")[0] == text
    name, remedy = fetched(tmp_path / "other", "study", HF_HUB_OFFLINE="1")
    assert name == "HubUnreachable"
    assert "leave --perplexity-preset study out" in remedy


@pytest.mark.parametrize(
    ("column", "values"),
    [("text", ["x"]), ("messages", ["x"]), ("messages", [None]), ("messages", [[{"content": None, "role": "user"}]])],
)
def test_a_file_that_holds_no_conversations_is_refused(column, values, tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({column: values}), path)
    with pytest.raises(UnusableData, match="no whole file of the Tulu 3 mixture"):
        tulu.joined([tulu.part(path)])
    path.write_bytes(b"PAR1")
    with pytest.raises(UnusableData, match="no whole file of the Tulu 3 mixture"):
        tulu.part(path)


def test_a_file_that_is_not_the_split_is_refused_under_its_name(tmp_path: Path, console: Console) -> None:
    (tmp_path / "mine.txt").write_text(RAW)
    with pytest.raises(UnusableData, match="not WikiText-2's raw test split") as caught:
        read_text(tmp_path / "mine.txt", console, "wikitext2")
    assert "wiki.test.raw" in caught.value.remedy


def begun() -> object:
    from tokenizers.processors import TemplateProcessing

    tokenizer = checkpoints.tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def test_papers_begin_the_text_once_and_cut_all_of_it_without_overlap():
    tokenizer = begun()
    ids = tokenizer(TEXT)["input_ids"]
    windows = windows_of(TEXT, "x", tokenizer, None, WindowCut(50, once=True))
    assert windows.ravel().tolist() == ids[: len(ids) // 50 * 50]
    assert windows[0, 0] == 1
    assert (windows[1:, 0] != 1).any()


@pytest.mark.parametrize("stride", [1, 20, 49])
def test_windows_that_overlap_score_each_token_once(stride):
    tokenizer = checkpoints.tokenizer()
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    cut = WindowCut(50, stride)
    windows = windows_of(TEXT, "x", tokenizer, None, cut)
    assert all(row.tolist() == ids[at * stride : at * stride + 50] for at, row in enumerate(windows))
    scored = windows[:, -cut.scored :].ravel().tolist()
    assert scored == ids[50 - stride : 50 - stride + len(scored)]


def test_perplexity_of_overlapping_windows_is_that_of_a_plain_loop(tiny: dict[str, Path], console: Console) -> None:
    cut = WindowCut(64, 24)
    windows = windows_of(TEXT, "x", checkpoints.tokenizer(), 5, cut)
    with EvaluatedModel("dense", tiny["llama"], Runtime(CPU, torch.float32), console) as subject:
        readings = losses_of(subject, windows, scored=cut.scored)
    total, scored = 0.0, 0
    with loaded(tiny["llama"], CPU, torch.float32) as model, torch.no_grad():
        for row in windows.tolist():
            logs = torch.log_softmax(model(torch.tensor([row])).logits[0].double(), dim=-1)
            total -= sum(float(logs[at - 1, row[at]]) for at in range(40, 64))
            scored += 24
    found = compare(Windows.of(windows, cut), readings, readings, SOURCE, "float32")
    assert (found.tokens, found.stride) == (scored, 24)
    assert found.dense.value == pytest.approx(math.exp(total / scored), rel=1e-5)


def test_a_window_longer_than_the_model_reads_is_refused_with_one_that_is_not(
    tiny: dict[str, Path], tmp_path: Path, console: Console
) -> None:
    (tmp_path / "text.txt").write_text(TEXT * 4)
    asked = {"evals": ("perplexity",), "text": tmp_path / "text.txt", "device": "cpu", "perplexity": "2"}
    with pytest.raises(BadOption, match="has 2,049 tokens, and the model reads 2,048") as caught:
        prepare(tiny["llama"], Measuring.of(**asked, window=2049), console)
    assert "--window 2048" in caught.value.remedy
    with closing(prepare(tiny["llama"], Measuring.of(**asked, window=2048), console)) as plan:
        assert plan.tasks["perplexity"].windows.shape == (2, 2048)


@pytest.mark.parametrize(
    ("words", "due"),
    [
        ({}, ("wikipedia", "32")),
        ({"perplexity_preset": "wikitext2"}, ("wikitext2", "full")),
        ({"perplexity_preset": "wikitext2", "perplexity": "32"}, ("wikitext2", "32")),
        ({"perplexity_preset": "c4"}, ("c4", "256")),
        ({"perplexity_preset": "study"}, ("study", "256")),
        ({"perplexity_preset": "wikitext2", "evals": ("perplexity",)}, ("wikitext2", "full")),
        ({"perplexity_preset": "wikitext2", "evals": ("bbq",)}, ("wikitext2", "off")),
    ],
)
def test_all_of_a_paper_s_text_is_read_unless_a_number_is_given(words, due):
    found = Measuring.of(**words)
    assert (found.perplexity_preset, found.perplexity) == due


@pytest.mark.parametrize("preset", ["c4", "study"])
def test_a_text_of_the_hub_takes_no_file_in_its_place(preset):
    with pytest.raises(BadOption, match="contradict each other"):
        Measuring.of(perplexity_preset=preset, text=Path("mine.txt"))


@pytest.mark.parametrize("words", [{"stride": 257}, {"window": 64, "stride": 65}])
def test_a_stride_that_leaves_tokens_out_is_refused(words):
    with pytest.raises(BadOption, match="left out"):
        Measuring.of(**words)


PAPERS = "GPTQ, SparseGPT and Wanda state perplexity on the same text"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, True),
        ({"window": 1024}, False),
        ({"stride": 512}, False),
        ({"whole": False}, False),
        ({"preset": None}, False),
    ],
)
def test_figures_are_set_beside_a_paper_s_only_where_they_were_taken_alike(changes, named):
    alike = {"preset": "wikitext2", "window": 2048, "windows": 140, "tokens": 140 * 2047, "bos": "text", "whole": True}
    perplexity = example_perplexity().model_copy(update=alike | changes)
    card = render(example_record(measurements=example_measurements(perplexity=perplexity)))
    assert (PAPERS in card) == named
    assert "stands in front of the whole text alone" in card


def test_the_card_says_how_the_study_s_conversations_are_joined():
    alike = {"preset": "study", "window": 512, "windows": 256, "tokens": 256 * 511, "bos": "none"}
    perplexity = example_perplexity().model_copy(update=alike)
    card = render(example_record(measurements=example_measurements(perplexity=perplexity)))
    assert "plain text, one below the other, without roles or chat template" in card
    assert "compare ratios with it, and no perplexities" in card
    assert PAPERS not in card


def test_a_record_of_an_earlier_version_tells_what_it_told():
    card = render(example_record())
    assert "set these figures beside no paper" not in card
    assert np.isfinite(example_perplexity().scored)
