"""What is installed only when asked for: which extra brings a package that is missing."""

from collections.abc import Mapping

DISTRIBUTION = "prunecard"
"""What this package is called where it is installed from; it is imported, and run, as `release`."""
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "torch": ("torch", "transformers", "accelerate", "gguf", "scipy", "pyarrow", "matplotlib"),
    "demo": ("gradio", "mcp"),
    "signing": ("model_signing", "OpenSSL"),
    "sweep": ("ray",),
    "tasks": ("lm_eval",),
    "mlx": ("mlx", "mlx_lm"),
}
"""Extra → the packages that it brings, by the names they are imported by."""


def install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def missing(error: BaseException) -> tuple[str, str] | None:
    """Say which package an import did not find, and how to install it; None for any other error."""
    package = (getattr(error, "name", None) or "").partition(".")[0]
    extra = next((extra for extra, packages in EXTRAS.items() if package in packages), None)
    if not isinstance(error, ModuleNotFoundError) or extra is None:
        return None
    return f"This needs {package}, which is not installed.", f"Install it with `{install(extra)}`."
