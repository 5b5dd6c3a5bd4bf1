"""What settings mean, for people: a page about every key of a recipe, and a recipe in which every key is explained.

Both are made from the models that check recipes, whose docstrings say what a key means.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from evo.run_settings import RunSettings
from evo.settings import Settings

WIDTH = 112
"""Characters of a line of a recipe, at most."""

FILLED_IN = ("found", "places")
"""Sections that follow from the files that a recipe names, and are not written by people."""

_NO_VALUE = "..."
"""In a recipe, for a value that has no default and may be left out."""


def settings_page(recipes: Mapping[str, type[RunSettings]]) -> str:
    """A page in markdown about every key of recipes of some kinds, by what these are called."""
    parts = [
        "# Settings\n\nEvery key that the recipe of a search or of a study of proxies may have, with its default; "
        "those of figures are explained in `evo/studies/figures/settings.py`, those of `runs/rule.toml` in "
        "`evo/studies/rules/study.py`. This page is made from the code by `make settings`.\n"
    ]
    told = {"found"}  # it is filled in
    for name, model in recipes.items():
        schema = model.model_json_schema()
        parts.append(f"## {name}\n\n{_prose(model.__doc__ or '')}\n\n{_table(schema, schema)}")
        for key, about in schema["properties"].items():
            section = _section(about, schema)
            if section is not None and key not in told:
                told.add(key)
                parts.append(f"### [{key}]\n\n{_prose(section['description'])}\n\n{_table(section, schema)}")
    return "\n".join(parts)


def commented_recipe(settings: Settings, given: Mapping[str, Any], heading: str) -> str:
    """A recipe as text, in which what is given stands and every other key is a comment with what it is by default.

    Parameters
    ----------
    settings:
        The settings that the given values make, whose values are shown as defaults.
    given:
        The plain values that the recipe states, sections as mappings.
    heading:
        Lines that say what the recipe is for.
    """
    values, schema = json.loads(settings.model_dump_json()), type(settings).model_json_schema()
    lines = [*_comment(heading), ""]
    sections = []
    for key, about in schema["properties"].items():
        section = _section(about, schema)
        if key in FILLED_IN or (key == "evaluator" and "training" in given):
            continue
        if section is None:
            lines += _entry(key, about, schema, given, values)
        else:
            sections += _recipe_section(key, section, schema, given, values)
    return "\n".join(lines + sections)


def _recipe_section(
    key: str, section: Mapping[str, Any], schema: Mapping[str, Any], given: Mapping[str, Any], values: Mapping[str, Any]
) -> list[str]:
    """The lines of a section; it stands where it is given or a recipe without it has it with its defaults."""
    there = values.get(key) is not None and (key in given or key not in ("training", "space"))
    lines = [*_comment(_prose(section["description"])), f"[{key}]" if there else f"# [{key}]", ""]
    for name, about in section["properties"].items():
        lines += _entry(name, about, schema, given.get(key, {}), values.get(key) or {})
    return lines


def _entry(
    key: str, about: Mapping[str, Any], schema: Mapping[str, Any], given: Mapping[str, Any], values: Mapping[str, Any]
) -> list[str]:
    """A key with what it means above; a comment, too, unless it is given."""
    default = values.get(key, about.get("default"))
    text = _NO_VALUE if default is None else json.dumps(default, ensure_ascii=False)
    line = f"{key} = {json.dumps(given[key], ensure_ascii=False)}" if key in given else f"# {key} = {text}"
    return [*_comment(f"{_prose(about['description'])} ({_kind(about, schema)})"), line, ""]


def _comment(text: str) -> list[str]:
    paragraphs = text.split("\n\n")
    return [f"## {line}" for one in paragraphs for line in textwrap.wrap(one, WIDTH - 3, break_on_hyphens=False)]


def _section(about: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema of a key that is a section of a recipe; None of any other."""
    for one in _alternatives(about):
        if "$ref" in one:
            found: Mapping[str, Any] = schema["$defs"][one["$ref"].rpartition("/")[2]]
            return found if re.fullmatch(r"\w+Settings|Found", found["title"]) else None  # and not a record
    return None


def _table(section: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, about in section["properties"].items():
        if _section(about, schema) is None:
            default = about.get("default")
            shown = "wanted" if "default" not in about else "" if default is None else f"`{json.dumps(default)}`"
            cells = (f"`{key}`", _kind(about, schema), shown, _prose(about["description"]))
            lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _alternatives(about: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (one for one in about.get("anyOf", [about]) if one.get("type") != "null")


def _kind(about: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """In words, what values a key has."""
    return " or ".join(_kind_of(one, schema) for one in _alternatives(about))


def _kind_of(about: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "enum" in about:
        return " or ".join(map(json.dumps, about["enum"]))
    if "$ref" in about:
        parts = schema["$defs"][about["$ref"].rpartition("/")[2]]["properties"]
        return "a table of " + ", ".join(parts)
    if about["type"] == "array":
        if "prefixItems" in about:
            return "[" + ", ".join(_kind(one, schema) for one in about["prefixItems"]) + "]"
        return f"list of {_kind(about['items'], schema)}"
    name = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text"}[about["type"]]
    limits = (("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"))
    return " ".join([name, *(f"{word} {about[limit]}" for limit, word in limits if limit in about)])


def _prose(text: str) -> str:
    """A docstring's text without what is for programmers: markup, and the errors that are raised."""
    text = inspect.cleandoc(text).partition("\n\nRaises\n")[0].strip()
    text = re.sub(r":\w+:`~?([\w.]+)`", r"`\1`", text).replace("``", "`")
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)
