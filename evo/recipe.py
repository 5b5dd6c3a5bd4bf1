"""Recipes as they are read, TOML and overrides to settings, with every mistake refused in one line; and as written."""

from __future__ import annotations

import copy
import difflib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from evo.kinds import check_kind
from evo.run_settings import RunSettings
from evo.settings import AS_BEGUN, Settings
from evo.shipped import recipe_file, shipped

_Recipe = TypeVar("_Recipe", bound=RunSettings)


def load(recipe: Path, overrides: Iterable[str] = ()) -> Settings:
    """Read a search's recipe; see :func:`load_as`."""
    return load_as(Settings, recipe, overrides)


def validate(values: dict[str, Any]) -> Settings:
    """A search's settings from plain values; see :func:`validate_as`."""
    return validate_as(Settings, values)


def as_begun(values: dict[str, Any]) -> Settings:
    """A search's settings from a journal's values, which are whole: files that they name may have changed or gone."""
    return validate_as(Settings, values, AS_BEGUN)


def load_as(model: type[_Recipe], recipe: Path, overrides: Iterable[str] = ()) -> _Recipe:
    """Read a recipe of any kind and apply ``key=value`` overrides, dotted for sections (``loop.generations=10``).

    A recipe that comes with evofabric is found by its name, see :func:`evo.shipped.recipe_file`.

    Raises
    ------
    ValueError
        In one line: a missing file, text that is not TOML, a recipe of another kind (with the command that takes it),
        an unknown key (with the nearest valid one), a bad value.
    """
    try:
        values = tomllib.loads(recipe_file(recipe).read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        beside = sorted(str(path) for path in recipe.parent.glob("*.toml"))
        there = f"there are {', '.join(beside)}; " if beside else ""
        raise ValueError(f"no recipe at {recipe}: {there}with evofabric come {', '.join(shipped())}") from None
    except OSError as error:
        raise ValueError(f"cannot read {recipe}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{recipe} is not TOML: {error}") from None
    try:
        return validate_as(model, overridden(values, overrides))
    except ValueError:
        check_kind(recipe, values, model.kind)
        raise


def validate_as(model: type[_Recipe], values: dict[str, Any], context: object = None) -> _Recipe:
    """Settings from plain values, with every mistake said in one line as a ValueError."""
    try:
        return model.model_validate(values, context=context)
    except ValidationError as error:
        raise ValueError("; ".join(_sentence(mistake, model) for mistake in error.errors())) from None


def overridden(values: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Plain values with ``key=value`` overrides applied, the later ones winning."""
    values = copy.deepcopy(values)
    for override in overrides:
        _apply(values, override)
    return values


def as_toml(values: Mapping[str, Any]) -> str:
    """Plain values as the text of a recipe: what is no section first, then the sections."""
    plain = [f"{key} = {_literal(value)}" for key, value in values.items() if not isinstance(value, Mapping)]
    parts = ["\n".join(plain)] if plain else []
    for key, value in values.items():
        if isinstance(value, Mapping):
            parts.append(f"[{key}]\n{as_toml(value)}".rstrip("\n"))
    return "\n\n".join(parts) + "\n"


def _literal(value: Any) -> str:
    """A value as TOML has it: JSON's form is TOML's, for strings, numbers, truth values and arrays of these."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals:
        raise ValueError(f"--set {override}: write key=value, for example --set budget=320")
    *sections, last = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ValueError(f"--set {override}: {section} is a value, not a section")
    try:
        values[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        values[last] = text.strip()


def _sentence(mistake: Any, model: type[BaseModel]) -> str:
    place = [str(part) for part in mistake["loc"]]
    if mistake["type"] == "extra_forbidden":
        return _unknown_key(place, model)
    message = mistake["msg"].removeprefix("Value error, ")
    given = "" if isinstance(mistake["input"], dict | BaseModel) else f" = {mistake['input']!r}"
    return f"{'.'.join(place)}{given}: {message}" if place else message


_RENAMED = {
    "loop.broods": "loop.generations",
    "loop.brood_size": "loop.offspring",
    "loop.lag": "loop.max_pending_generations",
    "fidelity.full_targets": "fidelity.validation_targets",
    "fidelity.full_steps": "fidelity.validation_steps",
    "fidelity.full_rates": "fidelity.validation_rates",
    "fidelity.held_out_targets": "fidelity.test_targets",
    "founders": "initial_population",
    "known": "reuse_from",
    "cluster.patience": "cluster.task_timeout",
    "specimens": "sample_size",
}
"""Keys of recipes of version 0.1, and what they are called since 0.2."""


def _unknown_key(place: list[str], model: type[BaseModel]) -> str:
    *section, wrong = place
    renamed = _RENAMED.get(".".join(place))
    if renamed is not None and renamed in _keys(model):
        return f"unknown key {'.'.join(place)!r}: since version 0.2 it is called {renamed!r}"
    here = [key for key in _keys(model) if key.split(".")[:-1] == section]
    elsewhere = [key for key in _keys(model) if key.split(".")[-1] == wrong]
    close = difflib.get_close_matches(wrong, [key.split(".")[-1] for key in here], 1)
    near = elsewhere or [".".join((*section, name)) for name in close]
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(here)}"
    return f"unknown key {'.'.join(place)!r}: {hint}"


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of a recipe, dotted; sections are keys too."""
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
