"""What the Hub says about the front matter of a README."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.hub.repos import Call
from tests.hub.wire import Answer

COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def validate_yaml(call: Call) -> Answer:
    """Parse a README's front matter and say what is wrong with it."""
    asked = call.body.json()
    match = re.match(r"---\r?\n(.*?)^---\s*$", asked["content"], re.DOTALL | re.MULTILINE)
    if match is None:
        warning = {"message": "empty or missing yaml metadata in repo card"}
        return Answer.json({"errors": [], "warnings": [warning]})
    try:
        found = list(_faults_of(yaml.safe_load(match[1]), asked["repoType"]))
    except yaml.YAMLError as error:
        found = [f"the front matter is not YAML: {error}"]
    errors = [{"message": message} for message in found]
    return Answer.json({"errors": errors, "warnings": []}, 400 if errors else 200)


def _faults_of(data: Any, kind: str) -> Iterator[str]:
    if not isinstance(data, dict):
        yield "the front matter must be a mapping"
        return
    for key in ("tags", "language", "datasets", "models", "base_model", "license"):
        value = data.get(key, "")
        if not all(isinstance(item, str) for item in (value if isinstance(value, list) else [value])):
            yield f'"{key}" must be a string or a list of strings'
    if "model-index" in data and not all(
        isinstance(model, dict) and {"name", "results"} <= set(model) for model in data["model-index"]
    ):
        yield '"model-index" needs a name and results'
    if kind == "space":
        yield from _faults_of_space(data)


def _faults_of_space(data: dict[str, Any]) -> Iterator[str]:
    if data.get("sdk") not in ("gradio", "docker", "static"):
        yield '"sdk" must be one of gradio, docker, static'
    for key in ("colorFrom", "colorTo"):
        if data.get(key, "red") not in COLOURS:
            yield f'"{key}" must be one of {", ".join(sorted(COLOURS))}'
    if not isinstance(data.get("python_version", ""), str):
        yield '"python_version" must be a string'
    if len(data.get("short_description", "")) > 60:
        yield '"short_description" must have at most 60 characters'
