"""Which layers of a model a pattern means, as PEFT reads them, and what it may have meant where it means none.

A pattern is a regular expression, which has to match a whole dotted name, or a list of suffixes, each of which has to
match a name's last parts as they stand: ``"fc1"`` matches ``blocks.0.mlp.fc1`` but not ``blocks.0.mlp.myfc1``. Unlike
in PEFT a pattern that matches a module takes all layers within it, too: ``"mlp"`` takes ``blocks.0.mlp.fc1``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial

ALL, ALL_LINEAR = "all", "all-linear"
"""Words that stand for all layers that have a sparse form, and for all linear ones."""

Patterns = str | Sequence[str]
_NEAR = 3


def chosen(patterns: Patterns, layers: Sequence[str], what: str) -> set[str]:
    """The names of the layers that patterns choose, of those of all layers.

    Raises
    ------
    ValueError
        Where a regular expression is none, or a pattern of ``what``, the argument's name, chooses no layer; the
        message names the nearest there are, or says how a string is written that was meant as an ending.
    """
    found = set()
    for pattern, matches in _tests(patterns, what):
        hits = {name for name in layers if any(matches(part) for part in _enclosing(name))}
        if not hits:
            instead = _as_an_ending(pattern, layers) if isinstance(patterns, str) else None
            raise ValueError(f"{what} {pattern!r} matches no layer of this model{instead or _near(pattern, layers)}")
        found |= hits
    return found


def _tests(patterns: Patterns, what: str) -> Iterable[tuple[str, Callable[[str], object]]]:
    """Every pattern, and whether it matches a name."""
    if isinstance(patterns, str):
        try:
            return [(patterns, re.compile(patterns).fullmatch)]
        except re.error as problem:
            raise ValueError(f"{what} {patterns!r} is no regular expression: {problem}") from None
    if not isinstance(patterns, Iterable) or not all(isinstance(one, str) and one for one in patterns):
        raise ValueError(f"{what} is {patterns!r}: a regular expression, or a list of names or their ends, is wanted")
    return [(one, partial(_ends_in, one)) for one in patterns]


def _ends_in(suffix: str, name: str) -> bool:
    return f".{name}".endswith(f".{suffix}")


def _enclosing(name: str) -> Iterable[str]:
    """A layer's name, and those of the modules it lies in, the model's own left out."""
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(len(parts), 0, -1))


def _as_an_ending(pattern: str, layers: Sequence[str]) -> str | None:
    """How to write a regular expression that would match as the ending of a name; None where it would not."""
    if not any(_ends_in(pattern, part) for name in layers for part in _enclosing(name)):
        return None
    return f': a string is a regular expression for a whole name, for all names that end so write ["{pattern}"]'


def _near(pattern: str, layers: Sequence[str]) -> str:
    """What is spelled nearly so: whole names, and their ends."""
    ends = {".".join(part.split(".")[-count:]) for name in layers for part in _enclosing(name) for count in (1, 2, 3)}
    plain = pattern.replace(r"\.", ".").replace(r"\d+", "0")
    near = difflib.get_close_matches(plain, sorted({*layers, *ends}), _NEAR, 0.5) or sorted(layers)[:_NEAR]
    return f"; near it are {', '.join(map(repr, near))}" if near else ": it has none that could be sparse"
