"""The reference pages: every command with its options, every public name with its signature, from the code itself."""

import inspect
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import release
from release.cli import parser
from release.schema.record import schema
from release.settings.examples import EXAMPLES

OPTIONS_HEAD = """# Options

Every command with its arguments and options, as `release COMMAND --help` shows them. What the commands are for stands
in [Commands](commands.md).
"""
PYTHON_HEAD = """# Public names

What `release` exports, with the words of the code. An example, and which function does what which command does, stand
in [From Python](api.md).
"""
RECORD_HEAD = """# The record

What stands in `release.json`, part by part; [release.schema.json](release.schema.json) is the same for programs. A
field with a default may be missing in a record of an older version.
"""
HIDDEN = {"help", "install_completion", "show_completion"}


def options_page() -> str:
    """Return docs/options.md."""
    commands = sorted(parser().commands.items())
    return "\n".join([OPTIONS_HEAD, *(part for name, command in commands for part in _command(name, command))])


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    asked = [each for each in command.params if each.param_type_name == "option" and each.name not in HIDDEN]
    yield f"## release {name}\n"
    yield f"{' '.join(inspect.cleandoc(command.help or '').split())}\n"
    yield f"`{' '.join(('release', name, '[OPTIONS]', *(_shown(each) for each in arguments)))}`\n"
    yield from _table("Argument", arguments)
    for panel, group in groupby(sorted(asked, key=_panel), key=_panel):
        yield from _table(panel or "Option", list(group))
    yield f"For example {_listed([f'`{line}`' for line in EXAMPLES[name]])}.\n"


def _panel(option: Any) -> str:
    return getattr(option, "rich_help_panel", None) or ""


def _table(kind: str, params: Sequence[Any]) -> Iterator[str]:
    if params:
        rows = (f"| {_words(each)} | {_told(each)} |" for each in params)
        yield "\n".join((f"| {kind} | |", "| --- | --- |", *rows, ""))


def _words(param: Any) -> str:
    words = [_shown(param)] if param.param_type_name == "argument" else [*param.opts, *param.secondary_opts]
    value = "" if param.param_type_name == "argument" or param.is_flag else f" {_shown(param)}"
    return _cell(", ".join(f"`{word}{value}`" for word in words))


def _shown(param: Any) -> str:
    """Return what stands for a value."""
    if param.param_type_name == "argument":
        return param.metavar or param.name.upper()
    return param.metavar or ("PATH" if param.type_descriptor.annotation is Path else "TEXT")


def _told(param: Any) -> str:
    told = (param.help or "").replace("\\[", "[").strip()
    if param.required and param.param_type_name == "option":
        told += " Required."
    if (default := _default(param)) is not None:
        told += f" Default: {default}."
    return _cell(told)


def _default(param: Any) -> str | None:
    shown = getattr(param, "show_default", None)
    if isinstance(shown, str):
        return shown
    return None if shown is False or param.default in (None, False) else str(param.default)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def python_page() -> str:
    """Return docs/python.md."""
    return "\n".join([PYTHON_HEAD, *(part for name in release.__all__ for part in _public(name))])


def _public(name: str) -> Iterator[str]:
    thing = getattr(release, name)
    yield f"## {name}\n"
    if inspect.isfunction(thing):
        yield f"```text\n{name}{_signature(thing)}\n```\n"
    yield _docstring(inspect.getdoc(thing) or "")
    yield from _fields(thing)


def _signature(function: Any) -> str:
    """Return a signature, a parameter a line, types as they are written."""
    signature = inspect.signature(function)
    words = str(signature.replace(parameters=_plain(signature)))
    named = re.sub(r"release(?:\.\w+)+\.(\w+)|pathlib\.(\w+)", r"\1\2", words)
    return named.replace("= Ellipsis", "= …").replace("'", "")


def _plain(signature: inspect.Signature) -> list[inspect.Parameter]:
    """Write a default that is a record as what it is, the defaults of its class."""
    shown = (
        each.default if isinstance(each.default, int | str | None) else ... for each in signature.parameters.values()
    )
    return [
        each if each.default is each.empty else each.replace(default=default)
        for each, default in zip(signature.parameters.values(), shown, strict=True)
    ]


def _docstring(text: str) -> str:
    """Return a docstring of Google's form as Markdown: its sections as lists."""
    made = []
    for block in text.split("\n\n"):
        head, *rest = block.splitlines()
        if re.fullmatch(r"(Args|Attributes|Raises|Returns):", head):
            made += [f"**{head[:-1]}**\n", *_items(rest), ""]
        else:
            made.append(block + "\n")
    return "\n".join(made)


def _items(lines: Sequence[str]) -> list[str]:
    """Return the entries of a section as a list; deeper lines go on with the entry before them."""
    entries: list[str] = []
    for line in lines:
        if line.startswith("     ") and entries:
            entries[-1] += f" {line.strip()}"
        else:
            entries.append(re.sub(r"^([\w, ]+):", r"- `\1`:", line.strip()))
    return entries


def _fields(thing: Any) -> Iterator[str]:
    """Yield a table of a record's fields, with the options that set them."""
    fields = getattr(thing, "model_fields", {})
    if fields and inspect.isclass(thing):
        rows = [f"| `{name}` | {_kind(field)} | {_given(field)} |" for name, field in fields.items()]
        yield "\n".join(("| field | type | default |", "| --- | --- | --- |", *rows, ""))


def _kind(field: Any) -> str:
    return _cell(f"`{_written(field.annotation)}`")


def _written(kind: Any) -> str:
    """Return a type as it is written in the code, the same under every version of Python."""
    if get_origin(kind) in (Union, UnionType):
        return " | ".join(map(_written, get_args(kind)))
    if get_origin(kind) is Annotated:
        return _written(get_args(kind)[0])
    if get_origin(kind) is Literal:
        return " | ".join(map(repr, get_args(kind)))
    if arguments := get_args(kind):
        return f"{get_origin(kind).__name__}[{', '.join(map(_written, arguments))}]"
    return {NoneType: "None", ...: "..."}.get(kind, getattr(kind, "__name__", str(kind)))


def _given(field: Any) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    plain = isinstance(default, bool | int | str | tuple | None)
    return f"`{default!r}`" if plain else "its own defaults"


def record_page() -> str:
    """Return docs/record.md."""
    whole = schema()
    parts = {"Record": whole, **whole.pop("$defs")}
    return "\n".join([RECORD_HEAD, *(text for name, part in parts.items() for text in _part(name, part))])


def _part(name: str, part: dict[str, Any]) -> Iterator[str]:
    words, attributes = _taken_apart(part.get("description", ""))
    yield f"## {name}\n"
    yield f"{words}\n"
    needed = part.get("required", ())
    rows = (
        f"| `{field}` | {_json_kind(kind)} | {'' if field in needed else 'yes'} | {_cell(attributes.get(field, ''))} |"
        for field, kind in part.get("properties", {}).items()
    )
    yield "\n".join(("| field | type | may be missing | what it is |", "| --- | --- | --- | --- |", *rows, ""))


def _taken_apart(text: str) -> tuple[str, dict[str, str]]:
    """Return a docstring's words, and what it says of its attributes."""
    words, _, attributes = text.partition("\n\nAttributes:\n")
    entries = [re.match(r"- `(.+?)`: (.*)", entry) for entry in _items(attributes.split("\n\n")[0].splitlines())]
    return words, {found[1]: found[2] for found in entries if found}


def _json_kind(kind: dict[str, Any]) -> str:
    """Return a JSON type in words, with a link to a part."""
    if "$ref" in kind:
        name = kind["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in kind:
            return " or ".join(_json_kind(each) for each in kind[several])
    if "enum" in kind or "const" in kind:
        return " or ".join(f"`{value}`" for value in kind.get("enum", [kind.get("const")]))
    if kind.get("type") == "array":
        return f"list of {_json_kind(kind['items'])}" if "items" in kind else "list"
    if kind.get("type") == "object" and isinstance(kind.get("additionalProperties"), dict):
        return f"object of {_json_kind(kind['additionalProperties'])}"
    return str(kind.get("type", "any"))
