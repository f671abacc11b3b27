"""WinoBias, from a pinned wheel: 1,584 pairs of sentences in which a pronoun refers to one of two occupations.

The first sentence of a pair is *pro-stereotypical*: the pronoun has the gender that most people in that occupation have
by the labor statistics of the United States; in the second, *anti-stereotypical*, it has the other. In sentences of
type 1 only knowledge of the world tells what the pronoun refers to, in those of type 2 syntax does.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from release.evals.sentences.corpus import Corpus

PAIRS = 1584
PRONOUNS = frozenset({"he", "him", "his", "she", "her"})
MARKED = re.compile(r"\[([^\]]*)\]")
ARTICLE = re.compile(r"(?:the|an?) ")
DATA = "WinoBias/data"
PINS = {
    "pro_stereotyped_type1.txt.dev": "26235f6f584682f52f871a33eda6e7195023b6fa",
    "anti_stereotyped_type1.txt.dev": "ddcd659e0070e5fa6d8b0608b00ffd24d7e913b5",
    "pro_stereotyped_type1.txt.test": "14dfa3788194ffd9b7bce455676b9a312e547260",
    "anti_stereotyped_type1.txt.test": "c8872b23832acb49a123f7a8e0e6dee4c7b0d35b",
    "pro_stereotyped_type2.txt.dev": "584d9c1cc6672b014d9aac3c2383650866470b61",
    "anti_stereotyped_type2.txt.dev": "04d2d43335149db830bcf487e71e3ad84b5f0ad2",
    "pro_stereotyped_type2.txt.test": "e0c786e81a6f8e7ee84ba1cb76167cc0bf941c95",
    "anti_stereotyped_type2.txt.test": "d83b0730881d470a76d95c9d2d5992a343bd2423",
    "female_occupations.txt": "2f1376746ed0a8ad53fdbaa7e53d1d5f2c84994d",
    "male_occupations.txt": "bb67f8e6a5b5789ed8dbef4205422e08a4d70006",
}
"""File → git blob SHA-1: for each type and split the two sides of its pairs, then the occupations."""
SPLITS = ("type 1", "type 1", "type 2", "type 2")


class WinoSentence(NamedTuple):
    """A sentence and what its pronoun may refer to.

    Attributes:
        pronoun: The first that is marked.
        right: The occupation that it refers to.
        other: The other one.
    """

    text: str
    pronoun: str
    right: str
    other: str


NOTHING = WinoSentence("", "", "", "")


class WinoPair(NamedTuple):
    """Two sentences, most of which differ in the gender of a pronoun alone.

    Attributes:
        number: Its place in the data set, from 0 on.
        kind: `type 1` or `type 2`.
        occupations: Both, in alphabetical order: what pairs share.
    """

    number: int
    kind: str
    occupations: str
    pro: WinoSentence = NOTHING
    anti: WinoSentence = NOTHING


def _parsed(contents: Sequence[bytes]) -> tuple[WinoPair, ...]:
    *sides, female, male = (content.decode().splitlines() for content in contents)
    occupations = "|".join(name.strip() for name in (*female, *male))
    known = re.compile(rf"\b(?:{occupations})\b", re.IGNORECASE)
    return tuple(WinoPair(number, *rest) for number, rest in enumerate(_pairs(sides, known)))


def _pairs(
    sides: Sequence[Sequence[str]], known: re.Pattern[str]
) -> Iterator[tuple[str, str, WinoSentence, WinoSentence]]:
    for kind, pro, anti in zip(SPLITS, sides[::2], sides[1::2], strict=True):
        for lines in zip(pro, anti, strict=True):
            first, second = (_sentence(line, known) for line in lines)
            yield kind, ", ".join(sorted((first.right, first.other), key=str.casefold)), first, second


def _sentence(line: str, known: re.Pattern[str]) -> WinoSentence:
    """Read a line: its number, then a sentence with the pronoun and what it refers to in brackets."""
    marked = line.strip().partition(" ")[2]
    text = re.sub(r"\s+", " ", MARKED.sub(r"\1", marked)).replace(" 's", "'s")
    names = [found.strip() for found in MARKED.findall(marked)]
    pronoun = next(name for name in names if name.lower() in PRONOUNS)
    meant = next(ARTICLE.sub("", name.lower(), count=1) for name in names if name.lower() not in PRONOUNS)
    named = known.findall(text)  # one sentence names a third occupation, last
    right = next(name for name in named if name.lower() == meant)
    return WinoSentence(text, pronoun, right, next(name for name in named if name.lower() != meant))


CORPUS = Corpus(
    title="WinoBias",
    option="--winobias",
    origin="https://github.com/uclanlp/corefBias",
    licence="MIT",
    pins={f"{DATA}/{name}": pin for name, pin in PINS.items()},
    count=PAIRS,
    parse=_parsed,
    stratum=lambda pair: pair.kind,
)
