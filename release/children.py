"""What a process that this one starts may know: none of the user's secrets, no module of the working folder."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SECRET = re.compile(
    r"TOKEN(?!IZERS)|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY", re.IGNORECASE
)
"""In the name of an environment variable: its value is nobody else's business."""
NO_LOGIN = {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "HF_TOKEN_PATH": os.devnull}
"""The Hub's client finds no stored login either; its list of further logins lies beside the token's file."""


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment variables without secrets, for a process that needs none.

    Args:
        more: Variables to set beside them.
    """
    kept = {name: value for name, value in os.environ.items() if not SECRET.search(name)}
    return {**kept, "PYTHONPATH": _absolute(kept), **NO_LOGIN, **more}


@contextmanager
def inherited() -> Iterator[None]:
    """Let what is started inside inherit `environment`, and import nothing from the working folder.

    For multiprocessing, whose processes take this one's variables and no others.
    """
    before, kept = dict(os.environ), environment(PYTHONSAFEPATH="1")
    _become(kept)
    try:
        yield
    finally:
        _become(before)


def _become(variables: Mapping[str, str]) -> None:
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


def _absolute(variables: Mapping[str, str]) -> str:
    """Leave out of the import path what depends on the working folder, the empty entry included."""
    places = variables.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(place for place in places if Path(place).is_absolute())
