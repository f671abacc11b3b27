"""The last net: whatever is raised ends in one message and an exit code, and what nobody foresaw in a report file."""

import errno
import getpass
import json
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from release import crash
from release.__main__ import run
from release.errors import AuditFailed, ReleaseError
from release.format import LONGEST_SHOWN, message, shown
from tests import checkpoints

TOKEN = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345"
PRIVATE_KEY = "-----BEGIN OPENSSH PRIVATE KEY-----b3BlbnNzaC1rZXktdjE-----END OPENSSH PRIVATE KEY-----"


class Mute(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that report files come to."""
    monkeypatch.setenv("RELEASE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "reports"


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run a command line of a program whose one command raises."""

    def go(error: BaseException, *words: str) -> int:
        program = typer.Typer()

        @program.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
        def work() -> None:
            raise error

        command = get_command(program)
        monkeypatch.setattr("release.cli.parser", lambda: command)
        return run(["--go", *words])

    return go


def recursion() -> RecursionError:
    def deeper() -> None:
        deeper()

    try:
        deeper()
    except RecursionError as error:
        return error
    raise AssertionError("this Python has no bottom")


UNFORESEEN = [
    *(EOFError("x.safetensors ended at byte 7"), KeyError("weight_map"), ZeroDivisionError("by zero"), recursion()),
    *(
        AssertionError(),
        ImportError("no torch"),
        StopIteration(),
        NotImplementedError(),
        OSError("We could not connect"),
    ),
    *(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), ExceptionGroup("many", [ValueError("one")]), Mute()),
    *(BrokenPipeError(errno.EPIPE, "Broken pipe"), TimeoutError("late"), RuntimeError("x" * 10_000_000)),
    *(ValueError("\x1b]0;owned\x07\x1b[2J \u202e\nError: forged"), ConnectionResetError(errno.ECONNRESET, "reset")),
]


@pytest.mark.parametrize("error", UNFORESEEN, ids=lambda error: type(error).__name__)
def test_what_nobody_foresaw_is_one_line_with_a_report_file(error, raising, reports, capsys):
    assert raising(error, "--to", "x") == 70
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.strip().split("\n")
    assert len(lines) == 2
    assert lines[0].startswith("Error: Something unforeseen happened (")
    assert type(error).__name__ in lines[0]
    assert "report it" in lines[1]
    assert all(line.isprintable() and len(line) <= LONGEST_SHOWN + 10 for line in lines)
    [file] = reports.iterdir()
    assert str(file) in lines[1]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert f"{type(error).__name__}" in text
    assert "test_net.py" in text
    assert len(text) < 1_000_000


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), 2, "Memory ran out"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: error code 12"),
            2,
            "Memory ran out",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), 2, "Memory ran out"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "Make room"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 2, "quota"),
        (OSError(errno.EMFILE, "Too many open files"), 2, "ulimit"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a/b"), 2, "No such file or directory (a/b)."),
        (PermissionError(errno.EACCES, "Permission denied", b"a/\xff"), 2, "Permission denied (a/"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", 3), 2, "Is a directory."),
        (KeyboardInterrupt(), 130, "Run the same command again"),
        (typer.Abort(), 130, "Run the same command again"),
        (AuditFailed("Wrong.\n  zeros: a\n  kept: b"), 1, "Wrong.\n  zeros: a\n  kept: b"),
        (ReleaseError("Seen \x1b[2J a\u2028b\nError: forged"), 2, "Error: Seen  a b Error: forged"[:12]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_is_the_users_or_the_machines_leaves_no_report(error, code, words, raising, reports, capsys):
    assert raising(error) == code
    said = capsys.readouterr().err
    assert words in said
    assert said.count("Error:") == 1 or isinstance(error, ReleaseError)
    assert all(line.isprintable() for line in said.strip().split("\n"))
    assert not reports.exists()


def test_an_error_of_the_command_can_end_in_its_own_code(raising, capsys):
    assert raising(typer.Exit(1)) == 1
    assert raising(typer.Exit()) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [KeyError("x"), AuditFailed("Wrong."), MemoryError()])
def test_debug_shows_the_traceback_and_keeps_the_exit_code(error, raising, reports, capsys):
    code = raising(error)
    assert "Traceback" not in capsys.readouterr().err
    assert raising(error, "--debug") == code
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyError("x\x9b2J"), AuditFailed("Wrong."), KeyboardInterrupt()])
def test_json_is_one_object_on_stdout_whatever_happened(error, raising, reports, capsys):
    code = raising(error, "--json")
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert answer["ok"] is False
    assert answer["exit_code"] == code
    assert answer["error"] in said.err
    assert said.out.strip().isprintable()


def test_a_report_holds_what_is_needed_and_nothing_private(raising, reports, tmp_path, monkeypatch, capsys):
    home = tmp_path / "home" / "violetta"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LOGNAME", "violetta")
    monkeypatch.setenv("MY_API_KEY", "zq81-private-0031")
    monkeypatch.setattr(socket, "gethostname", lambda: "secretlab7.example.org")
    words = f"{TOKEN} {home}/models zq81-private-0031 secretlab7 on secretlab7.example.org v@example.org {PRIVATE_KEY}"
    code = raising(
        ValueError(f"{words} /home/bernd/x /Users/carla/y weight_map"), "--base", f"{home}/m", f"--key={TOKEN}"
    )
    assert code == 70
    said = capsys.readouterr().err.split("Please report")[0]
    [file] = reports.iterdir()
    text = file.read_text()
    for private in (
        TOKEN,
        "violetta",
        "zq81",
        "secretlab7",
        "bernd",
        "carla",
        "example.org",
        "b3Blbn",
        str(Path.home()),
    ):
        assert private not in text
        assert private not in said
    assert getpass.getuser() not in text
    for needed in (
        "weight_map",
        "torch 2",
        "transformers 5",
        "Python 3.",
        "--base",
        "Traceback",
        "ValueError",
        "line ",
    ):
        assert needed in text


def test_reports_do_not_pile_up(raising, reports, capsys):
    reports.mkdir(parents=True)
    for number in range(30):
        (reports / f"release-report-20200101-0000{number:02}-1.txt").write_text("old")
    assert raising(KeyError("x")) == 70
    assert len(list(reports.iterdir())) == crash.KEPT
    assert any(str(os.getpid()) in file.name for file in reports.iterdir())


def test_without_a_place_for_a_report_it_says_so(raising, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RELEASE_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(crash.tempfile, "gettempdir", lambda: str(tmp_path / "file"))
    assert raising(KeyError("x")) == 70
    assert "no file with the details could be written" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["methods --json", "prune --help"])
def test_a_pipe_that_nobody_reads_ends_a_command_quietly(line):
    words = [sys.executable, "-m", "release", *line.split()]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writing)
    assert done.returncode == 141
    assert done.stderr == ""


def test_without_a_command_the_help_is_shown(capsys):
    assert run([]) == 0
    said = capsys.readouterr()
    assert "Usage" in said.out
    assert said.err == ""


@pytest.mark.parametrize(
    "text",
    [
        "\x1b]0;title\x07",
        "\x1b[2J\x9b1m",
        "a\x00b",
        "\u202egnp.exe",
        "\u2066x\u2069",
        "a\r\nb\tc",
        "\ud800",
        "\u200b\ufeff",
    ],
)
def test_a_line_for_a_terminal_is_printable(text):
    line = shown(f"before {text} after")
    assert line.isprintable()
    assert line.startswith("before")
    assert line.endswith("after")


def test_a_long_name_keeps_its_ends_and_the_words_around_it():
    line = shown(f"{'x' * 10_000_000} is missing.")
    assert len(line) <= LONGEST_SHOWN + 5
    assert line.endswith("xxx is missing.")


def test_breaks_in_a_message_are_this_packages_own():
    assert message("Found:\n  one\n  two\nError: forged") == "Found:\n  one\n  two Error: forged"
    assert len(message("\n  ".join(map(str, range(1000)))).split("\n")) <= 50


def test_a_name_with_square_brackets_and_colours_is_shown_as_it_is(llama, tmp_path, capsys):
    model = checkpoints.copy(llama, tmp_path / "[red]m[bold] :bomb: \\[x]")
    assert run(["prune", str(model), "--method", "random", "--sparsity", "0.1", "--out", str(tmp_path / "out")]) == 0
    assert re.search(r"Base +\[red\]m\[bold\] :bomb: \\\[x\]", capsys.readouterr().out)
