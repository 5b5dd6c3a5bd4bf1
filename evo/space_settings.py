"""What a recipe may say of where its inputs are, and what follows where it says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Literal

from pydantic import model_validator

from evo.section import Count, Section

_NUMBERS_A_PAIR = 3.6
"""Numbers of 64 bits that exist at a time for every pair of inputs, where near ones are put together (measured)."""


class SpaceSettings(Section):
    """Where inputs are, so that some are near each other, and whether every input has to reach every output."""

    input_shape: tuple[Count, ...] | None = None
    """Inputs are on a grid: ``[height, width]`` or ``[height, width, channels]``, row by row."""
    affinity: Literal["data", "none"] | None = None
    """Instead, "data": inputs are near each other that are correlated in the data. Where there is a section
    ``[training]`` with hidden widths this is the default; "none" leaves inputs without places."""
    connected: bool | None = None
    """Whether every input reaches every output. By default it must, but where there is a section ``[training]``: models
    of several layers of patches need not be connected in each."""

    @model_validator(mode="after")
    def _one_source(self) -> SpaceSettings:
        if self.input_shape is not None and self.affinity is not None:
            raise ValueError("input_shape and affinity exclude each other: both say where inputs are")
        if self.input_shape is not None and len(self.input_shape) > 3:
            raise ValueError(
                f"input_shape = {list(self.input_shape)}: [height, width] or [height, width, channels] is wanted"
            )
        return self

    def check(self, n_in: int, trains: bool) -> None:
        """Raise ValueError where this does not suit a recipe of so many inputs, which trains models on data or not."""
        if self.input_shape is not None and prod(self.input_shape) != n_in:
            told = " * ".join(map(str, self.input_shape))
            raise ValueError(f"space.input_shape: {told} = {prod(self.input_shape)}, but there are {n_in} inputs")
        if self.affinity == "data" and not trains:
            raise ValueError(
                'space.affinity = "data" needs a section [training] that names data; without, there is '
                "input_shape = [height, width]"
            )

    @staticmethod
    def check_memory(n_in: int) -> None:
        """Raise ValueError where there is too little memory to find out which of so many inputs are near each other."""
        from evaluators.training import memory

        needed, there_is = _NUMBERS_A_PAIR * 8 * n_in**2, memory.memory()
        if needed > there_is:
            raise ValueError(
                f"{n_in} inputs: which are near each other takes {needed / 2**30:.0f} GiB, and this machine has "
                f'{there_is / 2**30:.0f}: write affinity = "none" under [space], or --set space.affinity=none'
            )


def with_space(values: dict[str, Any], is_new: bool) -> dict[str, Any]:
    """A recipe's values with a section ``[space]`` where there is one or data are trained on, and all that follows.

    A new recipe is refused where the space does not fit into memory; that of a run may be read to report on it.
    """
    training, given = values.get("training"), values.get("space")
    if isinstance(given, SpaceSettings):
        given = given.model_dump()
    if given is None and training is not None:
        given = {}
    if not isinstance(given, Mapping):
        return values  # there is none, or it is said of the section
    hidden = training.get("hidden") if isinstance(training, Mapping) else getattr(training, "hidden", None)
    space = dict(given)
    if hidden is not None and space.get("input_shape") is None and space.get("affinity") is None:
        space["affinity"] = "data"
    if space.get("connected") is None:
        space["connected"] = training is None
    has_places = space.get("input_shape") is not None or space.get("affinity") == "data"
    if is_new and has_places and training is not None and isinstance(n_in := values.get("n_in"), int):
        SpaceSettings.check_memory(n_in)
    return values | {"space": space}
