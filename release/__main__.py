"""The command `release`: runs the cli, catches this package's errors, sets the exit code."""

import json
import os
import sys

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit: 0 done, 1 a gate refused, 2 bad input, 3 the Hub failed, 130 interrupted."""
    # Libraries report through this package's own console; must be set before they are imported.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    # A thread that waits by spinning takes the core from whoever it waits for, where another process wants it too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; a traceback is shown with `--debug` only."""
    import typer

    from release.cli import app
    from release.errors import ReleaseError

    # typer carries its own copy of click and exports only the leaves of its errors.
    usage_error: type[typer.BadParameter] = typer.BadParameter.__mro__[1]
    try:
        code: int = app(arguments, standalone_mode=False, prog_name="release") or 0
    except usage_error as error:
        return _report(error.format_message(), "`release --help` shows what is understood.", 2, arguments)
    except ReleaseError as error:
        if "--debug" in arguments:
            raise
        return _report(error.seen, error.remedy, error.exit_code, arguments)
    except OSError as error:
        if "--debug" in arguments:
            raise
        place = f" ({error.filename})" if error.filename else ""
        return _report(
            f"{error.strerror or error}{place}.", "Check the path, its permissions and the disk.", 2, arguments
        )
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    if code == EXIT_INTERRUPTED:  # typer turns a KeyboardInterrupt into this code
        return _report("Interrupted.", "Run the same command again to go on.", EXIT_INTERRUPTED, arguments)
    return code


def _report(seen: str, remedy: str, exit_code: int, arguments: list[str]) -> int:
    import typer

    typer.echo(f"Error: {seen}" + (f"\n{remedy}" if remedy else ""), err=True)
    if "--json" in arguments:
        typer.echo(json.dumps({"ok": False, "error": seen, "remedy": remedy, "exit_code": exit_code}))
    return exit_code


if __name__ == "__main__":
    main()
