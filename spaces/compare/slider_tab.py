"""The tab `Sparsity`: a copy at any sparsity, made from the dense weights on the spot."""

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr
from conversation import Conversation
from copies import MAKER, PATIENCE, CopyError, Prunable, prunable
from facts import Facts
from grid import picture
from lineup import HIGHEST, LocalCopy
from slider_html import checked, expected, intro, made, marks, place
from trouble import UNREADABLE


class SliderTab:
    """The tab's parts and what they do."""

    def __init__(self, conversation: Conversation, known: Mapping[str, Facts]) -> None:
        self.conversation = conversation
        self.models = conversation.models
        self.known = known
        self.variant = conversation.variant
        self.names = list(self.variant.choices)

    def draw(self) -> None:
        """Put the tab's parts on the page."""
        try:
            found = prunable(self.models.pruned)
        except (CopyError, *UNREADABLE) as error:
            gr.HTML(made(str(error)), padding=False)
            self.slider = None
            return
        gr.HTML(intro(found), padding=False, elem_id="slider-head")
        scheme, percent = _start(found)
        schemes = [(each.capitalize(), each) for each in found.schemes]
        self.scheme = gr.Radio(schemes, value=scheme, label="Method", elem_id="slider-method")
        self.slider = gr.Slider(
            0, HIGHEST, value=percent, step=found.step, label="Zeros among the prunable weights, %", elem_id="sparsity"
        )
        self.marks = gr.HTML(marks(found, scheme), padding=False, elem_id="slider-marks")
        self.said = gr.HTML(place(found, scheme, percent), padding=False, elem_id="made")
        with gr.Row():
            self.make = gr.Button("Make this copy", variant="primary", visible=False, scale=0, size="md", min_width=180)
            self.go = gr.Button("Compare with it", variant="primary", visible=False, scale=0, size="md", min_width=180)
        self.taken = gr.Textbox(visible="hidden")
        self.curve = gr.HTML(picture(self.known, percent / 100), padding=False, elem_id="curve", elem_classes="drawn")

    def wire(self, tabs: gr.Tabs) -> None:
        """Say what the slider and the buttons do."""
        if self.slider is None:
            return
        private = {"api_visibility": "private", "show_progress": "hidden"}
        chosen = [self.scheme, self.slider]
        drawn = [self.marks, self.curve]
        gr.on([self.slider.change, self.scheme.change], self.draw_at, chosen, drawn, queue=False, **private)
        changed = [self.said, self.make, self.go, self.variant, self.taken, *self.conversation.described]
        alone: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "copies", "trigger_mode": "always_last"}
        gr.on([self.slider.release, self.scheme.input], self.moved, chosen, changed, **alone, **private)
        self.make.click(self.made, chosen, changed, **alone, **private)
        self.conversation.follow(self.taken.change, self.conversation.running)
        self.go.click(lambda: gr.Tabs(selected="compare"), None, tabs, queue=False, **private)

    def draw_at(self, scheme: str, percent: float) -> tuple[str, str]:
        """Return the marks and the curve for a place of the slider."""
        return marks(prunable(self.models.pruned), scheme), picture(self.known, percent / 100)

    def moved(self, scheme: str, percent: float) -> Iterator[tuple[Any, ...]]:
        """Make the copy that the slider stands at, or ask first where that takes long."""
        try:
            seconds = MAKER.seconds(self._copy(scheme, percent))
        except CopyError as error:
            yield _said(made(str(error)))
            return
        if seconds > PATIENCE:
            yield _said(expected(seconds), ask=True)
        else:
            yield from self.made(scheme, percent)

    def made(self, scheme: str, percent: float) -> Iterator[tuple[Any, ...]]:
        """Make the copy that the slider stands at, and choose it, or the release that it is."""
        yield _said(made(f"Making {scheme}, {percent:g} % …"))
        try:
            copy = self._copy(scheme, percent)
            found = MAKER.make(copy)
        except CopyError as error:
            yield _said(made(str(error)))
            return
        published = prunable(self.models.pruned).at(scheme, copy.percent)
        source = copy.source
        same = published is not None and dict(published.digests) == dict(found.digests)
        taken = published.source.id if published is not None and same else source.id
        names = self.names if taken != source.id else [*self.names, (copy.label, source.id)]
        said = checked(copy, found, published, same)
        buttons = gr.Button(visible=False), gr.Button(visible=True)
        # With the copy comes what is said of it: a second after it, the sentence of the one before would stand above.
        yield said, *buttons, gr.Dropdown(names, value=taken), taken, *self.conversation.describe(taken)

    def _copy(self, scheme: str, percent: float) -> LocalCopy:
        dense, found = self.models.dense, prunable(self.models.pruned)
        number = isinstance(percent, int | float) and not isinstance(percent, bool)
        if dense is None or scheme not in found.schemes or not number or not 0 <= percent <= HIGHEST:
            raise CopyError(f"There is no such copy. Choose {' or '.join(found.schemes)}, and 0 to {HIGHEST} %.")
        return LocalCopy(dense, self.models.pruned, scheme, round(round(percent / found.step) * found.step, 2))


def _start(found: Prunable) -> tuple[str, float]:
    """Begin at a release, where one is on the slider."""
    first = next((each for each in found.published if 100 * each.share <= HIGHEST), None)
    return (first.scheme, float(100 * first.share)) if first else ("magnitude", 0.0)


def _said(words: str, ask: bool = False) -> tuple[Any, ...]:
    return words, gr.Button(visible=ask), gr.Button(visible=False), *(gr.skip() for _ in range(6))
