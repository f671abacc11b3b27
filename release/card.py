"""Turns a record into the model card: `render(record)` is the text of README.md.

The front matter is dumped as YAML; the text comes from `templates/`, between two marks, so that whatever a
person writes outside them stays theirs. Every string that a template prints is escaped on its way out, and a
number has to pass a filter that says how it is written: nothing else can be printed (`_printed`).

The card knows the record and nothing more. What studies found is quoted from `templates/studies/`.
"""

import hashlib
import re
import shlex
from collections.abc import Callable
from decimal import Decimal
from functools import cache, wraps

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined

from release import __version__, text
from release.card_check import REPO_ID, Generated, Part, differences, parse
from release.card_metadata import dump, front_matter
from release.claims import CLAIMS, Claim, decide
from release.errors import BadOption
from release.record import Check, ClaimRecord, DataSource, Frozen, Record, Score, Verdict
from release.resources import resource

CARD_NAME = "README.md"
HUB = "https://huggingface.co"


class Result(Frozen):
    """One result that a study reports.

    Attributes:
        where: Section of the study, where it is known.
        base: The model whose cards show it; None for all cards.
        headline: Whether it is also quoted among the caveats.
    """

    what: str
    setting: str
    value: str
    where: str | None = None
    base: str | None = None
    headline: bool = False


class Study(Frozen):
    """A study that these releases accompany, as `templates/studies/` describes it.

    Attributes:
        design: What was run, in one sentence.
        models: Hub ids it covers; with `methods` and `sparsities` this says whether a release is one of its cells.
    """

    title: str
    authors: str
    venue: str
    arxiv: str
    design: str
    models: tuple[str, ...]
    methods: tuple[str, ...]
    sparsities: tuple[str, ...]
    results: tuple[Result, ...]
    bibtex: str

    def covers(self, record: Record) -> bool:
        """Tell whether the record's base, method and sparsity were part of the study."""
        asked = record.pruning
        return (
            record.base.id in self.models
            and asked.method in self.methods
            and asked.target_sparsity in map(Decimal, self.sparsities)
        )


class Statement(Frozen):
    """A claim as the card states it."""

    key: str
    title: str
    verdict: Verdict
    text: str
    evidence: str


def render(record: Record, repo_id: str | None = None) -> str:
    """Return the text of README.md.

    Args:
        record: All that is known about the release.
        repo_id: The Hub id under which it is published; None for a release that stays in its folder.

    Raises:
        BadOption: `repo_id` is no `namespace/name`.
    """
    if repo_id is not None and not REPO_ID.fullmatch(repo_id):
        raise BadOption(f"{repo_id!r} is no Hub id.", "Give it as NAMESPACE/NAME.")
    return _generate(record, repo_id).text


def compare(record: Record, card: str) -> tuple[Check, ...]:
    """Tell whether a card says what the record says.

    The record is rendered again and held against the card's generated text. Where other templates made the card,
    only its numbers are looked for, and the detail says so.

    Args:
        record: What is known about the release.
        card: The text of its README.md; "" where there is none.

    Returns:
        One failed check for each difference, with the card's line number, or one that passed; and one on whether
        the record's claims follow from its evidence.
    """
    return (*_compare_text(record, card), _compare_claims(record))


def _compare_text(record: Record, card: str) -> tuple[Check, ...]:
    found = parse(card)
    if found is None:
        detail = "the marks around the generated text are missing; render the card again and write outside them"
        return (Check(name="card", ok=False, detail=detail),)
    same = found.templates == templates_digest()
    failed = differences(found, _generate(record, found.repo_id), by_line=same)
    agree = f"{found.line_count} generated lines agree with the record"
    passed = agree if same else f"other templates made this card: only the numbers on its {agree}"
    checks = tuple(Check(name="card", ok=False, detail=detail) for detail in failed)
    return checks or (Check(name="card", ok=True, detail=passed),)


def _compare_claims(record: Record) -> Check:
    """Decide the record's claims again; the words of the evidence are those of the version that wrote them."""
    decided = {claim.key: claim for claim in decide(record.audit, record.measurements)}
    same = record.environment.release == __version__
    wrong = [
        f"{claim.key} is recorded as {claim.verdict} ({claim.evidence}), but decided as {found.verdict}"
        f" ({found.evidence})"
        for claim in record.claims
        if (found := decided.get(claim.key)) is not None
        and (claim.verdict != found.verdict or (same and claim.evidence != found.evidence))
    ]
    return Check(name="claims", ok=not wrong, detail="; ".join(wrong) or "each follows from its evidence")


def _generate(record: Record, repo_id: str | None) -> Generated:
    papers = (study.arxiv for study in studies())
    front = dump(front_matter(record, papers))
    body = environment().get_template("card.md.j2").render(_context(record, repo_id))
    body = re.sub(r"\n{3,}", "\n\n", body).strip()
    return Generated(templates_digest(), repo_id, Part(2, front.splitlines()), Part(0, ["", *body.split("\n"), ""]))


@cache
def templates_digest() -> str:
    """Return a short digest over this version and all templates a card may use."""
    folder = resource("templates")
    digest = hashlib.sha256(__version__.encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if not name.startswith("space"):
            digest.update(f"\n{name}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def environment() -> Environment:
    """Return the templates' environment, in which a misspelt name is an error and every string is escaped."""
    result = Environment(
        loader=FileSystemLoader(resource("templates")),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=_printed,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for function in (
        *(text.count, text.fixed, text.signed, text.percent, text.exact_percent, text.interval),
        *(text.signed_interval, text.signed_percent, text.size, text.seconds, text.code, text.link, text.fence),
        *(text.file, _hub),
    ):
        result.filters[function.__name__.removeprefix("_")] = _written(function)
    result.filters["plain"] = _written(str)
    result.filters["shell"] = lambda value: shlex.quote(text.one_line(value))
    result.filters["one_line"] = text.one_line
    result.globals["score"] = _any_score
    return result


def _hub(model_id: str) -> str:
    """Link a Hub id to its page; anything else, a folder's name for one, is only named."""
    name = text.markdown(model_id)
    return f"[{name}]({HUB}/{model_id})" if REPO_ID.fullmatch(model_id) else name


class Written(str):
    """Text that is Markdown already and is printed as it stands."""

    __slots__ = ()

    def __html__(self) -> "Written":
        return self


def _written(function: Callable[..., str]) -> Callable[..., Written]:
    @wraps(function)
    def call(*arguments: object) -> Written:
        return Written(function(*arguments))

    return call


def _printed(value: object) -> object:
    """Let through what a filter or macro wrote, escape strings, refuse the rest: a number needs its format."""
    if hasattr(value, "__html__"):
        return value
    if isinstance(value, str | Undefined):
        return Written(text.markdown(str(value)))
    raise TypeError(f"a template prints {value!r} without saying how")


def _context(record: Record, repo_id: str | None) -> dict[str, object]:
    method = f"methods/{record.pruning.method}.md.j2"
    return {
        "record": record,
        "repo": repo_id,
        "hub": HUB,
        "claims": {statement.key: statement for statement in statements(record)},
        "studies": studies(),
        "method_templates": [method, "methods/undescribed.md.j2"],
        "references": "\n".join(references(record)),
    }


def statements(record: Record) -> tuple[Statement, ...]:
    """Word the record's claims; one that the record lacks was not measured."""
    found = {claim.key: claim for claim in record.claims}
    return tuple(_state(claim, found.get(claim.key)) for claim in CLAIMS)


def _state(claim: Claim, found: ClaimRecord | None) -> Statement:
    verdict: Verdict = found.verdict if found else "not measured"
    return Statement(
        key=claim.key,
        title=claim.title,
        verdict=verdict,
        text=claim.says(verdict),
        evidence=found.evidence if found else "the record holds no finding",
    )


@cache
def studies() -> tuple[Study, ...]:
    """Read the studies that these releases accompany."""
    paths = sorted((resource("templates") / "studies").glob("*.yaml"))
    return tuple(Study.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))) for path in paths)


def references(record: Record) -> tuple[str, ...]:
    """Return the BibTeX entries of all that the record rests on: studies, the method, BBQ, the text used."""
    measured = record.measurements
    words = {record.pruning.method, record.pruning.allocation}
    if record.pruning.calibration:
        words |= _words(record.pruning.calibration.text)
    if measured.bbq:
        words.add("bbq")
    if measured.perplexity:
        words |= _words(measured.perplexity.text)
    if measured.super_weights:
        words.add("superweight")
    files = sorted((resource("templates") / "citation").glob("*.bib"))
    cited = (path.read_text(encoding="utf-8") for path in files if path.stem in words)
    return (*(study.bibtex for study in studies()), *cited)


def _words(data: DataSource) -> set[str]:
    """Return the words of a published data set's name; a file of one's own cites nothing."""
    return set(re.findall(r"[a-z0-9]+", data.name.lower())) if data.revision else set()


def _any_score(scores: tuple[Score, ...], name: str, over: str) -> Score | None:
    return next((score for score in scores if (score.name, score.over) == (name, over)), None)
