"""Where the templates and the Space's files lie, in a source tree and in an installed wheel alike."""

from pathlib import Path

PACKAGE = Path(__file__).parent


def resource(name: str) -> Path:
    """Return the folder `templates` or `spaces`.

    A wheel carries both inside the package; in a source tree they lie beside it.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    for folder in (PACKAGE / name, PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the installation lacks its {name}/ folder; install the package again")
