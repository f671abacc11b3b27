"""A study that a release accompanies: what a card quotes, and never measures.

The study that ships is a file of `templates/studies/`; any other comes from a YAML file of the same form. The record
holds the whole of it, so that a card can be rendered again without the file.
"""

from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import StringConstraints, ValidationError

from release import outside
from release.errors import UnusableData
from release.frozen import Frozen, Share
from release.resources import resource

NONE = "none"
"""The word for a release that accompanies no study."""

StudyLine = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Arxiv = Annotated[str, StringConstraints(pattern=r"^(\d{4}\.\d{4,5}|[a-z-]+(\.[A-Z]{2})?/\d{7})(v\d+)?$")]
Address = Annotated[str, StringConstraints(pattern=r"^https://[A-Za-z0-9._~/?#=&%+:@-]+$")]
Suffix = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]+([._-][A-Za-z0-9]+)*)?$", max_length=32)]
Entry = Annotated[str, StringConstraints(pattern=r"^\s*@\w+\{", min_length=1)]


class Result(Frozen):
    """One result that a study reports.

    Attributes:
        where: Section of the study, where it is known.
        base: The model whose cards show it; None for all cards.
        headline: Whether it is also quoted among the caveats.
        model: Of which releases it tells in a comparison, by their base; None for all, as for the next two.
        metrics: The columns of a comparison that say the same of these releases, such as `perplexity`; `significance`
            for how many claims stand on p-values.
    """

    what: StudyLine
    setting: StudyLine
    value: StudyLine
    where: StudyLine | None = None
    base: StudyLine | None = None
    headline: bool = False
    model: StudyLine | None = None
    method: StudyLine | None = None
    sparsity: Share | None = None
    metrics: tuple[StudyLine, ...] = ()

    def tells_of(self, base: str, method: str, sparsity: Decimal) -> bool:
        """Whether a release of this base, method and target sparsity is one that it tells of."""
        asked = (self.model or self.base, self.method, self.sparsity)
        return all(one is None or one == given for one, given in zip(asked, (base, method, sparsity), strict=True))


class Study(Frozen):
    """A study, as its file describes it.

    Attributes:
        arxiv: Its arXiv id; the card links to it and is tagged with it.
        url: Where it is to be read, if not on arXiv.
        bibtex: Its entry, cited first.
        design: What was run, in one sentence.
        models: Hub ids it covers; with `methods` and `sparsities` this says whether a release is one of its cells.
        suffix: Stands at the end of the name of every release that accompanies it.
    """

    title: StudyLine
    authors: StudyLine
    bibtex: Entry
    venue: StudyLine | None = None
    arxiv: Arxiv | None = None
    url: Address | None = None
    design: StudyLine | None = None
    models: tuple[StudyLine, ...] = ()
    methods: tuple[StudyLine, ...] = ()
    sparsities: tuple[Share, ...] = ()
    results: tuple[Result, ...] = ()
    suffix: Suffix = ""

    @property
    def address(self) -> str | None:
        """Where it is to be read."""
        return f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else self.url

    @property
    def has_cells(self) -> bool:
        """Whether it says which releases are part of it."""
        return bool(self.models and self.methods and self.sparsities)

    def covers(self, base: str, method: str, sparsity: Decimal) -> bool:
        """Tell whether a base, method and sparsity are one of the study's configurations."""
        return base in self.models and method in self.methods and sparsity in self.sparsities

    def results_for(self, base: str) -> tuple[Result, ...]:
        """The results that stand on the cards of releases of `base`."""
        return tuple(result for result in self.results if result.base in (None, base))


@cache
def default_study() -> Study:
    """The study that ships: Rath and Maliakkal, 2026."""
    return read_study(resource("templates") / "studies" / "rath2026.yaml")


def study_of(asked: str | None) -> Study | None:
    """Read what --study names: a file, none, or by default the study that ships.

    Raises:
        UnusableData: There is no such file, or it does not describe a study.
    """
    if asked == NONE:
        return None
    return default_study() if asked is None else read_study(Path(asked))


def read_study(path: Path) -> Study:
    """Read a study's file.

    Raises:
        UnusableData: It cannot be read, is no YAML mapping, or a field is missing or wrong; names the first.
    """
    try:
        return Study.model_validate(_mapping(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UnusableData(f"{path.name}: {place}: {first['msg']}.", _REMEDY) from None


_REMEDY = "See docs/study.md for what such a file holds, or give --study none."


def _mapping(path: Path) -> dict[str, Any]:
    try:
        return outside.yaml_mapping(outside.text_of(path, outside.MIB))
    except outside.Unfit as why:
        raise UnusableData(f"The study {path.name} {why}.", _REMEDY) from None
