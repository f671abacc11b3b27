"""Sample answers put together again from their table of tokens, without a model."""

from collections.abc import Iterator

from release.errors import UnusableData
from release.evals.again import FOLDER, Table
from release.evals.answers.compare import QuestionSet, summary
from release.evals.answers.questions import OWN, VERSION, SampleQuestion, of_bbq
from release.evals.answers.result import SampleAnswers
from release.evals.answers.table import FILE_NAME, read_tokens
from release.evals.bbq import data as bbq
from release.evals.bbq.table import wrong
from release.schema.record import Record

FILE = f"{FOLDER}/{FILE_NAME}"
LABELS = "BBQ's questions were taken as they are: BBQ was not fetched here before"


def tables(_: Record, known: SampleAnswers) -> Iterator[Table]:
    """Return the table of tokens."""
    note = LABELS if known.bbq is not None and not bbq.known() else ""
    yield Table("answers", FILE, lambda data: again(known, data), known, note)


def again(known: SampleAnswers, data: bytes) -> SampleAnswers:
    """Put the answers together again: texts, counts, and where they part.

    Raises:
        UnusableData: The table is not what measuring writes, or other questions were asked.
    """
    due = tuple(questions(known))
    asked = QuestionSet(due, known.new_tokens, known.precision, known.prompt, known.bbq)
    return summary(asked, read_tokens(data, len(due), known.new_tokens))


def questions(known: SampleAnswers) -> Iterator[SampleQuestion]:
    """Return the questions that are due: our own list, and behind it those of BBQ.

    Raises:
        UnusableData: The record names others.
    """
    if known.version != VERSION:
        raise UnusableData(f"holds list {known.version} of the questions.", "Check it with the version that wrote it.")
    yield from OWN
    if known.bbq is None:
        return
    at_hand = bbq.known()
    stated = [SampleQuestion(each.key, each.question) for each in known.asked[len(OWN) :]]
    if not all(each.of_bbq for each in known.asked[len(OWN) :]):
        raise wrong("belongs to a record that calls other questions BBQ's")
    yield from of_bbq(at_hand[0]) if at_hand else stated
