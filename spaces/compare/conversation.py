"""The tab `Compare`: a question, both models' answers, and the facts of the pruned model beside them."""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Any
from uuid import uuid4

import gradio as gr
from compare import HOTTEST, LARGEST_SEED, LONGEST_QUESTION, MOST_TOKENS, Refusal, SideBySide, Step, Turn, checked
from lens import SIDES
from page import about, chat, side, status, transcript
from reading import facts

QUESTIONS = ("What is the capital of France?", "Why is the sky blue?", "Write two sentences about the sea.")
LIMITS = (("temperature", 0.0, HOTTEST), ("top_p", 0.05, 1.0), ("tokens", 1, MOST_TOKENS), ("seed", 0, LARGEST_SEED))

SHARE = """(...values) => {
  const names = ["q", "variant", "temperature", "top_p", "tokens", "seed"];
  const asked = values.pop().split("\\n").slice(1).join("\\n");
  values[0] = values[0] || asked;
  const query = new URLSearchParams(names.map((name, at) => [name, values[at]]).filter(pair => pair[1] !== ""));
  navigator.clipboard.writeText(`${location.origin}${location.pathname}?${query}`);
  return "<p>The link to this question is copied.</p>";
}"""
COPY = """(text) => { navigator.clipboard.writeText(text); return "<p>The conversation is copied.</p>"; }"""
ACCEPT = """(question, accepted) =>
  question.trim() === accepted.split("\\n").slice(1).join("\\n") ? "" : question"""
"""Empties the box once its question is being answered, unless something else has been typed since."""

Screen = tuple[Any, ...]


class Conversation:
    """The tab's parts and what they do.

    Attributes:
        variant: The menu of pruned models, which stands above the tabs.
        screen: What an answer changes: both chats, the line below, a notice, the turns so far, the accepted question.
        running: The events of this tab that ask the models.
    """

    def __init__(self, comparison: SideBySide, variant: gr.Dropdown) -> None:
        self.comparison = comparison
        self.models = comparison.models
        self.variant = variant

    def draw(self) -> None:
        """Put the tab's parts on the page."""
        first = self.models.pruned[0]
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                self.question = gr.Textbox(
                    label="Question",
                    placeholder="Ask both models the same thing",
                    max_lines=8,
                    max_length=LONGEST_QUESTION,
                    elem_id="question",
                )
                with gr.Row(elem_id="buttons"):
                    self.send = gr.Button("Compare", variant="primary", min_width=110)
                    self.stop, self.retry, self.clear, self.copy, self.share = (
                        gr.Button(name, min_width=70) for name in ("Stop", "Retry", "Clear", "Copy", "Share")
                    )
                self.notice = gr.HTML("", padding=False, elem_id="notice")
                with gr.Row():
                    with gr.Column(min_width=260, visible=self.models.dense is not None):
                        gr.HTML(side("Dense", self.models.dense), padding=False)
                        dense = _chat("dense")
                    with gr.Column(min_width=260):
                        self.name = gr.HTML(side("Pruned", first), padding=False)
                        pruned = _chat("pruned")
                self.status = gr.HTML("", padding=False, elem_id="status")
                gr.Examples([[each] for each in QUESTIONS], self.question, label="For example")
                self.decoding = _decoding_controls()
            with gr.Column(scale=2, min_width=300):
                self.card = gr.HTML(about(first, facts(first)), padding=False, elem_id="facts")
        self.turns = gr.State(())
        self.accepted = gr.Textbox(visible="hidden", elem_id="accepted")
        self.text = gr.Textbox(visible="hidden", elem_id="transcript")
        self.left = gr.Textbox(visible="hidden", elem_id="left")
        self.screen = [dense, pruned, self.status, self.notice, self.turns, self.accepted]

    def wire(self, page: gr.Blocks) -> None:
        """Say what the buttons do."""
        settings = [self.variant, *self.decoding, self.turns]
        asking = gr.on(
            [self.send.click, self.question.submit],
            self.ask,
            [self.question, *settings],
            self.screen,
            # A question sent while one is being answered is taken from the box when that one has ended.
            **self.run("always_last"),
        )
        again = self.retry.click(self.again, settings, self.screen, **self.run("once"))
        self.accepted.change(None, [self.question, self.accepted], self.question, js=ACCEPT, api_visibility="private")
        self.stop.click(self.halt_or_leave, None, self.left, api_visibility="private", queue=False)
        self.running = [asking, again]
        copied = self.copy.click(
            self.transcript, [self.turns, self.variant], self.text, queue=False, api_visibility="private"
        )
        copied.then(None, self.text, self.notice, js=COPY, api_visibility="private")
        shared = [self.question, self.variant, *self.decoding, self.accepted]
        self.share.click(None, shared, self.notice, js=SHARE, api_visibility="private")
        page.load(self.linked, None, [self.question, self.variant, *self.decoding], api_visibility="private")

    def run(self, trigger: str) -> dict[str, Any]:
        """Return how an event that asks the models is run: one at a time, whoever asks."""
        return {
            "trigger_mode": trigger,
            "concurrency_limit": 1,
            "concurrency_id": "models",
            "show_progress": "minimal",
            "show_progress_on": self.status,
            "api_visibility": "private",
        }

    def ask(
        self,
        question: str,
        variant: str,
        temperature: float,
        top_p: float,
        tokens: int,
        seed: int,
        turns: tuple[Turn, ...],
        request: gr.Request,
    ) -> Iterator[Screen]:
        """Ask the next question of a visitor's conversation."""
        if not (question or "").strip() and turns:
            # The second press of a double click, which came when the box had already been emptied.
            yield (gr.skip(),) * len(self.screen)
            return
        try:
            decoding = checked(temperature, top_p, tokens, seed)
            for step in self.comparison.ask(str(request.session_hash), question, decoding, variant, turns):
                yield _screen(step)
        except Refusal as error:
            yield _refused(str(error))

    def again(
        self,
        variant: str,
        temperature: float,
        top_p: float,
        tokens: int,
        seed: int,
        turns: tuple[Turn, ...],
        request: gr.Request,
    ) -> Iterator[Screen]:
        """Ask the last question of a conversation once more."""
        if turns:
            yield from self.ask(turns[-1].question, variant, temperature, top_p, tokens, seed, turns[:-1], request)
        else:
            yield _refused("There is no question to ask again.")

    def halt(self, request: gr.Request) -> None:
        """End the answer that a visitor is being given."""
        self.comparison.runs.stop(str(request.session_hash))

    def halt_or_leave(self, request: gr.Request) -> Any:
        """End the answer that a visitor is being given; where there is none, return another text each time."""
        return gr.skip() if self.comparison.runs.stop(str(request.session_hash)) else uuid4().hex

    def transcript(self, turns: tuple[Turn, ...], variant: str) -> str:
        """Return a visitor's conversation as text."""
        dense = self.models.dense
        return transcript(turns, dense.id if dense else "", variant)

    def linked(self, request: gr.Request) -> list[Any]:
        """Return the question and the settings that the page's address states."""
        stated = dict(request.query_params)
        names = {source.id for source in self.models.pruned}
        variant = stated["variant"] if stated.get("variant") in names else gr.skip()
        question = stated["q"][:LONGEST_QUESTION] if stated.get("q") else gr.skip()
        return [question, variant, *(_stated(stated.get(name), low, high) for name, low, high in LIMITS)]

    def leave_queue(self, running: Sequence[Any]) -> None:
        """Let Stop take a question out of the queue where it has not come to its turn.

        An answer that has begun must not be cancelled: it ends by itself, and the conversation keeps it.

        Args:
            running: All events that ask the models.
        """
        words = "<p>Nothing is being answered.</p>"
        self.left.change(lambda: words, None, self.notice, cancels=running, queue=False, api_visibility="private")

    def forget(self, leave: Callable[..., Any], running: Sequence[Any]) -> None:
        """Empty the conversation at an event, whatever is running.

        Args:
            leave: The event's listener.
            running: All events that ask the models.
        """
        private = {"show_progress": "hidden", "api_visibility": "private"}
        # First the end, then the empty page: a word still on its way would come back otherwise.
        ended = leave(self.halt, cancels=running, **private)
        ended.then(lambda: ([], [], "", "", (), "0\n"), outputs=self.screen, queue=False, **private)


def _refused(words: str) -> Screen:
    notice = f'<p class="notice" role="alert">{escape(words)}</p>'
    return gr.skip(), gr.skip(), gr.skip(), notice, gr.skip(), gr.skip()


def _screen(step: Step) -> Screen:
    last = step.turns[-1].question
    chats = (chat(step.turns, name, step.stopped) for name in SIDES)
    return *chats, status(step), "", step.turns, f"{len(step.turns)}\n{last}"


def _stated(value: str | None, low: float, high: float) -> Any:
    try:
        number = float(value or "")
    except ValueError:
        return gr.skip()
    return number if low <= number <= high else gr.skip()


def _chat(name: str) -> gr.Chatbot:
    return gr.Chatbot(
        value=[],
        label=f"{name.capitalize()} model",
        show_label=False,
        elem_id=name,
        # An answer is text: nothing in it is ever rendered.
        render_markdown=False,
        sanitize_html=True,
        allow_tags=False,
        latex_delimiters=[],
        feedback_options=None,
        buttons=[],
        placeholder="The answer appears here.",
    )


def _decoding_controls() -> list[gr.components.Component]:
    with gr.Accordion("Decoding (the same for both models)", open=False, elem_id="decoding"):
        return [
            gr.Slider(0, HOTTEST, value=0, step=0.1, label="Temperature", info="0: always the likeliest token"),
            gr.Slider(0.05, 1, value=1, step=0.05, label="Top-p", info="Draw among the likeliest only; 1: among all"),
            gr.Slider(1, MOST_TOKENS, value=128, step=1, label="New tokens at most"),
            gr.Number(42, precision=0, minimum=0, maximum=LARGEST_SEED, label="Seed", info="Matters above 0 only"),
        ]
