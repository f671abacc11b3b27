"""One question, two models: the dense one and the pruned one answer side by side."""

import logging
import threading

import gradio as gr
import rebuild
from compare import SideBySide
from conversation import Conversation
from gpu import ZERO_GPU
from grid_tab import GridTab
from lens_tab import LensTab
from limits import Limits, Page
from lineup import Lineup, SetupError, Source, lineup
from models import SHELF, LoadError
from page import CSS, SCRIPT, TITLE, intro, menu
from reading import facts
from theme import theme

QUEUE = 20
"""Questions that may wait; the next visitor is told that the queue is full."""


def build(models: Lineup) -> gr.Blocks:
    """Put the page together."""
    comparison = SideBySide(models)
    known = {source.id: facts(source) for source in models.pruned}
    names = [(menu(source, known[source.id]), source.id) for source in models.pruned]
    with Page(title=TITLE, analytics_enabled=False) as page:
        gr.HTML(intro(alone=models.dense is None), padding=False, elem_id="intro")
        variant = gr.Dropdown(names, value=models.pruned[0].id, label="Pruned model", elem_id="variant")
        conversation = Conversation(comparison, variant)
        lens_tab = LensTab(conversation)
        grid_tab = GridTab(models, known, variant)
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Compare", id="compare"):
                conversation.draw()
            with gr.Tab("Bias lens", id="lens"):
                lens_tab.draw()
            with gr.Tab("All variants", id="grid"):
                grid_tab.draw()
        page.load(js=SCRIPT, api_visibility="private")
        conversation.wire(page)
        lens_tab.wire(tabs)
        grid_tab.wire()
        gr.api(comparison.compare, api_name="compare", concurrency_limit=1, concurrency_id="models")
        gr.api(comparison.items, api_name="items")
    return page.queue(max_size=QUEUE, default_concurrency_limit=4)


def main() -> None:
    """Start the app; GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where it listens."""
    logging.basicConfig(format="%(message)s")
    rebuild.LOG.setLevel(logging.INFO)
    try:
        models = lineup()
    except SetupError as error:
        raise SystemExit(f"{error}") from error
    if ZERO_GPU:
        _load(models.all)
    else:
        threading.Thread(target=_load, args=(models.all[:2],), daemon=True).start()
    build(models).launch(
        theme=theme(),
        css=CSS,
        ssr_mode=False,
        footer_links=["api", "gradio"],
        max_file_size="1b",  # the page has no place for a file
        app_kwargs={"middleware": [(Limits, (), {})]},  # a class, and what it is made with beside the app
    )


def _load(sources: tuple[Source, ...]) -> None:
    """Load models before the first question; ZeroGPU lends its card only for answers, and packs what it finds then."""
    for source in sources:
        try:
            SHELF.get(source)
        except LoadError as error:
            logging.getLogger(__name__).error("%s", error)


if __name__ == "__main__":
    main()
