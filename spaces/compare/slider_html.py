"""The sparsity slider's HTML. Every value that is put in is escaped here."""

from html import escape

from copies import Made, Prunable, Published
from lineup import HIGHEST, LocalCopy


def intro(found: Prunable) -> str:
    """Return what stands above the slider."""
    others = "; ".join(f"{escape(source.id)} ({escape(how)})" for source, how in found.others)
    missing = f" Made otherwise, and so not on the slider: {others}." if others else ""
    return (
        "<p>Set any share of the weights to zero: the copy is made here, from the original weights, "
        "and stands beside the original in <b>Compare</b>. ◆ marks what was published and measured; everything between "
        f"was measured by nobody.{missing}</p>"
    )


def marks(found: Prunable, scheme: str) -> str:
    """Return the releases of a scheme at their places under the slider."""
    shown = [each for each in found.published if each.scheme == scheme and 100 * each.share <= HIGHEST]
    places = "".join(
        f'<li style="--at:{float(each.share) * 100 / HIGHEST:.4f}">◆ <br>{float(100 * each.share):g} %'
        f'<span class="unseen"> {escape(each.source.id)}</span></li>'
        for each in shown
    )
    words = "Published:" if shown else f"No release is published here that is {escape(scheme)}."
    return f'<p class="unseen">{words}</p><ul class="marks">{places}</ul>'


def place(found: Prunable, scheme: str, percent: float) -> str:
    """Return what the slider stands at before anything is made."""
    published = found.at(scheme, percent)
    if published:
        return made(f"{_named(scheme, percent)} is published as {published.source.id}. Move the slider to make a copy.")
    return made("Move the slider to make a copy.")


def made(words: str) -> str:
    """Return a line about the copy."""
    return f"<p>{escape(words)}</p>"


def expected(seconds: float) -> str:
    """Return how long a copy takes, where that has to be asked first."""
    minutes, rest = divmod(round(seconds), 60)
    time = f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return made(f"Making this copy takes about {time} on this machine. Press “Make this copy” to begin.")


def checked(copy: LocalCopy, found: Made, published: Published | None, same: bool) -> str:
    """Return what was made, and whether it is what was published."""
    name, digest = _named(copy.scheme, copy.percent), next(iter(found.digests.values()), "")
    files = "" if len(found.digests) == 1 else f" (first of {len(found.digests)} files)"
    sha = f"SHA-256 <code>{escape(digest[:16])}…</code>{files}"
    if published is None:
        return f"<p><b>{name}: made here, not measured</b>, in {found.seconds:.1f} s. {sha}</p>"
    release = escape(published.source.id)
    if same:
        return f"<p><b>✓ {name} is {release}</b>: made here in {found.seconds:.1f} s; {sha} is the published one.</p>"
    return (
        f"<p><b>{name}: made here, not measured.</b> It is not {release}: {sha} is another one, so these dense "
        "weights are not the ones that the release was pruned from.</p>"
    )


def _named(scheme: str, percent: float) -> str:
    return f"{escape(scheme.capitalize())} {percent:g} %"
