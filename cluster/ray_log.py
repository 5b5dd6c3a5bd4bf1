"""What the nodes of a cluster say of processes that were to become workers and died before they could tell.

Ray sends every line that such a process, or the shell that starts it, writes to its standard error to whoever listens.
It is kept here, by node, so that an error can name what workers die of.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from cluster.ray_resources import Share, nodes_with_room

_log = logging.getLogger(__name__)

_DEAD = re.compile(r"(ba|da|z)?sh: |.* The process is dead")
"""What a shell says that cannot start a program, and a node of a process that should long have been a worker."""
_OF_RAY = re.compile(r"\[.*\] \(raylet\) ")
"""How a node's own lines begin."""


@dataclass(frozen=True)
class _Words:
    """The last line that a node's processes said before they were workers, and when one came."""

    line: str
    moment: float
    dead: bool
    """Whether such a process is known to have died."""


_last: dict[str, _Words] = {}
"""By the address of the node."""


def listen() -> None:
    """Have what Ray would print kept or written to our log; call it before Ray is connected, with ``log_to_driver``.

    Ray knows no public switch for that.
    """
    import ray._private.worker as private

    if hasattr(private, "print_to_stdstream"):
        private.print_to_stdstream = _hear
    _last.clear()


def last_words(since: float) -> str | None:
    """What the nodes said last, where they said anything since a moment of the monotonic clock."""
    recent = {address: words.line for address, words in _last.items() if words.moment >= since}
    return _told(recent) if recent else None


def dead_everywhere(share: Share) -> str | None:
    """What was said on the nodes if, on every one that has room for a worker, a process is known to have died."""
    dead = {address: words.line for address, words in _last.items() if words.dead}
    with_room = nodes_with_room(share)
    return _told(dead) if with_room and with_room <= dead.keys() else None


def _told(lines: Mapping[str, str]) -> str:
    """The nodes' lines as one, equal ones once."""
    places: dict[str, list[str]] = {}
    for address, line in lines.items():
        places.setdefault(line, []).append(address)
    return "; ".join(f"{', '.join(addresses)}: {line}" for line, addresses in places.items())


def _hear(data: Mapping[str, Any], *_: object, **__: object) -> None:
    """Take lines that Ray would print: of workers, which are no concern of ours, of nodes and of Ray itself."""
    lines = [line.strip() for line in data.get("lines", ()) if line.strip()]
    if data.get("pid") != "raylet" or not lines:
        return
    _log.info("Ray: %s", lines)
    if not data.get("is_err"):
        return
    address, said = data["ip"], [line for line in lines if not _OF_RAY.match(line)]
    before = _last.get(address)
    line = said[-1] if said else before.line if before else lines[-1]
    dead = any(map(_DEAD.match, lines)) or bool(before and before.dead)
    _last[address] = _Words(shorten(line, 300, placeholder=" ..."), time.monotonic(), dead)
