"""The Space where ZeroGPU lends a card for the length of one call."""

import json
from pathlib import Path

import pytest
from gradio_client import Client

from tests.space_fixtures import app_command, checkpoint, serving, variable

SPACES = '''
"""Lends nothing, and is as strict as ZeroGPU about what is lent to."""
import functools, inspect, json, os, pickle, sys

assert "torch" not in sys.modules, "torch was imported before it could be patched"

def GPU(duration):
    def lend(task):
        assert inspect.isgeneratorfunction(task)

        @functools.wraps(task)
        def call(*arguments):
            with open(os.environ["LENT"], "a") as file:
                print(json.dumps(duration(*arguments)), file=file)
            # The call runs in another process, which what goes in and comes out has to reach.
            for step in task(*pickle.loads(pickle.dumps(arguments))):
                yield pickle.loads(pickle.dumps(step))

        return call

    return lend
'''


@pytest.mark.long
def test_models_are_loaded_first_and_what_crosses_the_processes_is_plain_data(tmp_path: Path) -> None:
    (tmp_path / "lib" / "spaces").mkdir(parents=True)
    (tmp_path / "lib" / "spaces" / "__init__.py").write_text(SPACES)
    dense = checkpoint(tmp_path / "dense")
    variants = [checkpoint(tmp_path / name, zeroed) for name, zeroed in (("a", 0.2), ("b", 0.4), ("c", 0.6))]
    lent = tmp_path / "lent"
    zero = {"PYTHONPATH": str(tmp_path / "lib"), "SPACES_ZERO_GPU": "true", "LENT": str(lent)}
    with serving(app_command(), zero | {"COMPARE_MODELS": variable(dense, *variants)}) as url:
        client = Client(url, verbose=False)
        for folder in variants:
            asked = {"variant": f"tiny/{folder.name}", "max_new_tokens": 32, "api_name": "/compare"}
            first, *_ = client.submit("why is the sky blue", **asked)
            # No step is an empty one: that would be the wait for a model being loaded.
            assert all(side[-1]["role"] == "assistant" for side in first)
    durations = [json.loads(line) for line in lent.read_text().splitlines()]
    assert len(durations) == len(variants)
    assert all(isinstance(each, int) and each > 0 for each in durations)
