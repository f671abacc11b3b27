"""How one chat template takes a question, found by trial before anything is asked.

A template is a program: it may want the content as text or as a list of parts, may have no system role, may think
before it answers, may put today's date into the prompt. What is found is used for every prompt, and recorded.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import meta
from jinja2.ext import Extension
from pydantic import Field

from release.frozen import Frozen
from release.guarded import LONGEST
from release.outside import Unfit, foreign

TEMPLATE = "The chat template"
SYSTEM = (
    "Answer the following multiple choice question by responding with only the letter (A, B, or C) of your"
    " chosen answer."
)
QUESTION = "Context: Two met.\n\nQuestion: Who forgot?\n\nA) The first\nB) Nobody said\nC) The last\n\nAnswer:"
PIECES = ("Two met.", "Who forgot?", "A) The first", "B) Nobody said", "C) The last")
ANSWER = "THE-ANSWER"
"""What an assistant says where it is tried where an answer begins; no template writes it by itself."""
DAY, ANOTHER_DAY = datetime(2024, 7, 26), datetime(2001, 2, 3)
"""The day that a template is told: the one that Llama 3.1's falls back to. And one that tells whether it asks."""
SWITCHES: tuple[tuple[str, bool | int], ...] = (
    (r"(?:(?:enable|use|do|is|with|add|include|allow)_)?(?:thinking|think|reasoning|cot)(?:_enabled)?", False),
    (r"(?:disable|no|skip|without)_(?:thinking|think|reasoning|cot)", True),
    (r"(?:thinking|reasoning)_budget", 0),
)
"""Names of a template's own variables that switch thinking, and the value that switches it off."""
THOUGHTS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "<|think|>": "<|/think|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
}
"""What opens a block of thoughts, and what closes it."""
ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}>")
PART = re.compile(r"""\{["']type["']: """)
"""How a list of parts looks where a template prints it as it is."""
LONGEST_CLOSING = 200
"""Characters between a prompt and where the template puts an answer, at most."""


class Rendering(Frozen):
    """How a template is given its prompts.

    Attributes:
        system: Whether the system text has a message of its own.
        system_in_parts: Whether its content is a list of parts; the same of the question.
        switches: Variables that switch thinking off.
        closing: What stands between the generation prompt and the answer: the template's own mark, or the end of a
            block of thoughts that it opened.
        dated: Whether the template asks for the day.
    """

    system: bool = True
    system_in_parts: bool = False
    question_in_parts: bool = False
    switches: Mapping[str, bool | int] = Field(default_factory=dict)
    closing: str = ""
    dated: bool = False

    @property
    def style(self) -> str:
        """What the record says of it."""
        said = ["chat" if self.system else "chat without system role"]
        if self.system_in_parts or self.question_in_parts:
            said.append("content in parts")
        said += [f"{name}={value}" for name, value in sorted(self.switches.items())]
        if any(mark in self.closing for mark in THOUGHTS.values()):
            said.append("thinking closed before the answer")
        elif self.closing:
            said.append("opened as the template opens an answer")
        if self.dated:
            said.append(f"dated {DAY:%Y-%m-%d}")
        return ", ".join(said)

    def render(self, tokenizer: Any, messages: list[dict[str, Any]]) -> str:
        """Write one prompt, up to where the answer begins; it may raise anything, and need not come to an end."""
        return _applied(tokenizer, self, messages, DAY) + self.closing

    def messages(self, question: str) -> list[dict[str, Any]]:
        """The system text and a question as the template wants them."""
        if not self.system:
            return [{"role": "user", "content": _content(f"{SYSTEM}\n\n{question}", self.question_in_parts)}]
        return [
            {"role": "system", "content": _content(SYSTEM, self.system_in_parts)},
            {"role": "user", "content": _content(question, self.question_in_parts)},
        ]


FORMS = (
    Rendering(),
    Rendering(system_in_parts=True, question_in_parts=True),
    Rendering(question_in_parts=True),
    Rendering(system_in_parts=True),
    Rendering(system=False),
    Rendering(system=False, question_in_parts=True),
)
"""In the order in which they are tried."""


def _content(text: str, in_parts: bool) -> Any:
    return [{"type": "text", "text": text}] if in_parts else text


def _applied(tokenizer: Any, form: Rendering, messages: list[Any], day: datetime, answer: bool = False) -> str:
    if "strftime_now" in _source(tokenizer):
        _tell_the_day(_source(tokenizer), day)
    made = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=not answer, **form.switches)
    if len(made) > LONGEST:
        raise Unfit(f"{TEMPLATE} makes a text of more than {LONGEST:,} characters")
    return str(made)


def _tell_the_day(source: str, day: datetime) -> None:
    """Let a template that asks for today be told another day; the library keeps compiled templates by their source."""
    from transformers.utils import chat_template_utils  # whoever only computes from answers renders nothing

    chat_template_utils._compile_jinja_template(source).globals["strftime_now"] = day.strftime


def _source(tokenizer: Any) -> str:
    """The template that a conversation without tools is rendered with."""
    found = tokenizer.chat_template
    return str(found.get("default", "")) if isinstance(found, dict) else str(found)


def missing(text: str, pieces: Sequence[str]) -> str | None:
    """Name the first piece that a text does not hold behind the one before it; None where it holds all, in order."""
    at = 0
    for piece in pieces:
        wanted = piece.strip()
        found = text.find(wanted, at)
        if found < 0:
            return wanted
        at = found + len(wanted)
    return None


def explored(tokenizer: Any) -> str:
    """Find how the tokenizer's template takes a question; the `Rendering` as JSON.

    Raises:
        Unfit: In none of the ways known does its prompt hold what was asked, or it is another one each time.
    """
    _require_steady(tokenizer)
    switches = dict(_switches(tokenizer))
    form = _holding(tokenizer, switches)
    plain = _applied(tokenizer, form, form.messages(QUESTION), DAY)
    if ADDRESS.search(plain):
        raise Unfit(f"{TEMPLATE} writes an address in memory into the prompt, which is another one each time")
    dated = _applied(tokenizer, form, form.messages(QUESTION), ANOTHER_DAY) != plain
    closing = _closing(tokenizer, form, plain)
    return form.model_copy(update={"dated": dated, "closing": closing}).model_dump_json()


def _require_steady(tokenizer: Any) -> None:
    tree = _tree(tokenizer)
    if tree is None:
        return
    drawn = [node.name for node in tree.find_all(jinja2.nodes.Filter) if node.name == "random"]
    drawn += [node.name for node in tree.find_all(jinja2.nodes.Name) if node.name == "lipsum"]
    if drawn:
        raise Unfit(f"{TEMPLATE} draws at random ({drawn[0]}), so that its prompts are others each time")


def _tree(tokenizer: Any) -> Any:
    """The template's syntax tree; None where it has none, which rendering it will say."""

    class Generation(Extension):
        """The library's own block, which marks what an assistant says."""

        tags = {"generation"}  # noqa: RUF012 - as Jinja wants it

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment = jinja2.Environment(extensions=[Generation, "jinja2.ext.loopcontrols"], autoescape=True)
    try:
        with foreign(TEMPLATE):
            return environment.parse(_source(tokenizer))
    except Unfit:
        return None


def _switches(tokenizer: Any) -> Iterator[tuple[str, bool | int]]:
    tree = _tree(tokenizer)
    names = sorted(meta.find_undeclared_variables(tree)) if tree is not None else []
    for name in names:
        yield from ((name, off) for pattern, off in SWITCHES if re.fullmatch(pattern, name))


def _holding(tokenizer: Any, switches: Mapping[str, bool | int]) -> Rendering:
    """The first form whose prompt holds the system text and the question."""
    reasons = []
    for form in (each.model_copy(update={"switches": off}) for off in _once(switches) for each in FORMS):
        try:
            with foreign(f"{TEMPLATE} cannot be used"):
                text = _applied(tokenizer, form, form.messages(QUESTION), DAY)
        except Unfit as why:
            reasons.append(str(why))
            continue
        if SYSTEM in text and missing(text, PIECES) is None and not PART.search(text):
            return form
        reasons.append(_why(text))
    # What it says to the plainest conversation tells most: a user's question as text.
    raise Unfit(reasons[FORMS.index(Rendering(system=False))])


def _once(switches: Mapping[str, bool | int]) -> list[dict[str, bool | int]]:
    return [dict(switches), {}] if switches else [{}]


def _why(text: str) -> str:
    """Say in which way a prompt does not hold what it was given."""
    if missing(text.lower(), [piece.lower() for piece in PIECES]) is None:
        return f"{TEMPLATE} changes upper and lower case"
    left = missing(text, PIECES) or SYSTEM
    return f"{TEMPLATE} leaves out what it is given, or changes it: its prompt does not hold {left!r}"


def _closing(tokenizer: Any, form: Rendering, prompt: str) -> str:
    closing = _before_answer(tokenizer, form, prompt)
    tail = (prompt + closing)[prompt.rindex(PIECES[-1]) :]
    opened = [(tail.rfind(mark), mark) for mark in THOUGHTS if mark in tail]
    for place, mark in sorted(opened)[-1:]:
        if tail.rfind(THOUGHTS[mark]) < place:
            return f"{closing}\n{THOUGHTS[mark]}\n\n"
    return closing


def _before_answer(tokenizer: Any, form: Rendering, prompt: str) -> str:
    """What the template itself writes between its prompt and an assistant's answer, where that is more than space."""
    try:
        with foreign(TEMPLATE):
            turns = [
                *form.messages(QUESTION),
                {"role": "assistant", "content": _content(ANSWER, form.question_in_parts)},
            ]
            whole = _applied(tokenizer, form, turns, DAY, answer=True)
    except Unfit:
        return ""
    between, found, _ = whole.removeprefix(prompt).partition(ANSWER)
    told = whole.startswith(prompt) and found and len(between) <= LONGEST_CLOSING
    return between if told and between.strip() else ""
