"""Where a topology came from, as files and records tell it: plain JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import metadata
from typing import Any


def _installed_version() -> str | None:
    try:
        return metadata.version("evofabric")
    except metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True)
class Provenance:
    """Where a topology came from. Every field may be left out; values are kept as JSON gives them back.

    Parameters
    ----------
    recipe:
        Whatever the topology can be made from again: a search's resolved settings, or ``"clos(32, 8, 9, 8)"``.
    seed:
        The search seed.
    scores:
        Measured scores by name.
    parents:
        Digests of the topologies it was bred from.
    package_version:
        Version of evofabric that made it; the installed one unless told otherwise.
    extra:
        Anything else, by names other than those above. A reader keeps what it does not know here.

    Raises
    ------
    ValueError
        For what JSON cannot hold (arrays, NaN, infinities), or a name in ``extra`` that is a field's.
    """

    recipe: Any = None
    seed: int | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)
    parents: Sequence[str] = ()
    package_version: str | None = field(default_factory=_installed_version)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [each.name for each in fields(self)]
        for name in names:
            object.__setattr__(self, name, _as_json(getattr(self, name), name))
        if not (isinstance(self.scores, dict) and isinstance(self.extra, dict)):
            raise ValueError("provenance: scores and extra are mappings from names to values")
        if not (isinstance(self.parents, list) and all(isinstance(parent, str) for parent in self.parents)):
            raise ValueError("provenance: parents are a sequence of digests")
        if clash := self.extra.keys() & names:
            raise ValueError(f"provenance: {min(clash)} is a field of its own, not an extra")
        object.__setattr__(self, "parents", tuple(self.parents))

    def to_json(self) -> str:
        """One line of JSON, keys sorted, the extra names beside the fields."""
        known = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "extra"}
        return json.dumps({**self.extra, **known}, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @staticmethod
    def from_json(text: str) -> Provenance:
        """The provenance that :meth:`to_json` wrote; a field that is missing was left out."""
        extra = parse_json(text)
        if not isinstance(extra, dict):
            raise ValueError("provenance is not a JSON object")
        known = ({each.name for each in fields(Provenance)} - {"extra"}) & extra.keys()
        mine = {"package_version": None} | {name: extra.pop(name) for name in known}
        return Provenance(**mine, extra=extra)


def _as_json(value: Any, name: str) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as problem:
        raise ValueError(f"provenance: {name} cannot be written as JSON ({problem})") from problem


def parse_json(text: str) -> Any:
    """The value of a JSON text; ValueError for what is none, or too deep to read."""
    try:
        return json.loads(text)
    except RecursionError as problem:
        raise ValueError("JSON nested too deeply") from problem
