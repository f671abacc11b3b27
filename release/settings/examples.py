"""Command lines that do what they are for: shown in the help, and with an error of the same command."""

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "publish": (
        "release publish demo --method random --sparsity 10% --local",
        "release publish phi-3.5 --method wanda --sparsity 50% --to my-lab",
        "release publish org/name@v2 --method magnitude --sparsity 0.3 --dry-run",
    ),
    "prune": (
        "release prune demo --method magnitude --sparsity 50% --out pruned",
        "release prune ./model --method random --sparsity 10%,30%,50% --out grid",
    ),
    "verify": (
        "release verify org/name",
        "release verify releases/smollm2-135m-instruct-random-s10 --base demo --rebuild",
    ),
    "rebuild": ("release rebuild org/name --base org/dense --out model",),
    "measure": ("release measure ./pruned --base org/dense --bbq 200",),
    "card": ("release card releases/smollm2-135m-instruct-random-s10 --diff",),
    "push": (
        "release push releases/smollm2-135m-instruct-random-s10 --dry-run",
        "release push releases/smollm2-135m-instruct-random-s10 --to my-lab --private",
    ),
    "watch": ("release watch org/name --dry-run",),
    "sweep": (
        "release sweep examples/demo.yaml --dry-run",
        "release sweep examples/demo.yaml --only method=wanda",
    ),
    "report": ("release report org/name-s10 org/name-s50 --out report",),
    "demo": ("release demo releases/smollm2-135m-instruct-random-s10",),
    "doctor": ("release doctor", "release doctor phi-3.5"),
    "cache": ("release cache", "release cache --clear readings.sqlite"),
    "methods": ("release methods",),
    "models": ("release models --json",),
}
"""Command → its command lines, the simplest first."""


def epilog(name: str) -> str:
    """Return the block of examples that ends a command's help; a paragraph each, which typer would join otherwise."""
    return "\n\n".join(("Examples:", *EXAMPLES[name]))
