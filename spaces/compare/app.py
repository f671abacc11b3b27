"""One question, two models: the dense one and the pruned one answer side by side."""

import json
import logging
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from answers import AnswerError, Decoding, Message, conversation, encode, plain, stream
from cards import facts
from gpu import ZERO_GPU
from models import SHELF, Lineup, LoadError, SetupError, Source, lineup
from page import CSS, TITLE, about, intro, restored, shown, side

EXAMPLES = Path(__file__).parent / "examples.json"
LONGEST_QUESTION = 4000
"""Characters."""
MOST_TOKENS = 512
HOTTEST = 2.0
LARGEST_SEED = 2**32 - 1

Screen = tuple[list[dict[str, Any]], list[dict[str, Any]]]


class Comparison:
    """What happens when somebody asks."""

    def __init__(self, models: Lineup) -> None:
        self.models = models

    def compare(
        self,
        prompt: str,
        temperature: float = 0.0,
        max_new_tokens: int = 128,
        seed: int = 42,
        variant: str | None = None,
        dense_history: list[dict[str, Any]] | None = None,
        pruned_history: list[dict[str, Any]] | None = None,
    ) -> Iterator[Screen]:
        """Ask the dense and the pruned model the same question; both answers stream.

        Args:
            prompt: The question.
            temperature: 0 (greedy) to 2.
            max_new_tokens: 1 to 512.
            seed: Of the sampling, where the temperature is above 0.
            variant: Name of the pruned model; the first where None.
            dense_history: The dense model's conversation so far.
            pruned_history: The pruned model's conversation so far.

        Yields:
            Both conversations, ending with the new question and the answers so far.
        """
        asked = {"role": "user", "content": _question(prompt)}
        decoding = _decoding(temperature, max_new_tokens, seed)
        sources = self._sources(variant)
        histories = {"dense": [*_said(dense_history), asked], "pruned": [*_said(pruned_history), asked]}
        try:
            for texts in self._answers(sources, histories, decoding):
                dense, pruned = (_screen(histories[side], texts[side]) if side in texts else [] for side in histories)
                yield dense, pruned
        except (AnswerError, LoadError) as error:
            raise _refusal(str(error)) from error

    def _sources(self, variant: str | None) -> dict[str, Source]:
        try:
            pruned = self.models.variant(variant)
        except KeyError:
            raise _refusal(f"There is no model {variant!r} here. Choose one of the menu.") from None
        return {"dense": self.models.dense, "pruned": pruned} if self.models.dense else {"pruned": pruned}

    def _answers(
        self, sources: dict[str, Source], histories: dict[str, list[Message]], decoding: Decoding
    ) -> Iterator[Mapping[str, str | None]]:
        """Yield each side's answer so far; None while its model is being loaded."""
        yield {side: "" if source in SHELF else None for side, source in sources.items()}
        loaded = {side: SHELF.get(source) for side, source in sources.items()}
        turns = {side: conversation(histories[side]) for side in sources}
        prompts = {side: encode(loaded[side], turns[side], decoding.max_new_tokens) for side in sources}
        yield from stream(sources, prompts, decoding)

    def about(self, variant: str | None) -> tuple[str, str]:
        """Return the head above a pruned model's answers, and what the page says about it."""
        source = self.models.variant(variant)
        return side("Pruned", source), about(source, facts(source))


def _refusal(message: str) -> gr.Error:
    # Gradio renders a message as HTML.
    return gr.Error(escape(message), duration=None, title="No answer", print_exception=False)


def _question(prompt: str) -> str:
    question = (prompt or "").strip()
    if not question:
        raise _refusal("There is no question yet. Type one and press Compare.")
    if len(question) > LONGEST_QUESTION:
        raise _refusal(f"The question has {len(question)} characters; the limit is {LONGEST_QUESTION}. Shorten it.")
    return question


def _decoding(temperature: float, max_new_tokens: int, seed: int) -> Decoding:
    limits = (
        ("temperature", temperature, 0, HOTTEST),
        ("max_new_tokens", max_new_tokens, 1, MOST_TOKENS),
        ("seed", seed, 0, LARGEST_SEED),
    )
    for name, value, low, high in limits:
        if value is None or not low <= value <= high:
            raise _refusal(f"{name} is {value}; it must lie between {low} and {high}.")
    return Decoding(float(temperature), int(max_new_tokens), int(seed))


def _said(history: list[dict[str, Any]] | None) -> list[Message]:
    return [{**message, "content": restored(message["content"])} for message in plain(history)]


def _screen(messages: list[Message], answer: str | None) -> list[dict[str, Any]]:
    """Return what a Chatbot shows: what was said, and the answer so far; None while its model is being loaded."""
    said: list[dict[str, Any]] = [{**message, "content": shown(message["content"])} for message in messages]
    if answer is None:
        waiting = {"title": "Loading the model; the first time takes longest", "status": "pending"}
        return [*said, {"role": "assistant", "content": "", "metadata": waiting}]
    return [*said, {"role": "assistant", "content": shown(answer)}]


def build(models: Lineup) -> gr.Blocks:
    """Put the page together."""
    comparison = Comparison(models)
    names = [source.id for source in models.pruned]
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.HTML(intro(alone=models.dense is None), elem_id="intro")
        variant = gr.Dropdown(
            names, value=names[0], label="Pruned model", visible=len(names) > 1, elem_id="variant", interactive=True
        )
        with gr.Row():
            with gr.Column(min_width=300, visible=models.dense is not None):
                gr.HTML(side("Dense", models.dense))
                dense = _chat("dense")
            with gr.Column(min_width=300):
                name = gr.HTML(side("Pruned", models.pruned[0]))
                pruned = _chat("pruned")
        question = gr.Textbox(
            label="Question", placeholder="Ask both models the same thing", max_lines=8, elem_id="question"
        )
        with gr.Row(elem_id="buttons"):
            ask = gr.Button("Compare", variant="primary", min_width=120)
            stop = gr.Button("Stop", min_width=80)
            clear = gr.Button("Clear", min_width=80)
        _examples(question)
        decoding = _decoding_controls()
        card = gr.HTML(comparison.about(None)[1], elem_id="facts")

        asked = [ask.click, question.submit]
        answering = gr.on(
            asked,
            comparison.compare,
            [question, *decoding, variant, dense, pruned],
            [dense, pruned],
            api_name="compare",
            show_progress="hidden",
            # A question asked while the last one is being answered waits its turn; by default it would be dropped.
            trigger_mode="multiple",
            concurrency_limit=1,
            concurrency_id="models",
        )
        gr.on(asked, None, outputs=question, js="() => ''", api_visibility="private")
        stop.click(None, cancels=[answering], api_visibility="private")
        for leave in (clear.click, variant.change):
            # First the end, then the empty page: a word still on its way would come back otherwise.
            ended = leave(None, cancels=[answering], api_visibility="private")
            ended.then(lambda: ([], []), outputs=[dense, pruned], api_visibility="private", queue=False)
        variant.change(comparison.about, variant, [name, card], api_visibility="private")
    return page.queue(max_size=20)


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
            gr.Slider(1, MOST_TOKENS, value=128, step=1, label="New tokens at most"),
            gr.Number(42, precision=0, minimum=0, maximum=LARGEST_SEED, label="Seed", info="Matters above 0 only"),
        ]


def _examples(question: gr.Textbox) -> None:
    if not EXAMPLES.is_file():
        return
    stored = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    if stored["examples"]:
        gr.Examples([[each["prompt"]] for each in stored["examples"]], question, label="Examples from BBQ")
        gr.HTML(f"<p>{escape(stored['attribution'])}</p>", elem_id="attribution")


def main() -> None:
    """Start the app; GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where it listens."""
    try:
        models = lineup()
    except SetupError as error:
        raise SystemExit(f"{error}") from error
    if ZERO_GPU:
        _load_all(models)
    font = ["system-ui", "sans-serif"]
    mono = ["ui-monospace", "monospace"]
    theme = gr.themes.Soft(primary_hue="indigo", neutral_hue="slate", font=font, font_mono=mono)
    theme.set(button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700")
    build(models).launch(theme=theme, css=CSS, ssr_mode=False, footer_links=["api", "gradio"])


def _load_all(models: Lineup) -> None:
    """Load everything before the start: ZeroGPU lends its card only for answers, and packs what it finds then."""
    for source in filter(None, (models.dense, *models.pruned)):
        try:
            SHELF.get(source)
        except LoadError as error:
            logging.getLogger(__name__).error("%s", error)


if __name__ == "__main__":
    main()
