"""Where a release lies on this disk: one type for its two layouts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from release.checkpoint.folder import model_folder


@dataclass(frozen=True)
class ReleaseFolder:
    """A release on this disk.

    `publish` makes a folder that holds `model/`, `space/` and `work/`. `prune` and `rebuild` make a model folder alone,
    which hides its markers in `.release/`.

    Attributes:
        root: The folder that people name; it need not be there yet.
        alone: Whether it is the model folder itself.
    """

    root: Path
    alone: bool = False

    @classmethod
    def found(cls, root: Path) -> Self:
        """Return the release that lies in a folder, in the layout that it has there.

        Raises:
            UnusableBase: Its model folder is a link that leads out of it.
        """
        return cls(root, root.is_dir() and model_folder(root) == root)

    @property
    def model(self) -> Path:
        """What is uploaded as the model repository."""
        return self.root if self.alone else self.root / "model"

    @property
    def space(self) -> Path:
        """What is uploaded as the Space; a model folder alone has none."""
        return self.root / "space"

    @property
    def work(self) -> Path:
        """Markers and caches; never uploaded."""
        return self.root / (".release" if self.alone else "work")
