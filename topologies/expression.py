"""Family expressions, such as ``clos(32, 8, 9, 8)``: text that names a topology wherever a file does.

The text is parsed, never evaluated: a family's name, then literal arguments by position or by name.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Collection, Mapping
from typing import Any

from topologies.families import FAMILIES, find
from topologies.families.arguments import nearest
from topologies.families.family import Family, call_text
from topologies.topology import Topology

_CALL = re.compile(r"\s*\w+\s*\(.*\)\s*", re.DOTALL)
_SIZES = ("n", "n_in", "n_out")  # what families call their numbers of inputs and outputs
_LONGEST = 200  # characters; nothing sensible is longer, and a parser can be choked


def is_expression(text: str) -> bool:
    """Whether ``text`` has the form of an expression, ``name(...)``, rather than of a file's name."""
    return _CALL.fullmatch(text) is not None


def parse(text: str, sizes: tuple[int, int] | None = None) -> Topology:
    """The topology that an expression names.

    ``sizes``, inputs and outputs, are those of the place that the topology is for. They stand in where the expression
    says nothing about sizes, as in ``butterfly(depth=8)``.

    Raises
    ------
    ValueError
        For anything but a family's name with literal arguments, an unknown family or parameter (the message names
        the nearest), a missing argument, or one that the family refuses.
    """
    name, arguments = read(text, sizes)
    try:
        return find(name).build(**arguments)
    except MemoryError:
        raise ValueError(f"{text}: a topology of this size does not fit in memory") from None


def read(text: str, sizes: tuple[int, int] | None = None) -> tuple[str, dict[str, Any]]:
    """The family's name and the arguments, by parameter name, of an expression; errors are those of :func:`parse`."""
    call = _call(text)
    chosen = find(call.func.id if isinstance(call.func, ast.Name) else ast.unparse(call.func))
    positional = [_literal(node, chosen) for node in call.args]
    named = [(keyword.arg or "**", _literal(keyword.value, chosen)) for keyword in call.keywords]
    return chosen.name, _bind(chosen, positional, named, sizes)


def render(name: str, arguments: Mapping[str, object]) -> str:
    """The canonical expression of a family and its arguments: ``parse`` undoes it."""
    return call_text(find(name).build, arguments)


def _call(text: str) -> ast.Call:
    """The syntax tree of one call."""
    try:
        tree = ast.parse(text.strip()[: _LONGEST + 1], mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if not isinstance(tree, ast.Call) or len(text) > _LONGEST:
        raise ValueError(f"{text[:60]!r} is not a family expression, such as {likely(text).example}")
    return tree


def likely(text: str) -> Family:
    """The family whose name is nearest to how ``text`` begins."""
    return find(nearest(text.strip().partition("(")[0], FAMILIES))


def _literal(node: ast.expr, chosen: Family) -> Any:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        written = ast.unparse(node)[:60]
        raise ValueError(f"{written!r} is not a literal: write numbers and tuples, as in {chosen.example}") from None
    return tuple(value) if isinstance(value, list) else value


def _bind(
    chosen: Family, positional: list[Any], named: list[tuple[str, Any]], sizes: tuple[int, int] | None
) -> dict[str, Any]:
    """The arguments by parameter name; the family's own checks see to their values, flags apart."""
    parameters = inspect.signature(chosen.build).parameters
    by_position = [name for name, parameter in parameters.items() if parameter.kind is not parameter.KEYWORD_ONLY]
    if len(positional) > len(by_position):
        names = ", ".join(by_position)
        raise ValueError(
            f"{chosen.name} takes {len(by_position)} arguments by position ({names}), not {len(positional)}"
        )
    arguments = dict(zip(by_position, positional, strict=False))
    for name, value in named:
        if name not in parameters:
            raise ValueError(f"{chosen.name} has no parameter {name!r}, the nearest is {nearest(name, parameters)!r}")
        if name in arguments:
            raise ValueError(f"{chosen.name}: {name} is given twice")
        arguments[name] = value
    if sizes is not None and arguments.keys().isdisjoint(_SIZES):
        arguments |= _size_arguments(parameters, *sizes)
    missing = [name for name, p in parameters.items() if p.default is p.empty and name not in arguments]
    if missing:
        raise ValueError(f"{chosen.name} lacks {', '.join(missing)}: write it as in {chosen.example}")
    for name, value in arguments.items():
        if isinstance(parameters[name].default, bool) and not isinstance(value, bool):
            raise ValueError(f"{chosen.name}: {name} is {value!r}: True or False is wanted")
    return arguments


def _size_arguments(parameters: Collection[str], n_in: int, n_out: int) -> dict[str, int]:
    """A family's own arguments for these sizes."""
    if "n" not in parameters:
        return {"n_in": n_in, "n_out": n_out}
    return {"n": n_in} if n_in == n_out else {"n": n_in, "n_out": n_out}
