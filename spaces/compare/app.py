"""One question, two models: the dense one and the pruned one answer side by side."""

import logging
import threading
from collections.abc import Callable, Iterator
from functools import cache
from html import escape
from typing import Any

import gradio as gr
from cards import Facts, facts
from compare import HOTTEST, LARGEST_SEED, LONGEST_QUESTION, MOST_TOKENS, Comparison, Refusal, Step, Turn, checked
from gpu import ZERO_GPU
from grid import picture, table
from lens import ANY, KINDS, SIDES, attribution, lens
from models import SHELF, Lineup, LoadError, SetupError, Source, lineup
from page import CSS, TITLE, about, chat, intro, item, lens_head, menu, side, status, transcript

QUEUE = 20
"""Questions that may wait; the next visitor is told that the queue is full."""
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


@cache
def _read(source: Source) -> Facts:
    return facts(source)


class Page:
    """The page's parts and what they do."""

    def __init__(self, models: Lineup) -> None:
        self.models = models
        self.comparison = Comparison(models)

    def build(self) -> gr.Blocks:
        """Put the page together."""
        models = self.models
        with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
            gr.HTML(intro(alone=models.dense is None), padding=False, elem_id="intro")
            names = [(menu(source, _read(source)), source.id) for source in models.pruned]
            self.variant = gr.Dropdown(names, value=models.pruned[0].id, label="Pruned model", elem_id="variant")
            with gr.Tabs(elem_id="tabs") as self.tabs:
                with gr.Tab("Compare", id="compare"):
                    self._compare_tab()
                with gr.Tab("Bias lens", id="lens"):
                    self._lens_tab()
                with gr.Tab("All variants", id="grid"):
                    known = {source.id: _read(source) for source in models.pruned}
                    gr.HTML(picture(known) + table(known), padding=False, elem_id="grid")
            self._wire_conversation(page)
            self._wire_lens()
            comparison = self.comparison
            shared = {"concurrency_limit": 1, "concurrency_id": "models"}
            gr.api(comparison.compare, api_name="compare", **shared)
            gr.api(comparison.items, api_name="items")
        return page.queue(max_size=QUEUE, default_concurrency_limit=4)

    # The conversation

    def _compare_tab(self) -> None:
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
                gr.Examples([[each] for each in QUESTIONS], self.question, label="For example")
                self.decoding = _decoding_controls()
                with gr.Row():
                    with gr.Column(min_width=260, visible=self.models.dense is not None):
                        gr.HTML(side("Dense", self.models.dense), padding=False)
                        dense = _chat("dense")
                    with gr.Column(min_width=260):
                        self.name = gr.HTML(side("Pruned", first), padding=False)
                        pruned = _chat("pruned")
                self.status = gr.HTML("", padding=False, elem_id="status")
            with gr.Column(scale=2, min_width=300):
                self.card = gr.HTML(about(first, _read(first)), padding=False, elem_id="facts")
        self.turns = gr.State(())
        self.accepted = gr.Textbox(visible="hidden", elem_id="accepted")
        self.text = gr.Textbox(visible="hidden", elem_id="transcript")
        self.screen = [dense, pruned, self.status, self.notice, self.turns, self.accepted]

    def _wire_conversation(self, page: gr.Blocks) -> None:
        settings = [self.variant, *self.decoding, self.turns]
        asking = gr.on(
            [self.send.click, self.question.submit],
            self.ask,
            [self.question, *settings],
            self.screen,
            # A question sent while one is being answered is taken from the box when that one has ended.
            **self._run("always_last"),
        )
        again = self.retry.click(self.again, settings, self.screen, **self._run("once"))
        self.accepted.change(None, [self.question, self.accepted], self.question, js=ACCEPT, api_visibility="private")
        self.stop.click(self.halt, api_visibility="private", queue=False)
        self.running = [asking, again]
        copied = self.copy.click(
            self.transcript, [self.turns, self.variant], self.text, queue=False, api_visibility="private"
        )
        copied.then(None, self.text, self.notice, js=COPY, api_visibility="private")
        shared = [self.question, self.variant, *self.decoding, self.accepted]
        self.share.click(None, shared, self.notice, js=SHARE, api_visibility="private")
        page.load(self.linked, None, [self.question, self.variant, *self.decoding], api_visibility="private")

    def _run(self, trigger: str) -> dict[str, Any]:
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
            notice = f'<p class="notice" role="alert">{escape(str(error))}</p>'
            yield (*(gr.skip(),) * 3, notice, gr.skip(), gr.skip())

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
            yield (
                *(gr.skip(),) * 3,
                '<p class="notice" role="alert">There is no question to ask again.</p>',
                *(gr.skip(),) * 2,
            )

    def halt(self, request: gr.Request) -> None:
        """End the answer that a visitor is being given."""
        self.comparison.runs.stop(str(request.session_hash))

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

    # The bias lens

    def _lens_tab(self) -> None:
        gr.HTML(lens_head(attribution()), padding=False, elem_id="lens-head")
        first = self.models.pruned[0]
        self.kind = gr.Radio(_kinds(first, ANY), value=ANY, label="What became of the answer", elem_id="kind")
        self.category = gr.Dropdown(_categories(first), value=ANY, label="Category", elem_id="category")
        with gr.Row(elem_id="lens-buttons"):
            self.back = gr.Button("Previous", min_width=90)
            self.next = gr.Button("Next", min_width=90)
            self.live = gr.Button("Ask both models now", variant="primary", min_width=170)
        self.place = gr.State(0)
        self.item = gr.HTML(self._item(first, ANY, ANY, 0)[0], padding=False, elem_id="item")

    def _wire_lens(self) -> None:
        chosen = [self.variant, self.kind, self.category]
        private = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
        for button, way in ((self.back, -1), (self.next, 1)):
            button.click(self._turner(way), [*chosen, self.place], [self.item, self.place], **private)
        gr.on([self.kind.change], self._turner(0), [*chosen, gr.State(0)], [self.item, self.place], **private)
        self.category.change(self.recount, [*chosen], [self.kind, self.item, self.place], **private)
        moved = self.live.click(
            self.bring,
            [*chosen, self.place],
            [self.tabs, self.question, *self.screen[:5]],
            cancels=self.running,
            show_progress="hidden",
            api_visibility="private",
        )
        asked = moved.then(
            self.ask, [self.question, self.variant, *self.decoding, self.turns], self.screen, **self._run("once")
        )
        running = [*self.running, asked]
        for leave in (self.clear.click, self.variant.change):
            # First the end, then the empty page: a word still on its way would come back otherwise.
            ended = leave(self.halt, cancels=running, show_progress="hidden", api_visibility="private")
            ended.then(lambda: ([], [], "", "", (), "0\n"), outputs=self.screen, **private)
        heads = [self.name, self.card, self.category, self.kind, self.item, self.place]
        self.variant.change(self.change, self.variant, heads, **private)

    def change(self, variant: str) -> Screen:
        """Return what the page says about another variant."""
        source = self.models.variant(variant)
        category = gr.Dropdown(_categories(source), value=ANY)
        kind = gr.Radio(_kinds(source, ANY), value=ANY)
        shown, place = self._item(source, ANY, ANY, 0)
        return side("Pruned", source), about(source, _read(source)), category, kind, shown, place

    def recount(self, variant: str, kind: str, category: str) -> Screen:
        """Return the kinds of another category, and its first item."""
        source = self.models.variant(variant)
        return gr.Radio(_kinds(source, category)), *self._item(source, kind, category, 0)

    def _turner(self, way: int) -> Callable[[str, str, str, int], tuple[str, int]]:
        def turn(variant: str, kind: str, category: str, place: int) -> tuple[str, int]:
            return self._item(self.models.variant(variant), kind, category, place + way)

        return turn

    def _item(self, source: Source, kind: str, category: str, place: int) -> tuple[str, int]:
        found = lens(source)
        chosen = found.select(kind, category)
        place = place % len(chosen) if chosen else 0
        return item(found, chosen, place), place

    def bring(self, variant: str, kind: str, category: str, place: int, request: gr.Request) -> Screen:
        """Take an item's question to a new conversation."""
        self.halt(request)
        chosen = lens(self.models.variant(variant)).select(kind, category)
        if not chosen:
            return (gr.skip(),) * 7
        return gr.Tabs(selected="compare"), chosen[place % len(chosen)].item.prompt, [], [], "", "", ()


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


def _kinds(source: Source, category: str) -> list[tuple[str, str]]:
    found = lens(source)
    named = {ANY: "All", **KINDS}
    return [(f"{label} ({len(found.select(kind, category))})", kind) for kind, label in named.items()]


def _categories(source: Source) -> list[tuple[str, str]]:
    return [("All", ANY), *((name.replace("_", " "), name) for name in lens(source).categories)]


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


def build(models: Lineup) -> gr.Blocks:
    """Put the page together."""
    return Page(models).build()


def main() -> None:
    """Start the app; GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where it listens."""
    try:
        models = lineup()
    except SetupError as error:
        raise SystemExit(f"{error}") from error
    if ZERO_GPU:
        _load(models.all)
    else:
        threading.Thread(target=_load, args=(models.all[:2],), daemon=True).start()
    font = ["system-ui", "sans-serif"]
    mono = ["ui-monospace", "monospace"]
    theme = gr.themes.Soft(primary_hue="indigo", neutral_hue="slate", font=font, font_mono=mono)
    theme.set(button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700")
    build(models).launch(theme=theme, css=CSS, ssr_mode=False, footer_links=["api", "gradio"])


def _load(sources: tuple[Source, ...]) -> None:
    """Load models before the first question; ZeroGPU lends its card only for answers, and packs what it finds then."""
    for source in sources:
        try:
            SHELF.get(source)
        except LoadError as error:
            logging.getLogger(__name__).error("%s", error)


if __name__ == "__main__":
    main()
