"""What is said where a library is missing that a light installation does not bring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_OURS = ("topologies", "evaluators", "cluster", "evo")


@contextmanager
def needed_by(what: str, extra: str = "search") -> Iterator[None]:
    """Import something for what needs more than a light installation, which one of evofabric's extras brings.

    Raises
    ------
    ModuleNotFoundError
        In one line that says what to install, where a library is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in _OURS or "pip install" in str(error):
            raise
        told = f"{what} needs {error.name}, which is not installed: pip install 'evofabric[{extra}]'"
        raise ModuleNotFoundError(told, name=error.name) from None
