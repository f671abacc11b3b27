"""Calibration text: where it comes from, which windows of it are used, and that nothing is measured on it."""

import gzip
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from release.errors import BadOption, ReleaseError, UnusableData
from release.progress import Console
from release.pruning.calibration import Text, TextReader, calibration_text, text_again
from release.schema.record import Calibration
from release.settings.recipe import CalibrationPlan
from release.sources import c4
from release.sources.text import RUN, require_apart, text_file, tokenise, wikipedia, windows
from tests import checkpoints
from tests.hub import Fault, HubServer
from tests.records import example_pruning, example_record

ROOT = Path(__file__).parent.parent.parent
SAMPLES, LENGTH = 6, 50

PRELUDE = """
import json, sys
from pathlib import Path
from release.errors import ReleaseError
from release.progress import Console
from release.sources import c4

def tell(action):
    try:
        told = action()
    except ReleaseError as error:
        told = {"error": type(error).__name__, "seen": error.seen, "remedy": error.remedy, "exit": error.exit_code}
    print(json.dumps(told, default=str))

def fetch():
    return c4.fetch(Console())

def read():
    return list(c4.documents(fetch()))

def calibrate(text):
    from transformers import PreTrainedTokenizerFast
    from release.pruning.calibration import TextReader, calibration_text
    from release.settings.recipe import CalibrationPlan

    tokenizer = PreTrainedTokenizerFast.from_pretrained(sys.argv[1])
    plan = CalibrationPlan(text=text, samples=6, length=50)
    text = calibration_text(plan, None, TextReader(tokenizer, 512, True), 42, Console())
    return {"ids": text.ids.tolist(), "content": text.content, "record": text.described("cpu").model_dump()}
"""
"""What every script begins with."""


@dataclass(frozen=True)
class Client:
    """A user's machine with a Hub in reach that holds C4, and a cache of its own."""

    hub: HubServer
    folder: Path

    def start(self, script: str, **changes: str) -> "subprocess.Popen[str]":
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
        ours = {"HF_ENDPOINT": self.hub.url, "HF_HOME": str(self.folder / "home"), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", PRELUDE + script, str(self.folder / "tokenizer")]
        pipe = subprocess.PIPE
        env = kept | ours | {"HF_HUB_DISABLE_XET": "1"} | changes
        return subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True)

    def run(self, script: str, **changes: str) -> list[Any]:
        return told(self.start(script, **changes))

    def downloads(self) -> int:
        return sum(seen.method == "GET" and "/lfs/" in seen.path for seen in self.hub.seen)

    @property
    def repo(self) -> Path:
        return self.hub.store.folder / "repos" / "datasets" / c4.REPO


def told(process: "subprocess.Popen[str]") -> list[Any]:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def client(tmp_path: Path, articles: list[str]) -> Iterator[Client]:
    checkpoints.tokenizer().save_pretrained(tmp_path / "tokenizer")
    file = pack(tmp_path / "c4.json.gz", articles)
    with HubServer(tmp_path / "hub") as hub:
        repo = hub.store.create("datasets", c4.REPO, False, None)
        sha = repo.record(repo.branches["main"], "data", "", {c4.FILE: hub.store.keep([file.read_bytes()], lfs=True)})
        shutil.copy(repo.folder / f"{sha}.json", repo.folder / f"{c4.REVISION}.json")
        yield Client(hub, tmp_path)


def pack(path: Path, documents: list[str]) -> Path:
    """Write documents as C4's files hold them."""
    lines = (json.dumps({"text": text, "timestamp": "2019-04-25T12:57:54Z", "url": "x"}) + "\n" for text in documents)
    path.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
    return path


@pytest.fixture(scope="module")
def halves(console: Console) -> tuple[str, str]:
    """The catalogue's own text, to calibrate on and to measure on."""
    return wikipedia("calibration", console)[0], wikipedia("evaluation", console)[0]


@pytest.fixture(scope="module")
def articles(halves: tuple[str, str]) -> list[str]:
    return halves[0].split("\n\n")[:60]


@pytest.fixture(scope="module")
def by_words(halves: tuple[str, str]) -> PreTrainedTokenizerFast:
    """A tokenizer for which every word of the Wikipedia half is a token."""
    numbers = {word: number for number, word in enumerate(dict.fromkeys(["<unk>", *halves[0].split()]))}
    backend = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")


@pytest.fixture(scope="module")
def local(by_words: PreTrainedTokenizerFast) -> Text:
    """What "auto" is for a base that is not from the Hub."""
    return bring(CalibrationPlan(samples=128), tokenizer=by_words)


def beginning_with_bos(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def bring(plan: CalibrationPlan, file: Path | None = None, **changes: Any) -> Text:
    """Calibrate on a plan's text with the byte-level tokenizer, for a local base that reads 512 tokens."""
    seed = changes.pop("seed", 42)
    reader = TextReader(**({"tokenizer": checkpoints.tokenizer(), "limit": 512, "on_hub": False} | changes))
    return calibration_text(plan, file, reader, seed, Console(quiet=True))


def write(folder: Path, text: str) -> tuple[CalibrationPlan, Path]:
    path = folder / "mine.txt"
    path.write_text(text, encoding="utf-8")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return CalibrationPlan(text=path.name, samples=SAMPLES, length=LENGTH, file_sha256=digest), path


def test_c4_is_its_first_documents_that_hold_four_times_the_tokens_used(client: Client, articles: list[str]) -> None:
    [answer] = client.run('tell(lambda: calibrate("auto"))')
    count, held = 0, 0
    while held < 4 * SAMPLES * LENGTH:
        held += len(articles[count].encode()) + 2
        count += 1
    assert 1 < count < len(articles)
    text = "".join(f"{article}\n\n" for article in articles[:count])
    ids = np.array(answer["ids"], dtype="<i4")
    assert answer["content"] == text
    assert answer["record"] == {
        "plan": {"text": "auto", "samples": SAMPLES, "length": LENGTH, "file_sha256": None},
        "text": {
            "name": f"C4, first {count} documents of {c4.FILE}",
            "origin": "https://huggingface.co/datasets/allenai/c4",
            "revision": c4.REVISION,
            "licence": "odc-by",
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        },
        "samples": SAMPLES,
        "length": LENGTH,
        "token_sha256": hashlib.sha256(ids.tobytes()).hexdigest(),
        "device": "cpu",
    }
    stream = checkpoints.tokenizer()(text, add_special_tokens=False)["input_ids"]
    places = [places_of(stream, row) for row in ids.tolist()]
    assert places == sorted(places)
    assert len(set(places)) == SAMPLES


def places_of(stream: list[int], row: list[int]) -> int:
    """Return which of the windows without overlap a row is."""
    (place,) = [at for at in range(0, len(stream) - len(row) + 1, len(row)) if stream[at : at + len(row)] == row]
    return place


def test_c4_is_fetched_once_and_then_needs_no_hub(client: Client, articles: list[str]) -> None:
    documents = [f"{article}\n\n" for article in articles]
    assert client.run("tell(read)\ntell(read)") == [documents, documents]
    asked = len(client.hub.seen)
    assert client.run("tell(read)", HF_HUB_OFFLINE="1") == [documents]
    assert (client.downloads(), len(client.hub.seen)) == (1, asked)


def test_without_c4_every_error_names_the_text_that_needs_no_hub(client: Client) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
        cases = [
            ("HubUnreachable", 2, "Nobody answers at", {"HF_ENDPOINT": nobody}),
            ("HubUnreachable", 2, "HF_HUB_OFFLINE", {"HF_HUB_OFFLINE": "1"}),
            ("NotLoggedIn", 2, "refuses the token", {"HF_TOKEN": "hf_wrong"}),
        ]
        asked = [(case, client.start("tell(fetch)", **case[-1])) for case in cases]
        for (error, code, words, _), process in asked:
            [answer] = told(process)
            refused(answer, error, code, words)


def test_c4_that_does_not_arrive_or_is_gone_is_told_apart(client: Client) -> None:
    client.hub.faults.append(Fault("GET", "/lfs/", action=403))
    # Two questions before a download; the third is the next run's first.
    client.hub.faults.append(Fault("HEAD", "/resolve/", after=2, action=lambda: shutil.rmtree(client.repo)))
    broken, gone = client.run("tell(fetch)\ntell(fetch)")
    refused(broken, "HubFailed", 3, "broke off")
    refused(gone, "UnknownName", 2, "allenai/c4 is missing")


def refused(answer: dict[str, Any], error: str, code: int, words: str) -> None:
    assert (answer["error"], answer["exit"]) == (error, code)
    assert words in answer["seen"]
    assert "--calibration wikipedia" in answer["remedy"]
    assert "hf_wrong" not in str(answer)


BREAK = """
path = fetch()
blob = path.resolve()
blob.write_bytes(blob.read_bytes()[:200])
tell(lambda: blob)
tell(read)
blob.unlink()
tell(read)
"""


def test_a_broken_copy_of_c4_is_named_and_fetched_again_once_it_is_gone(client: Client, articles: list[str]) -> None:
    blob, broken, whole = client.run(BREAK)
    refused(broken, "UnusableData", 2, f"{blob} is no whole file")
    assert whole == [f"{article}\n\n" for article in articles]
    assert client.downloads() == 2


def test_only_the_documents_that_are_read_are_unpacked(tmp_path: Path) -> None:
    texts = [f"{i} " + os.urandom(8_000).hex() for i in range(100)]
    file = pack(tmp_path / "c4.json.gz", texts)
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2] + b"\0" * 1_000)
    documents = c4.documents(file)
    assert [next(documents) for _ in range(10)] == [f"{text}\n\n" for text in texts[:10]]
    with pytest.raises(UnusableData, match="no whole file of C4"):
        list(documents)


@pytest.mark.parametrize(
    "content",
    [b"plain", *(gzip.compress(line, mtime=0) for line in (b"{", b'{"url": "x"}', b'{"text": 1}'))],
    ids=["no gzip", "no JSON", "no text", "number"],
)
def test_what_is_no_file_of_c4_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c4.json.gz"
    path.write_bytes(content)
    with pytest.raises(UnusableData, match="no whole file of C4"):
        list(c4.documents(path))


def test_auto_is_the_wikipedia_half_for_a_base_that_is_not_from_the_hub(
    tmp_path: Path, local: Text, halves: tuple[str, str], by_words: PreTrainedTokenizerFast
) -> None:
    _, not_meant = write(tmp_path, "0123456789" * 101)
    named = bring(CalibrationPlan(text="wikipedia", samples=128), not_meant, tokenizer=by_words)
    assert local.content == named.content == halves[0]
    assert np.array_equal(local.ids, named.ids)
    words = halves[0].split()
    first = by_words.convert_ids_to_tokens(local.ids[0].tolist())
    assert any(words[at : at + 512] == first for at in range(0, len(words), 512))
    assert local.source == named.source == wikipedia("calibration", Console(quiet=True))[1]


@pytest.mark.parametrize(("limit", "length"), [(None, 2_048), (4_096, 2_048), (2_048, 2_048), (512, 512), (2, 2)])
def test_a_window_is_2048_tokens_or_what_the_model_reads(tmp_path: Path, limit: int | None, length: int) -> None:
    plan, path = write(tmp_path, "0123456789" * 410)
    assert bring(plan.model_copy(update={"samples": 2, "length": None}), path, limit=limit).ids.shape == (
        2,
        length,
    )


def test_a_recorded_text_comes_again(tmp_path: Path, console: Console) -> None:
    plan, path = write(tmp_path, "".join(chr(33 + i * i % 93) for i in range(5_000)))
    text = bring(plan, path, seed=7)
    pruning = example_pruning(calibration=text.described("cpu"), seed=7)
    checkpoints.tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama", "max_position_embeddings": 512}')
    again = text_again(example_record(pruning=pruning), path, tmp_path, console)
    assert np.array_equal(again.ids, text.ids)
    assert again.described("cpu") == text.described("cpu")


def test_a_release_without_calibration_has_no_text_to_bring_again(tmp_path: Path, console: Console) -> None:
    with pytest.raises(BadOption, match="without calibration text"):
        text_again(example_record(), None, tmp_path, console)


@given(
    count=st.integers(1, 40),
    length=st.integers(2, 9),
    rest=st.integers(0, 8),
    seed=st.integers(-(2**40), 2**40),
    bos=st.booleans(),
    data=st.data(),
)
def test_windows_are_drawn_once_each_and_stay_in_the_order_of_the_text(
    tmp_path_factory: pytest.TempPathFactory, count: int, length: int, rest: int, seed: int, bos: bool, data: Any
) -> None:
    samples = data.draw(st.integers(1, count))
    step = length - bos
    tokenizer = beginning_with_bos(checkpoints.tokenizer()) if bos else checkpoints.tokenizer()
    letters = "".join(chr(33 + i % 93) for i in range(count * step + rest % step))
    plan, path = write(tmp_path_factory.mktemp("text"), letters)
    plan = plan.model_copy(update={"samples": samples, "length": length})
    drawn = bring(plan, path, tokenizer=tokenizer, seed=seed).ids
    assert drawn.shape == (samples, length)
    assert drawn.dtype == np.int32
    if bos:
        assert (drawn[:, 0] == 1).all()
    ids = tokenise([letters], tokenizer)[0]
    whole = [ids[at * step : (at + 1) * step].tolist() for at in range(count)]
    assert is_subsequence([row[bos:] for row in drawn.tolist()], whole)


def is_subsequence(part: list[list[int]], whole: list[list[int]]) -> bool:
    left = iter(whole)
    return all(row in left for row in part)


def test_the_seed_decides_the_windows(tmp_path: Path) -> None:
    plan, path = write(tmp_path, "".join(chr(33 + i * i % 93) for i in range(5_000)))
    first, again, other = (bring(plan, path, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.ids, again.ids)
    assert not np.array_equal(first.ids, other.ids)
    assert first.token_sha256 != other.token_sha256


def test_the_windows_of_a_seed_never_change(tmp_path: Path) -> None:
    plan, path = write(tmp_path, "".join(f"{i:050d}" for i in range(100)))
    tokenizer = checkpoints.tokenizer()
    assert [int("".join(tokenizer.convert_ids_to_tokens(row))) for row in bring(plan, path).ids.tolist()] == DRAWN


DRAWN = [0, 7, 12, 16, 43, 60]
"""Windows that seed 42 draws of a hundred; other ones would change every calibrated release."""


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"samples": 0}, BadOption, "0 windows"),
        ({"samples": -1}, BadOption, "-1 windows"),
        ({"length": 1}, BadOption, "1 tokens"),
        ({"length": 513}, BadOption, "longer than the 512 that the model reads"),
        (
            {"samples": 21},
            UnusableData,
            r"mine.txt gives 20 windows of 50 tokens \(1,010 tokens in all\); 21 were asked",
        ),
        ({"length": 512, "samples": 2}, UnusableData, "gives 1 windows of 512"),
        ({"file_sha256": "0" * 64}, UnusableData, "not the calibration text mine.txt"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(
    tmp_path: Path, changes: dict[str, Any], error: type[ReleaseError], words: str
) -> None:
    plan, path = write(tmp_path, "0123456789" * 101)
    with pytest.raises(error, match=words) as caught:
        bring(plan.model_copy(update=changes), path)
    assert caught.value.remedy


def test_the_remedy_for_a_short_text_works(tmp_path: Path) -> None:
    plan, path = write(tmp_path, "0123456789" * 101)
    with pytest.raises(UnusableData, match="--calibration-samples 20"):
        bring(plan.model_copy(update={"samples": 1_000}), path)
    assert bring(plan.model_copy(update={"samples": 20}), path).ids.shape == (20, LENGTH)
    with pytest.raises(UnusableData, match="a smaller --calibration-length"):
        bring(plan.model_copy(update={"length": 2_000}), path, limit=None)


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), (b"\xff\xfe", "no UTF-8 text"), (b" \n", "holds no text")]
)
def test_a_file_that_is_no_text_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "mine.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnusableData, match=words):
        bring(CalibrationPlan(text="mine.txt", samples=1, length=2), path)


def test_a_file_of_ones_own_must_be_given_whatever_it_is_called(tmp_path: Path) -> None:
    plan, path = write(tmp_path, "0123456789" * 101)
    for name in ("mine.txt", "c4"):
        with pytest.raises(BadOption, match=f"a file, {name}"):
            bring(plan.model_copy(update={"text": name}))
    assert bring(plan.model_copy(update={"text": "c4"}), path).source == text_file(path)[1]


def test_a_record_holds_the_files_name_and_digest_and_never_its_folder(tmp_path: Path) -> None:
    plan, path = write(tmp_path, "0123456789" * 101)
    described = bring(plan, path).described("cuda")
    assert (described.text.name, described.text.sha256) == ("mine.txt", plan.file_sha256)
    assert (described.samples, described.length, described.device) == (SAMPLES, LENGTH, "cuda")
    assert str(tmp_path) not in described.model_dump_json()
    assert Calibration.model_validate_json(described.model_dump_json()) == described


@pytest.mark.long
def test_the_catalogues_halves_are_apart_and_no_text_is_apart_from_itself(halves: tuple[str, str]) -> None:
    calibration, evaluation = halves
    require_apart(calibration, evaluation)
    require_apart(evaluation, calibration)
    for text in halves:
        with pytest.raises(UnusableData) as caught:
            require_apart(text, text)
        assert " ".join(text.split()[:12]) in caught.value.seen
        assert "--calibration" in caught.value.remedy
        assert "--text" in caught.value.remedy


def test_one_article_in_common_is_enough_to_refuse(local: Text, halves: tuple[str, str]) -> None:
    local.require_apart(halves[1])
    article = next(article for article in halves[0].split("\n\n") if len(article.split()) >= RUN)
    with pytest.raises(UnusableData, match=f"{RUN} words in a row"):
        local.require_apart(halves[1] + "\n" + article)


@given(
    shared=st.integers(RUN - 2, RUN + 2), ours=st.integers(0, 130), theirs=st.integers(0, 130), after=st.integers(0, 3)
)
def test_fifty_shared_words_are_too_many_wherever_they_stand(shared: int, ours: int, theirs: int, after: int) -> None:
    run = [f"w{i}" for i in range(shared)]
    one = [f"a{i}" for i in range(ours)] + run + ["x"] * after
    two = "  \n".join([f"b{i}" for i in range(theirs)] + run + ["y"] * after)
    if shared < RUN:
        require_apart(" ".join(one), two)
        return
    with pytest.raises(UnusableData, match="from “w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 …”"):
        require_apart(" ".join(one), two)


def test_shared_words_are_quoted_without_control_characters() -> None:
    text = "a\x1b[31mb " * RUN
    with pytest.raises(UnusableData) as caught:
        require_apart(text, text)
    assert caught.value.seen.isprintable()


def test_windows_fill_what_they_can() -> None:
    cut = windows(np.arange(10, 21, dtype=np.int32), 4, [7])
    assert cut.tolist() == [[7, 10, 11, 12], [7, 13, 14, 15], [7, 16, 17, 18]]
    assert windows(np.arange(3, dtype=np.int32), 4).shape == (0, 4)


def test_planning_calibration_needs_no_torch() -> None:
    script = "import sys, release.pruning.calibration; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
