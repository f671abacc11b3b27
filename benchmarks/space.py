"""The Space's answers beside plain `generate` of the same model: until the first token, and per token.

    python -m benchmarks.space [DENSE PRUNED] [--tokens 48] [--rounds 5]

DENSE and PRUNED are model folders: by default the demo model and a copy of it pruned at random. Three ways to the same
greedy answer take turns, so that a busy machine disturbs all alike: plain `generate`; the app's loop; the app over
HTTP, from the request to what arrives. First with one model, then with both: `generate` one after the other, the app at
once.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ |= {"HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "spaces" / "compare"))

import httpx
import torch
from answers import encode, stream
from app import build
from decoding import Decoding
from lineup import Lineup, Source
from models import SHELF

from benchmarks.results import say
from release.progress import Console
from release.sources import demo

QUESTION = "Tell me a long story about the sea, and leave nothing out."


class Times(NamedTuple):
    """Seconds until the first token, and tokens per second over the whole answer."""

    first: float
    rate: float


def generated(loaded: Any, prompt: list[int], tokens: int) -> float:
    started = time.perf_counter()
    with torch.inference_mode():
        read = torch.tensor([prompt])
        found = loaded.model.generate(
            read, attention_mask=torch.ones_like(read), do_sample=False, max_new_tokens=tokens
        )
    assert found.shape[1] == len(prompt) + tokens, "the answer ended early; ask something else"
    return time.perf_counter() - started


def plain(sources: dict[str, Source], prompts: dict[str, list[int]], tokens: int) -> Times:
    first = sum(generated(SHELF.get(source), prompts[side], 1) for side, source in sources.items())
    whole = sum(generated(SHELF.get(source), prompts[side], tokens) for side, source in sources.items())
    return Times(first, tokens * len(sources) / whole)


def looped(sources: dict[str, Source], prompts: dict[str, list[int]], tokens: int) -> Times:
    started, first = time.perf_counter(), None
    for progress in stream(sources, prompts, Decoding(max_new_tokens=tokens)):
        if first is None and all(answer.tokens for answer in progress.answers.values()):
            first = time.perf_counter() - started
    assert first is not None
    return Times(first, tokens * len(sources) / (time.perf_counter() - started))


def served(app: httpx.Client, tokens: int, sides: int) -> Times:
    """Ask as curl would: gradio_client looks for news every 50 ms only, twice over, which is not the app's time."""
    started, first = time.perf_counter(), None
    asked = app.post("gradio_api/call/v2/compare", json={"prompt": QUESTION, "max_new_tokens": tokens})
    event = asked.raise_for_status().json()["event_id"]
    with app.stream("GET", f"gradio_api/call/compare/{event}") as answer:
        for line in answer.iter_lines():
            if first is None and line.startswith("data: [["):
                conversations = json.loads(line.removeprefix("data: "))[0]
                if all(side[-1].get("tokens") for side in conversations[2 - sides :]):
                    first = time.perf_counter() - started
    assert first is not None
    return Times(first, tokens * sides / (time.perf_counter() - started))


def readings(
    app: httpx.Client, sides: dict[str, Source], prompts: dict[str, list[int]], tokens: int
) -> dict[str, Callable[[], Times]]:
    return {
        "generate": lambda: plain(sides, prompts, tokens),
        "the app's loop": lambda: looped(sides, prompts, tokens),
        "the app over HTTP": lambda: served(app, tokens, len(sides)),
    }


def compare(work: dict[str, Callable[[], Times]], rounds: int, sides: int) -> None:
    for way in work.values():
        way()  # warms up
    found: dict[str, list[Times]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, way in work.items():
            found[name].append(way())
    for name, times in found.items():
        report(name, times, found["generate"])
    pairs = list(zip(found["the app over HTTP"], found["generate"], strict=True))
    say(f"space.first.{sides}", [ours.first / floor.first for ours, floor in pairs])
    say(f"space.rate.{sides}", [ours.rate / floor.rate for ours, floor in pairs])


def report(name: str, found: list[Times], floor: list[Times]) -> None:
    firsts = statistics.median(one.first / other.first for one, other in zip(found, floor, strict=True))
    rates = statistics.median(one.rate / other.rate for one, other in zip(found, floor, strict=True))
    first, rate = (statistics.median(values) for values in zip(*found, strict=True))
    print(f"{name:<34}{first:8.3f} s {rate:8.2f} tokens/s   × {firsts:.2f} until the first, × {rates:.2f} tokens/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="*", metavar="MODEL")
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folders = asked.models or [demo.fetch(Console(quiet=True)), pruned_demo(Path(scratch))]
        timed(*(Source(name, str(path)) for name, path in zip(("dense", "pruned"), folders, strict=True)), asked)


def pruned_demo(folder: Path) -> Path:
    words = ["prune", "demo", "--method", "random", "--sparsity", "0.1", "--out", str(folder / "pruned")]
    subprocess.run([sys.executable, "-m", "release", *words], check=True, stdout=subprocess.DEVNULL)
    return folder / "pruned"


def timed(dense: Source, pruned: Source, asked: argparse.Namespace) -> None:
    for sides in ({"pruned": dense}, {"dense": dense, "pruned": pruned}):
        page = build(Lineup(sides.get("dense"), (sides["pruned"],)))
        url = page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)[1]
        said = [{"role": "user", "content": QUESTION}]
        prompts = {side: encode(SHELF.get(source), said, asked.tokens) for side, source in sides.items()}
        print(f"{len(sides)} model{'s' if len(sides) > 1 else ''}, {asked.tokens} tokens each")
        compare(
            readings(httpx.Client(base_url=url, timeout=600), sides, prompts, asked.tokens), asked.rounds, len(sides)
        )
        page.close(verbose=False)


if __name__ == "__main__":
    main()
