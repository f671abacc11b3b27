"""Turns a record into the model card: `render(record)` is the text of README.md.

The front matter is dumped as YAML; the text comes from `templates/`, between two marks, so that whatever a
person writes outside them stays theirs. Every string that a template prints is escaped on its way out, and a
number has to pass a filter that says how it is written: nothing else can be printed.

The card knows the record and nothing more; what a study found is quoted from the record too.
"""

import re
from collections.abc import Sequence

from release import __version__
from release.card.check import differences, written_otherwise
from release.card.evidence import fresh
from release.card.glance import headlines, shown
from release.card.merge import Copy, Merged, merge
from release.card.metadata import dump, front_matter, gate
from release.card.parts import NOWHERE, Card, CardPlace, generated, parse
from release.card.rules import broken
from release.card.said import said, sentence, verdict_word
from release.card.templates import HUB, bibliography, environment, templates_digest
from release.errors import BadOption
from release.evals.claims import CLAIMS, Claim, decide
from release.evals.registry import EVALS
from release.frozen import Frozen
from release.names import REPO_ID
from release.schema.record import Check, ClaimRecord, Record, Verdict

_UNIT = re.compile(r"(?<=\d) (?=(?:%|s|min|[kMGTP]?B)(?!\w))")
"""The space between a number and its unit, where a line must not break."""


NO_FINDING = "the record holds no finding"


class Statement(Frozen):
    """A claim as the card states it.

    Attributes:
        word: The verdict in a word or two, beside a number.
        fresh: Of the evidence, what the statements before it have not told.
    """

    key: str
    title: str
    verdict: Verdict
    text: str
    word: str
    evidence: str
    fresh: str
    p_value: float | None
    p_adjusted: float | None


def render(record: Record, target: CardPlace = NOWHERE) -> str:
    """Return the text of README.md, with nothing around what is generated.

    Args:
        record: All that is known about the release.
        target: The Hub id under which it is published, and whether behind a gate.

    Raises:
        BadOption: The target is no `namespace/name`.
    """
    return _generate(record, target).text


def renew(record: Record, target: CardPlace, copies: Sequence[Copy], published: str | None = None) -> Merged:
    """Render a card in the place of others, and carry over what people wrote there; see `release.card.merge.merge`."""
    return merge(_generate(record, target), copies, published)


def compare(record: Record, card: str) -> tuple[Check, ...]:
    """Tell whether a card says what the record says.

    The record is rendered again and held against the card's generated text. Where other templates made the card,
    only its numbers are looked for, and the detail says so.

    Args:
        record: What is known about the release.
        card: The text of its README.md; "" where there is none.

    Returns:
        One failed check for each difference, with the card's line number, or one that passed; one on the Hub's rules
        for the front matter; and one on whether the record's claims follow from its evidence.
    """
    return (*_compare_text(record, card), _ask_rules(card), _compare_claims(record))


def _compare_text(record: Record, card: str) -> tuple[Check, ...]:
    found = parse(card)
    if found is None:
        detail = "the marks around the generated text are missing; render the card again and write outside them"
        return (Check(name="card", ok=False, detail=detail),)
    same = found.templates == templates_digest()
    otherwise = () if same else written_otherwise(record.model_dump(mode="json"))
    failed = differences(found, _generate(record, found.target), by_line=same, otherwise=otherwise)
    agree = f"{found.line_count} generated lines agree with the record"
    passed = agree if same else f"other templates made this card: only the numbers on its {agree}"
    checks = tuple(Check(name="card", ok=False, detail=detail) for detail in failed)
    return checks or (Check(name="card", ok=True, detail=passed),)


def _ask_rules(card: str) -> Check:
    found = parse(card)
    wrong = broken(found.facts) if found else []
    return Check(name="front matter", ok=not wrong, detail="; ".join(wrong) or "keeps the Hub's rules")


def _compare_claims(record: Record) -> Check:
    """Decide the record's claims again; the words of the evidence are those of the version that wrote them."""
    decided = {claim.key: claim for claim in decide(record.audit, record.measurements)}
    same = record.environment.release == __version__
    wrong = [
        f"{claim.key} is recorded as {claim.verdict} ({claim.evidence}), but decided as {found.verdict}"
        f" ({found.evidence})"
        for claim in record.claims
        if (found := decided.get(claim.key)) is not None
        and (claim.verdict != found.verdict or (same and claim != found))
    ]
    wrong += [_misquoted(record)] if same and record.said is not None and record.said != said(record) else []
    return Check(name="card claims", ok=not wrong, detail="; ".join(wrong) or "each follows from its evidence")


def _misquoted(record: Record) -> str:
    found = record.said.sentence if record.said else ""
    return f"the first screen's words are recorded as “{found}”, but the claims give “{sentence(record)}”"


def _generate(record: Record, target: CardPlace) -> Card:
    if target.repo_id is not None and not REPO_ID.fullmatch(target.repo_id):
        raise BadOption(f"{target.repo_id!r} is no Hub id.", "Give it as NAMESPACE/NAME.")
    front = front_matter(record, target.repo_id) | (gate() if target.gated else {})
    body = environment().get_template("card.md.j2").render(_context(record, target))
    return generated(templates_digest(), target, dump(front), _set(body))


def _set(body: str) -> str:
    """Take out needless empty lines, and keep numbers and their units on one line, but for code, which is copied."""
    parts = re.split(r"(?ms)(^(`{3,})\w*\n.*?^\2$)", re.sub(r"\n{3,}", "\n\n", body).strip())
    prose, fences = parts[::3], [*parts[1::3], ""]
    return "".join(_UNIT.sub("\u00a0", words) + fence for words, fence in zip(prose, fences, strict=True))


def _context(record: Record, target: CardPlace) -> dict[str, object]:
    method = f"methods/{record.pruning.method}.md.j2"
    evaluations = shown(record.measurements)
    results = [found for _, each in evaluations for found in each]
    ran = engines_of(record, results)
    return {
        "record": record,
        "repo": target.repo_id,
        "space": target.space,
        "tag": target.tag,
        "base": base_asked(record),
        "hub": HUB,
        "said": sentence(record),
        "claims": {statement.key: statement for statement in statements(record)},
        "study": record.study,
        "evals": evaluations,
        "glance": headlines(evaluations),
        "sources": [source for row, results in evaluations for found in results for source in row.sources(found)],
        "compared": any(results for row, results in evaluations if not row.always and row.headlines),
        "recalled": sum(getattr(found, "recalled", 0) for found in results),
        "spent": sum(getattr(found, "seconds", 0) for found in results),
        "engines": [name for name, _ in ran],
        "untried": [name for name in SERVERS if name not in {name for _, name in ran}],
        "method_templates": [method, "methods/undescribed.md.j2"],
        "references": "\n".join(references(record)),
    }


ENGINES = {"transformers": "Transformers", "mlx": "MLX"}
SERVERS = ("vLLM", "llama.cpp", "MLX")
"""What people serve models with; whether it was tried here, the record says."""


def engines_of(record: Record, results: Sequence[Frozen]) -> list[tuple[str, str]]:
    """Name what ran these files here: with its version, and by its name alone."""
    versions = {"transformers": record.environment.transformers}
    for found in results:
        versions |= {package.name: package.version for package in getattr(found, "packages", ())}
    keys = dict.fromkeys(key for found in results if (key := getattr(found, "engine", None)))
    names = ((key, ENGINES.get(key, key)) for key in keys)
    return [(f"{name} {versions[key]}" if key in versions else name, name) for key, name in names]


def base_asked(record: Record) -> str:
    """Return by what name a command is given the base: its Hub id and commit, or what was asked for."""
    base = record.base
    return f"{base.id}@{base.revision}" if base.on_hub and base.revision is not None else record.plan.model


def statements(record: Record) -> tuple[Statement, ...]:
    """Word the record's claims; one that it lacks was not measured, and is left out where nobody expected it."""
    found = {claim.key: claim for claim in record.claims}
    told = {row.key for row, _ in shown(record.measurements)}
    silent = {claim.key for row in EVALS if row.key not in told for claim in row.claims}
    claims = [(claim, found.get(claim.key)) for claim in CLAIMS if claim.key not in silent]
    words = fresh((claim.title, found.evidence if found else NO_FINDING) for claim, found in claims)
    return tuple(_state(claim, found, new) for (claim, found), new in zip(claims, words, strict=True))


def _state(claim: Claim, found: ClaimRecord | None, new: str) -> Statement:
    verdict: Verdict = found.verdict if found else "not measured"
    return Statement(
        key=claim.key,
        title=claim.title,
        verdict=verdict,
        text=claim.says(verdict),
        word=verdict_word(claim, verdict),
        evidence=found.evidence if found else NO_FINDING,
        fresh=new,
        p_value=found.p_value if found else None,
        p_adjusted=found.p_adjusted if found else None,
    )


def references(record: Record) -> tuple[str, ...]:
    """Return the BibTeX entries of what the record rests on beside its study: method, evaluations, texts."""
    words = {record.pruning.method, record.pruning.allocation}
    if record.pruning.calibration:
        words |= record.pruning.calibration.text.words
    for row in EVALS:
        for found in row.results(record.measurements):
            words |= set(row.bibliography(found))
    cited = (entry for name, entry in bibliography().items() if name in words)
    return tuple(cited)
