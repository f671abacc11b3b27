"""What can go wrong while a model's files are read."""

from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

UNREADABLE = (OSError, ValueError, LookupError, TypeError, RuntimeError, HfHubHTTPError, httpx.HTTPError)
"""No such file, no network, no right to read, or a content that is not of its form; RuntimeError comes from Xet too."""


class LoadError(Exception):
    """A model cannot be loaded; says what was seen and what to do."""
