"""The tab `Compare`: a question, both models' answers, and the facts of the pruned model meanwhile them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr
from compare import HOTTEST, LARGEST_SEED, MOST_TOKENS, Refusal, SideBySide, checked
from copies import why_not_linked
from gpu import ZERO_GPU
from keeping import brought_back, kept
from page import about, chat, headline, in_words, menu, side, status, transcript, while_waiting
from reading import facts
from stored import stored
from turns import SIDES, Step, Turn

QUESTIONS = ("What is the capital of France?", "Why is the sky blue?", "Write two sentences about the sea.")
LIMITS = (("temperature", 0.0, HOTTEST), ("top_p", 0.05, 1.0), ("tokens", 1, MOST_TOKENS), ("seed", 0, LARGEST_SEED))
AT_ONCE = 40
"""Questions that may be in hand, waiting ones included: more than the line takes, so that it can say it is full."""

COPY = """(text) => { navigator.clipboard.writeText(text); return "<p>The conversation is copied.</p>"; }"""
SHARED = "This question was shared with you: press Compare, and both models answer it."
CONTENT = "This question comes from a benchmark of stereotypes (BBQ). It probes one on purpose and states no fact."

Screen = tuple[Any, ...]


class Conversation:
    """The tab's parts and what they do.

    Attributes:
        variant: The menu of pruned models, which stands above the tabs.
        screen: What an answer changes: both chats, the line below, a notice, the turns so far, the accepted question,
            what the browser keeps, and the buttons.
        described: What the page says of the pruned model that is chosen, see `describe`.
        running: The events of this tab that ask the models.
    """

    def __init__(self, comparison: SideBySide) -> None:
        self.comparison = comparison
        self.models = comparison.models
        self.live = comparison.live

    def draw_head(self) -> None:
        """Put the menu of variants, and what pruning did, on the page."""
        first = self.models.pruned[0]
        names = [(menu(source, facts(source)), source.id) for source in self.models.pruned]
        self.variant = gr.Dropdown(names, value=first.id, label="Pruned model", elem_id="variant")
        self.did = gr.HTML(headline(facts(first), self.live), padding=False, elem_id="did")

    def draw(self) -> None:
        """Put the tab's parts on the page."""
        first = self.models.pruned[0]
        begun = self._begun(first.id, None)
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                self.question = gr.Textbox(
                    label="Question",
                    placeholder="Ask both models the same thing",
                    max_lines=8,
                    elem_id="question",
                    visible=self.live,
                )
                listed = [each.question for each in stored(first).answers]
                if self.live:
                    self._draw_buttons()
                self.examples = gr.Dropdown(
                    listed,
                    value=begun[5].partition("\n")[2] or None,
                    label="Answers stored with this release",
                    elem_id="examples",
                    visible=bool(listed),
                )
                if not self.live:
                    self._draw_buttons()
                self.notice = gr.HTML("", padding=False, elem_id="notice")
                self.parting = gr.HTML(begun[7], padding=False, elem_id="parting")
                with gr.Row(elem_id="answers"):
                    with gr.Column(min_width=260, visible=self.models.dense is not None):
                        gr.HTML(side("dense", self.models.dense), padding=False)
                        dense = _chat("dense", begun[0])
                    with gr.Column(min_width=260):
                        self.name = gr.HTML(side("pruned", first), padding=False)
                        pruned = _chat("pruned", begun[1])
                self.status = gr.HTML(begun[2], padding=False, elem_id="status")
                if self.live and not listed:
                    gr.Examples([[each] for each in QUESTIONS], self.question, label="For example")
                self.decoding = _decoding_controls(self.live)
            with gr.Column(scale=2, min_width=300):
                self.card = gr.HTML(about(first, facts(first)), padding=False, elem_id="facts")
        self.described = [self.did, self.name, self.card, self.examples]
        self.turns = gr.State(())
        self.accepted = gr.Textbox(begun[5], visible="hidden", elem_id="accepted")
        self.kept = gr.Textbox(visible="hidden", elem_id="kept")
        self.text = gr.Textbox(visible="hidden", elem_id="transcript")
        talk = [dense, pruned, self.status, self.notice, self.turns, self.accepted, self.kept, self.parting]
        self.screen = [*talk, self.send, self.stop, self.retry, self.clear, self.copy, self.share]

    def _draw_buttons(self) -> None:
        begun = self._begun(self.models.pruned[0].id, None)[8:]
        with gr.Row(elem_id="buttons"):
            self.send = gr.Button("Compare", variant="primary", size="md", min_width=110, visible=self.live)
            self.stop = gr.Button("Stop", variant="primary", size="md", min_width=110, visible=False)
            names = ("Retry", "Clear", "Copy", "Share")
            self.retry, self.clear, self.copy, self.share = (
                gr.Button(state.get("value", name), size="md", min_width=70, visible=state["visible"])
                for name, state in zip(names, begun[2:], strict=True)
            )

    def wire(self, page: gr.Blocks) -> None:
        """Say what the buttons do."""
        private = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
        settings = [self.variant, *self.decoding, self.turns]
        asking = gr.on(
            [self.send.click, self.question.submit],
            self.ask,
            [self.question, *settings],
            self.screen,
            # A question sent while one is being answered is taken from the box when that one has ended.
            **self.run("always_last"),
        )
        again = self.retry.click(self.again, [self.accepted, *settings], self.screen, **self.run("once"))
        self.running = [asking, again]
        told = [self.question, self.accepted, self.variant, *self.decoding]
        js = "(...values) => window.talk.accepted(...values)"
        self.accepted.change(None, told, [self.question, self.examples], js=js, api_visibility="private")
        self.kept.change(None, self.kept, None, js="text => window.talk.keep(text)", api_visibility="private")
        self.stop.click(self.halt, None, None, **private)
        self.examples.input(self.show_stored, [self.examples, self.variant], self.screen, **private)
        copied = self.copy.click(self.transcript, [self.turns, self.accepted, self.variant], self.text, **private)
        copied.then(None, self.text, self.notice, js=COPY, api_visibility="private")
        js = "(...values) => window.talk.share(...values)"
        shared = [self.question, self.variant, *self.decoding, self.accepted]
        self.share.click(None, shared, self.notice, js=js, api_visibility="private")
        self.variant.change(self.describe, self.variant, self.described, **private)
        opened = page.load(
            self.opened,
            self.kept,
            [self.question, self.variant, *self.decoding, self.examples, *self.screen],
            js="() => [window.talk.kept()]",
            **private,
        )
        opened.then(None, js="() => window.talk.settle()", api_visibility="private")

    def run(self, trigger: str) -> dict[str, Any]:
        """Return how an event that asks the models is run: each waits in the line, and says so in the answer boxes."""
        return {
            "trigger_mode": trigger,
            "concurrency_limit": AT_ONCE,
            "concurrency_id": "asking",
            "show_progress": "hidden",
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
        step, buttons = None, _buttons(running=True)
        try:
            decoding = checked(temperature, top_p, tokens, seed)
            for step in self.comparison.ask(str(request.session_hash), question, decoding, variant, turns):
                yield self._screen(step, variant, buttons)
                buttons = (gr.skip(),) * len(buttons)
        except Refusal as error:
            yield _refused(str(error), _buttons(turns=bool(turns), live=self.live))
        if step is not None:
            yield self._screen(step, variant, _buttons(turns=True, live=self.live), keep=True)

    def again(
        self,
        accepted: str,
        variant: str,
        temperature: float,
        top_p: float,
        tokens: int,
        seed: int,
        turns: tuple[Turn, ...],
        request: gr.Request,
    ) -> Iterator[Screen]:
        """Ask the last question of a conversation once more, or a stored one for the first time."""
        question = turns[-1].question if turns else accepted.partition("\n")[2]
        yield from self.ask(question, variant, temperature, top_p, tokens, seed, turns[:-1], request)

    def switched(
        self,
        accepted: str,
        variant: str,
        temperature: float,
        top_p: float,
        tokens: int,
        seed: int,
        turns: tuple[Turn, ...],
        request: gr.Request,
    ) -> Iterator[Screen]:
        """Ask another variant the last question; what was stored of it is shown at once.

        A copy that was made here has no stored answers, and is asked what the one before it had answered.
        """
        question = turns[-1].question if turns else accepted.partition("\n")[2]
        kept = stored(self.models.variant(variant)).of(question)
        if turns or (self.live and question and kept is None):
            yield from self.ask(question, variant, temperature, top_p, tokens, seed, (), request)
        else:
            yield self._begun(variant, question)

    def show_stored(self, question: str, variant: str) -> Screen:
        """Show the stored answers to a question; whatever conversation there was ends."""
        return self._begun(variant, question)

    def describe(self, variant: str) -> Screen:
        """Return what the page says about another variant."""
        source = self.models.variant(variant)
        told, listed = facts(source), [each.question for each in stored(source).answers]
        examples = gr.Dropdown(choices=listed, visible=bool(listed))
        return headline(told, self.live), side("pruned", source), about(source, told), examples

    def halt(self, request: gr.Request) -> None:
        """End the answer that a visitor is being given, or waits for."""
        self.comparison.runs.stop(str(request.session_hash))

    def transcript(self, turns: tuple[Turn, ...], accepted: str, variant: str) -> str:
        """Return what a visitor reads as text."""
        dense, found = self.models.dense, stored(self.models.variant(variant)).of(accepted.partition("\n")[2])
        shown = turns or (found.step.turns if found else ())
        return transcript(shown, dense.id if dense else "", variant)

    def opened(self, kept_text: str, request: gr.Request) -> list[Any]:
        """Return what a page begins with: the conversation that was here, the one it is linked for, or a stored one."""
        stated = dict(request.query_params)
        variant, menu, words = self._linked(stated.get("variant"))
        decoding = [_stated(stated.get(name), low, high) for name, low, high in LIMITS]
        asked = (stated.get("q") or "").strip()
        before = brought_back(kept_text or "", variant)
        if not (asked or before or words) and variant == self.models.pruned[0].id:
            # The page is already drawn so; a visitor who asks at once would see his answer wiped away.
            return [gr.skip(), gr.skip(), *decoding, gr.skip(), *(gr.skip() for _ in self.screen)]
        if before is not None and asked in ("", before.turns[-1].question):
            buttons = _buttons(turns=not before.stored, stored=before.stored, live=self.live)
            screen = self._screen(before, variant, buttons)
            asked = ""
        else:
            screen = self._begun(variant, asked)
            known = screen[5].partition("\n")[2]
            if asked and asked != known and self.live:
                words = f"{words} {SHARED}"
            if words:
                screen = (*screen[:3], f"<p>{escape(words.strip())}</p>", *screen[4:])
            asked = "" if asked == known else asked
        listed = [each.question for each in stored(self.models.variant(variant)).answers]
        shown = screen[5].partition("\n")[2]
        examples = gr.Dropdown(choices=listed, value=shown if shown in listed else None, visible=bool(listed))
        return [asked, menu, *decoding, examples, *screen]

    def _linked(self, name: str | None) -> tuple[str, Any, str]:
        """Return the variant that a link names, how the menu shows it, and what to say of it; else the first one."""
        first = self.models.pruned[0].id
        try:
            source = self.models.variant(name)
        except KeyError:
            return first, first, ""
        if source.copy is None:
            return source.id, source.id, ""
        trouble = why_not_linked(source.copy) if self.live and not ZERO_GPU else "No copies are made here."
        if trouble is not None:
            return first, first, trouble
        choices = [*self.variant.choices, (source.copy.label, source.id)]
        return source.id, gr.Dropdown(choices=choices, value=source.id), f"{source.copy.label}."

    def follow(self, event: Any, running: Sequence[Any]) -> Any:
        """Let an event that chooses another variant ask it the last question, whatever is running.

        Args:
            event: The event's listener, such as a menu's `input`, or what follows one.
            running: All events that ask the models.
        """
        ended = event(self.halt, cancels=running, api_visibility="private", show_progress="hidden")
        settings = [self.accepted, self.variant, *self.decoding, self.turns]
        return ended.then(self.switched, settings, self.screen, **self.run("once"))

    def forget(self, leave: Callable[..., Any], running: Sequence[Any]) -> None:
        """Empty the conversation at an event, whatever is running.

        Args:
            leave: The event's listener.
            running: All events that ask the models.
        """
        private = {"show_progress": "hidden", "api_visibility": "private"}
        # First the end, then the empty page: a word still on its way would come back otherwise.
        ended = leave(self.halt, cancels=running, **private)
        empty = ([], [], "", "", (), "0\n", "", "", *_buttons(live=self.live))
        ended.then(lambda: empty, outputs=self.screen, queue=False, **private)

    def _begun(self, variant: str, question: str | None) -> Screen:
        """Return a conversation that has not begun: stored answers to this question, or to the one that tells most."""
        found = stored(self.models.variant(variant))
        chosen = found.of(question) or found.first
        if chosen is None:
            return [], [], "", "", (), "0\n", "", "", *_buttons(live=self.live)
        screen = self._screen(chosen.step, variant, _buttons(stored=True, live=self.live))
        note = f'<p role="note">{CONTENT}</p>' if chosen.of_bbq else ""
        return (*screen[:3], note, *screen[4:])

    def _screen(self, step: Step, variant: str, buttons: Screen, keep: bool = False) -> Screen:
        """Return what a visitor sees at one moment; while he waits, something to read stands above his question."""
        shown, told, before = step, step, ""
        found = stored(self.models.variant(variant))
        meanwhile = found.of(step.turns[-1].question) or found.first
        if step.waiting is not None and not step.stopped and len(step.turns) == 1 and meanwhile is not None:
            shown, told = replace(step, turns=(*meanwhile.step.turns, *step.turns)), meanwhile.step
            before = while_waiting(meanwhile.question)
        last = step.turns[-1].question
        accepted = f"{'stored' if step.stored else len(step.turns)} {variant}\n{last}"
        own = () if step.stored else step.turns
        text = kept(step, variant) if keep else gr.skip()
        chats = (chat(shown, name) for name in SIDES)
        notice = _told(step.trouble) if step.trouble else ""
        return *chats, status(told), notice, own, accepted, text, in_words(told, before), *buttons


def _buttons(
    running: bool = False, turns: bool = False, stored: bool = False, live: bool = True
) -> tuple[dict[str, Any], ...]:
    """Return which of the buttons have an effect: Compare, Stop, Retry, Clear, Copy, Share."""
    said = (turns or stored) and not running
    again = {"value": "Ask live" if stored else "Retry"}
    return (
        gr.update(visible=live and not running),
        gr.update(visible=running),
        gr.update(visible=said and live, **again),
        gr.update(visible=turns and live and not running),
        gr.update(visible=said),
        gr.update(visible=said),
    )


def _told(words: str) -> str:
    return f'<p class="notice" role="alert">{escape(words)}</p>'


def _refused(words: str, buttons: Screen) -> Screen:
    return gr.skip(), gr.skip(), gr.skip(), _told(words), *(gr.skip() for _ in range(4)), *buttons


def _stated(value: str | None, low: float, high: float) -> Any:
    try:
        number = float(value or "")
    except ValueError:
        return gr.skip()
    return number if low <= number <= high else gr.skip()


def _chat(name: str, value: list[dict[str, Any]]) -> gr.Chatbot:
    return gr.Chatbot(
        value=value,
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


def _decoding_controls(live: bool) -> list[gr.components.Component]:
    title = "Decoding (the same for both models)"
    with gr.Accordion(title, open=False, elem_id="decoding", visible=live):
        return [
            gr.Slider(0, HOTTEST, value=0, step=0.1, label="Temperature", info="0: always the likeliest token"),
            gr.Slider(0.05, 1, value=1, step=0.05, label="Top-p", info="Draw among the likeliest only; 1: among all"),
            gr.Slider(1, MOST_TOKENS, value=128, step=1, label="Longest answer (tokens)"),
            gr.Number(42, precision=0, minimum=0, maximum=LARGEST_SEED, label="Seed", info="Used above temperature 0"),
        ]
