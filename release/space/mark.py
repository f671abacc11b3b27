"""The mark in a Space's README that says which tool wrote it, and for which address."""

import re

MARK = "<!-- release: generated Space for {address}; every push writes it anew -->"
EARLIER = (
    "# Dense and pruned, side by side",
    "> ⚠️ **Research only.** A pruned model may be biased, wrong or offensive.",
)
"""What stood in the README of every Space before there was a mark."""

_MARK = re.compile(r"^<!-- release: generated Space for (\S{1,300}); every push writes it anew -->\r?$", re.MULTILINE)


def address_of(readme: str) -> str | None:
    """Return the Hub id, or the local address, that a Space's README was written for; None without a mark."""
    found = _MARK.search(readme)
    return found[1] if found else None


def is_marked(readme: str) -> bool:
    """Whether this tool wrote a Space's README, in this version or an earlier one."""
    return address_of(readme) is not None or all(words in readme for words in EARLIER)
