"""What a push would send, where the Hub was not asked what it holds."""

from collections.abc import Iterator

from release.checkpoint.files import Folder, is_hidden
from release.format import size
from release.frozen import Frozen
from release.release_folder import ReleaseFolder
from release.settings.publication import PublishOptions


class UnaskedPush(Frozen):
    """What a push would send, as far as this machine knows it.

    Attributes:
        repositories: Where it would go; without `--to` the account's own name stands in front.
        files: That would be sent, but for those that the Hub holds already; as `bytes_to_send`.
        not_asked: Why the Hub was not asked, and what to do about it.
    """

    repositories: tuple[str, ...]
    files: int
    bytes_to_send: int
    not_asked: str

    def lines(self) -> Iterator[str]:
        """Say it for people, a fact a line."""
        yield f"Repositories  {', '.join(self.repositories)}"
        yield f"To send       at most {size(self.bytes_to_send)} in {self.files} files"
        yield f"The Hub       was not asked. {self.not_asked}"


def unasked(folder: ReleaseFolder, name: str, namespace: str | None, options: PublishOptions, why: str) -> UnaskedPush:
    """Say what a push would send.

    Args:
        name: Of the release.
    """
    spaces = [folder.space] if options.space and folder.space.is_dir() else []
    sizes = [
        length
        for each in (folder.model, *spaces)
        for path, length in Folder(each).sizes.items()
        if not is_hidden(path) and not (options.weights == "none" and path.endswith(".safetensors"))
    ]
    return UnaskedPush(
        repositories=repositories(name, namespace, options, space=bool(spaces)),
        files=len(sizes),
        bytes_to_send=sum(sizes),
        not_asked=why,
    )


def repositories(name: str, namespace: str | None, options: PublishOptions, *, space: bool) -> tuple[str, ...]:
    """Return the names of the model's repository and, where one goes along, the Space's."""
    model = options.into or (f"{namespace}/{name}" if namespace else name)
    return (model, f"spaces/{options.space_into or model}") if space else (model,)
