"""What is known is not computed again; what is not known is never taken for something else."""

import os
import signal
import sqlite3
from collections.abc import Iterable
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from release.errors import OutputConflict
from release.evals.engine import store as module
from release.evals.engine.likelihood import Ask, likelihoods
from release.evals.engine.store import ReadingStore, model_digest
from release.evals.engine.subject import EvaluatedModel, Runtime
from release.models import logprobs
from release.models.reader import Pass
from release.progress import Advance, Console
from tests import checkpoints

QUIET = Console(quiet=True)
CPU = torch.device("cpu")
VALUES = np.array([0.5, -1.25], dtype=np.float32)
ASKS = [Ask((5, 6, 7 + i), ((1,), (2, 3, 4), (9, 9))) for i in range(6)]


def test_a_reading_is_recalled_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "readings.sqlite"
    with ReadingStore("model", "float32 cpu", QUIET, path) as store:
        key = store.key("q", (1, 2), (3,))
        assert store.recall([key]) == {}
        store.put(key, VALUES)
    with ReadingStore("model", "float32 cpu", QUIET, path) as store:
        assert np.array_equal(store.recall([key])[key], VALUES)


def test_a_key_changes_with_everything_it_depends_on(tmp_path: Path) -> None:
    path = tmp_path / "readings.sqlite"
    keys = set()
    for model in ("one", "two"):
        for arithmetic in ("float32 cpu", "bfloat16 cpu"):
            with ReadingStore(model, arithmetic, QUIET, path) as store:
                for question in ("q", "r"):
                    for tokens in (((1, 2), (3,)), ((1,), (2, 3)), ((1, 2, 3),), ((1, 2, 3), ())):
                        keys.add(store.key(question, *tokens))
    assert len(keys) == 2 * 2 * 2 * 4


def test_what_is_not_finite_is_not_kept(tmp_path: Path) -> None:
    with ReadingStore("model", "float32 cpu", QUIET, tmp_path / "readings.sqlite") as store:
        key = store.key("q", (1,))
        store.put(key, np.array([0, np.nan], dtype=np.float32))
        assert store.recall([key]) == {}


def other_columns(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE readings (name TEXT)")


SPOILT = {
    "text": lambda path: path.write_text("no database " * 999),
    "a folder": lambda path: path.mkdir(),
    "a header and zeros": lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(9_000)),
    "other columns": other_columns,
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_file_that_is_no_store_is_set_aside_and_begun_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = tmp_path / "readings.sqlite"
    for _ in range(2):  # what was set aside before makes way
        SPOILT[kind](path)
        with ReadingStore("model", "float32 cpu", Console(), path) as store:
            key = store.key("q", (1,))
            assert store.recall([key]) == {}
            store.put(key, VALUES)
        assert "set aside as readings.sqlite.spoilt" in capsys.readouterr().err
        with ReadingStore("model", "float32 cpu", Console(), path) as store:
            assert np.array_equal(store.recall([key])[key], VALUES)
        assert capsys.readouterr().err == ""
        for each in tmp_path.glob("readings.sqlite*"):
            if not each.name.endswith(".spoilt"):
                each.unlink()


def test_a_store_that_turns_out_to_be_spoilt_is_begun_anew_and_what_was_put_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "readings.sqlite"
    with ReadingStore("model", "float32 cpu", QUIET, path) as store:
        keys = [store.key("q", (number,)) for number in range(2_000)]
        for key in keys:
            store.put(key, VALUES)
    size = path.stat().st_size
    with ReadingStore("model", "float32 cpu", Console(), path) as store:
        with path.open("r+b") as file:  # its pages but the first two, which name the table
            file.seek(8_192)
            file.write(b"\xff" * (size - 8_192))
        store.put(store.key("new", (1,)), VALUES)
        assert store.recall(keys) == {}
        assert "set aside" in capsys.readouterr().err
        store.put(store.key("later", (1,)), VALUES)
    with ReadingStore("model", "float32 cpu", QUIET, path) as store:
        assert store.recall([store.key("later", (1,))])


def test_a_model_is_named_by_its_weights_and_configuration(tmp_path: Path, tiny: dict[str, Path]) -> None:
    folder = checkpoints.copy(tiny["llama"], tmp_path / "elsewhere")
    assert model_digest(folder) == model_digest(tiny["llama"])
    checkpoints.edit_config(folder, rms_norm_eps=1e-3)
    changed = model_digest(folder)
    file = next(folder.glob("*.safetensors"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert len({model_digest(tiny["llama"]), changed, model_digest(folder)}) == 3


def asked(folder: Path, console: Console, asks: list[Ask] = ASKS, dtype: torch.dtype = torch.float32):
    with EvaluatedModel("dense", folder, Runtime(CPU, dtype), console) as subject:
        found = likelihoods(subject, asks, "x")
        return found, "reader" in vars(subject)


def test_a_known_model_is_not_even_loaded(tiny: dict[str, Path], console: Console) -> None:
    first, loaded_first = asked(tiny["llama"], console)
    again, loaded_again = asked(tiny["llama"], console)
    assert (first.recalled, again.recalled) == (0, len(ASKS))
    assert (loaded_first, loaded_again) == (True, False)
    assert np.array_equal(first.values, again.values)


def test_a_larger_sample_reads_the_rest_alone(tiny: dict[str, Path], console: Console) -> None:
    asked(tiny["llama"], console, ASKS[:4])
    whole, _ = asked(tiny["llama"], console)
    assert whole.recalled == 4


@pytest.mark.parametrize("other", ["model", "arithmetic"])
def test_another_model_or_arithmetic_is_read_anew(tiny: dict[str, Path], console: Console, other: str) -> None:
    asked(tiny["llama"], console)
    dtype = torch.bfloat16 if other == "arithmetic" else torch.float32
    found, _ = asked(tiny["mistral" if other == "model" else "llama"], console, ASKS, dtype)
    assert found.recalled == 0


def test_values_are_mean_log_probabilities_of_the_continuations(tiny: dict[str, Path], console: Console) -> None:
    from release.models.load import loaded

    found, _ = asked(tiny["qwen3"], console)
    with loaded(tiny["qwen3"], CPU, torch.float32) as module, torch.inference_mode():
        for row, ask in zip(found.values, ASKS, strict=True):
            for value, continuation in zip(row, ask.continuations, strict=True):
                ids = [*ask.prompt, *continuation]
                logp = torch.log_softmax(module(torch.tensor([ids])).logits[0].double(), dim=-1)
                each = [logp[len(ask.prompt) + i - 1, token] for i, token in enumerate(continuation)]
                assert value == pytest.approx(float(torch.stack(each).mean()), abs=1e-4)


def killed(folder: Path, left: int) -> None:
    """Ask, in a fork, and be killed when so many readings are kept."""
    put = ReadingStore.put
    counted = count()

    def last(*given: Any) -> None:
        if next(counted) == left:
            os.kill(os.getpid(), signal.SIGKILL)
        put(*given)

    patch = pytest.MonkeyPatch()
    patch.setattr(module, "EVERY", 0)
    patch.setattr(ReadingStore, "put", last)
    asked(folder, QUIET)


def test_after_a_kill_only_the_rest_is_read(tiny: dict[str, Path], console: Console) -> None:
    kill(tiny["llama"])
    found, _ = asked(tiny["llama"], console)
    assert found.recalled == 4


def kill(folder: Path) -> None:
    """Have somebody be killed when four readings, and with what they began, are kept."""
    process = get_context("fork").Process(target=killed, args=(folder, 5))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def passes_of(folder: Path, console: Console) -> tuple[list[tuple[int, ...]], Any]:
    """Ask, and return the tokens of every pass, and the values."""
    with EvaluatedModel("dense", folder, Runtime(CPU, torch.float32), console) as subject:
        seen, run = list[tuple[int, ...]](), subject.reader.run

        def watched(passes: Iterable[Pass], advance: Advance) -> Any:
            given = list(passes)
            seen.extend(tuple(each.tokens) for each in given)
            return run(given, advance)

        subject.reader.run = watched  # type: ignore[method-assign]
        return seen, likelihoods(subject, ASKS, "x").values


def test_after_a_kill_the_rest_is_read_in_passes_of_a_run_that_was_not_killed(
    tiny: dict[str, Path], console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands beside a sequence in its pass may alter its last bit."""
    monkeypatch.setattr(logprobs, "NODES", {"cpu": 16})
    monkeypatch.setenv("RELEASE_READINGS", str(tmp_path / "whole"))
    whole, values = passes_of(tiny["llama"], console)
    monkeypatch.setenv("RELEASE_READINGS", str(tmp_path / "killed"))
    kill(tiny["llama"])
    rest, again = passes_of(tiny["llama"], console)
    assert set(rest) < set(whole)
    assert np.array_equal(again, values)


def test_a_store_is_never_locked_between_two_writes(tmp_path: Path) -> None:
    path = tmp_path / "readings.sqlite"
    with ReadingStore("a", "x", QUIET, path) as one, ReadingStore("b", "x", QUIET, path) as two:
        for store in (one, two, one, two):
            store.put(store.key("q", (1,)), VALUES)
            assert store.keep()
            store.put(store.key("q", (2,)), VALUES)
    with sqlite3.connect(path) as file:
        assert file.execute("SELECT count(*) FROM readings").fetchone() == (4,)


def test_where_a_store_cannot_be_written_measuring_goes_on_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    path = tmp_path / "readings.sqlite"
    with ReadingStore("a", "x", Console(), path) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        store.put(store.key("q", (1,)), VALUES)
        assert not store.keep()
    other.close()
    assert "could not be kept" in capsys.readouterr().err


def test_a_place_where_no_store_can_be_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputConflict, match=r"cannot be used .*\n.*RELEASE_READINGS"):
        ReadingStore("model", "float32 cpu", QUIET, tmp_path / "file" / "readings.sqlite")
