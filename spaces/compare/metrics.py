"""How each metric is named, found in a card, and drawn: data that comes along with the app."""

import json
from pathlib import Path
from typing import NamedTuple


class Metric(NamedTuple):
    """One metric.

    Attributes:
        label: Its name on a tile and above its panel.
        pattern: Regular expression that finds it in the rows of a card, in lower case.
        note: What it says; None for one that is on no panel.
        short: Its name in the menu; None for one that is not named there.
    """

    key: str
    label: str
    pattern: str
    note: str | None
    short: str | None
    logarithmic: bool


METRICS = tuple(Metric(**row) for row in json.loads(Path(__file__).with_name("metrics.json").read_text("utf-8")))
