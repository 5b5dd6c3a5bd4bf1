"""The options ``-q`` and ``-v``, which every command has."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from evo.cli.terminal import be_quiet, be_verbose


def _if_given(act: Callable[[], None]) -> Callable[[bool], None]:
    def callback(given: bool) -> None:
        if given:
            act()

    return callback


_OPTIONS: dict[str, Any] = {
    "quiet": Annotated[
        bool,
        typer.Option("-q", "--quiet", callback=_if_given(be_quiet), help="Show results and warnings alone."),
    ],
    "verbose": Annotated[
        bool,
        typer.Option(
            "-v",
            "--verbose",
            callback=_if_given(be_verbose),
            help="Show what is logged, too, and where a mistake was found.",
        ),
    ],
}


def telling_as_much_as_wanted(command: Callable[..., None]) -> Callable[..., None]:
    """The command with two options more, which say how much it tells beside its results."""

    @wraps(command)
    def told(*, quiet: bool, verbose: bool, **given: Any) -> None:
        command(**given)

    known = get_type_hints(command, include_extras=True)
    signature = inspect.signature(command)
    own = [one.replace(annotation=known[name]) for name, one in signature.parameters.items()]
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
        for name, option in _OPTIONS.items()
    ]
    told.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
    told.__annotations__ = known | _OPTIONS
    return told
