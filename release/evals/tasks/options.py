"""What is asked of the tasks of harnesses."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from release.errors import BadOption
from release.format import quoted
from release.settings.evaluation import EvalOptions
from release.settings.option import HelpPanel, Option

OFF = "off"
NAMES = re.compile(r"[\w.+-]{1,200}(,[\w.+-]{1,200})*", re.ASCII)


def _tasks(text: str) -> str:
    plain = text.replace(" ", "")
    names = plain.split(",")
    if not NAMES.fullmatch(plain) or len(set(names)) < len(names) or (OFF in names and plain != OFF):
        raise BadOption(f"--tasks {quoted(text)} is not understood.", "Give names with commas, each once, or off.")
    return plain


class TasksOptions(EvalOptions):
    """What is asked of the tasks of lm-evaluation-harness.

    Attributes:
        tasks: "off", or names of tasks and groups, with commas.
        tasks_limit: Items drawn of each task; all where there are fewer, or where this is None.
        tasks_shots: Examples in front of each item; None for as many as the task says.
        tasks_path: A folder of tasks of one's own, in the harness's form.
        import_lm_eval: Logs of the dense and the pruned model that were made elsewhere, instead of asking.
    """

    tasks: Annotated[
        str,
        Option("--tasks", "Tasks of lm-evaluation-harness: off, or names with commas.", HelpPanel.MEASURE, _tasks),
    ] = OFF
    tasks_limit: Annotated[
        int | None,
        Option(
            "--tasks-limit",
            "Items drawn of each task; by default all.",
            HelpPanel.MEASURE,
            least=2,
            most=999_999_999,
            shows_default=False,
        ),
    ] = None
    tasks_shots: Annotated[
        int | None,
        Option(
            "--tasks-shots",
            "Examples before each item; by default the task's own number.",
            HelpPanel.MEASURE,
            least=0,
            most=1000,
            shows_default=False,
        ),
    ] = None
    tasks_path: Annotated[
        Path | None, Option("--tasks-path", "A folder of tasks of your own.", HelpPanel.MEASURE, shows_default=False)
    ] = None
    import_lm_eval: Annotated[
        tuple[Path, Path] | None,
        Option(
            "--import-lm-eval",
            "Two logs instead, dense and pruned: results of lm-evaluation-harness, or .eval of inspect_ai.",
            HelpPanel.MEASURE,
            shows_default=False,
            metavar="DENSE PRUNED",
        ),
    ] = None

    @classmethod
    def off(cls) -> Mapping[str, Any]:
        """Nothing is asked, and nothing imported."""
        return {"tasks_limit": None, "tasks_shots": None, "tasks_path": None, "import_lm_eval": None}

    @classmethod
    def require_consistent(cls, asked: Any) -> None:
        """Refuse to ask and to import at once, and options of what is not asked.

        Raises:
            BadOption: Two options exclude each other.
        """
        if asked.tasks != OFF and asked.import_lm_eval is not None:
            raise BadOption("--tasks and --import-lm-eval exclude each other.", "Leave one of them out.")
        if asked.tasks == OFF and (asked.tasks_limit, asked.tasks_shots, asked.tasks_path) != (None, None, None):
            raise BadOption("There is a --tasks-… option, but no --tasks.", "Name tasks: --tasks arc_easy,hellaswag.")


OPTIONS = TasksOptions
