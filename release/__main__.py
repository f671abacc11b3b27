"""The command `release`: runs the cli, turns every error into one message, sets the exit code."""

import gc
import io
import json
import os
import sys
import traceback

from release.errors import NobodyReads
from release.foreseen import ErrorMessage, foreseen

EXIT_INTERRUPTED = 130
EXIT_UNFORESEEN = 70
EXIT_NOBODY_READS = 141
"""As of a program that a closed pipe ends."""
YOUNG, OLDER = 20_000, 20
"""How many objects, and collections of younger ones, before Python looks for cycles. Libraries make some hundred
thousand objects as they load, all to stay; looking through them at its usual 700 takes a sixth of a start."""

COMPLETION = "_RELEASE_COMPLETE"
PANIC = "PanicException"
"""What a panic of compiled Rust code is called; it is no Exception."""


def main() -> None:
    """Run the command line and exit.

    Codes: 0 done, 1 a gate refused, 2 bad input, 3 the Hub failed, 70 nobody foresaw it, 130 interrupted, 141 nobody
    reads what is said.
    """
    gc.set_threshold(YOUNG, OLDER, OLDER)
    # Libraries report through this package's own console; must be set before they are imported.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # What an Apple GPU lacks is done by the CPU, and said.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    # A thread that waits by spinning takes the core from whoever it waits for, where another process wants it too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # no terminal is too simple for an error
    code = run(sys.argv[1:])
    if code == EXIT_NOBODY_READS:
        # Python would flush what is left, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    # At its end Python looks for cycles once more, among all that libraries made: 0.2 s for memory that goes anyway.
    gc.freeze()
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; a traceback is shown with `--debug` only."""
    try:
        return _invoked(arguments)
    except KeyboardInterrupt:
        return _report(
            ErrorMessage("Interrupted.", "Run the same command again to go on.", EXIT_INTERRUPTED), arguments
        )
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != PANIC:
            raise
        return _caught(error, arguments)


def _invoked(arguments: list[str]) -> int:
    """Run a command; typer's own call would take any `EOFError` for Ctrl-D, and any broken pipe for the terminal's."""
    import typer

    from release.cli import app, parser

    if COMPLETION in os.environ:  # a shell asks what may follow; typer answers and exits
        app(prog_name="release")
    command = parser()
    try:
        with command.make_context("release", list(arguments) or ["--help"]) as context:
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    except typer.Abort:  # Ctrl-D or Ctrl-C at a question
        raise KeyboardInterrupt from None
    return 0


def _caught(error: BaseException, arguments: list[str]) -> int:
    from release.misused import misused

    if isinstance(error, NobodyReads):
        return EXIT_NOBODY_READS
    if "--debug" in arguments:
        traceback.print_exception(error)
    if told := misused(error):
        return _report(ErrorMessage(*told, 2), arguments)
    return _report(foreseen(error) or _unforeseen(error, arguments), arguments)


def _unforeseen(error: BaseException, arguments: list[str]) -> ErrorMessage:
    from release import crash

    path = crash.report(error, arguments)
    kept = f", with {path}, which holds nothing private" if path else "; no file with the details could be written"
    return ErrorMessage(
        f"Something unforeseen happened ({crash.summary(error)}).",
        f"Please report it where you got `release` from{kept}. `--debug` shows where it happened.",
        EXIT_UNFORESEEN,
    )


def _report(answer: ErrorMessage, arguments: list[str]) -> int:
    import typer

    from release.format import message

    seen, remedy = message(answer.seen), message(answer.remedy)
    typer.echo(f"Error: {seen}" + (f"\n{remedy}" if remedy else ""), err=True)
    if "--json" in arguments:
        typer.echo(json.dumps({"ok": False, "error": seen, "remedy": remedy, "exit_code": answer.exit_code}))
    return answer.exit_code


if __name__ == "__main__":
    main()
