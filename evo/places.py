"""What a recipe says of a model with several places: their sizes, and which hidden widths are free."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import Field, model_validator

from evo.section import Count, Section
from topologies.stack import Layout, Sizes, size_text

Ends = Annotated[tuple[Annotated[int, Field(ge=2)], Annotated[int, Field(ge=2)]], "inputs and outputs"]


class PlaceSettings(Section):
    """The places of a model, in order. They follow from a section ``[training]``, or are given beside an evaluator of
    the user's own that scores stacks (:class:`topologies.stack.Stack`)."""

    sizes: Annotated[tuple[Ends, ...], Field(min_length=1)]
    """Inputs and outputs of every place."""
    widths: tuple[tuple[Count, Count], ...] = ()
    """Where hidden widths are free, the least and the greatest number of outputs of every place."""
    outputs: Count | None = None
    """Of the dense head behind the last place, where the model is ours."""

    @model_validator(mode="after")
    def _widths_fit(self) -> PlaceSettings:
        chained = all(before[1] == after[0] for before, after in pairwise(self.sizes))
        if self.widths and (len(self.widths) != len(self.sizes) or not chained):
            raise ValueError("widths are of places in a chain, a least and a greatest one for each")
        if self.widths and not self.layout.of_widths([size[1] for size in self.sizes]) == self.sizes:
            raise ValueError("widths: the outputs of every place lie between its least and its greatest")
        return self

    @property
    def layout(self) -> Layout:
        """Which sizes a stack for the model may have."""
        return Layout(self.sizes, self.widths)

    def check(self, name: str, sizes: Sizes) -> None:
        """Raise ValueError where what is called so has other sizes than a stack for the model may have."""
        if not self.layout.admits(sizes):
            raise ValueError(f"{name!r} is {size_text(sizes)}, the recipe {size_text(self.sizes)}")

    def about_widths(self, sizes: Sizes) -> str:
        """What hidden widths cost beside the budget, where they are free: biases, and the weights of the head."""
        if not self.widths:
            return ""
        biases = sum(n_out for _, n_out in sizes)
        head = "" if self.outputs is None else f", head {(sizes[-1][1] + 1) * self.outputs}"
        return f"widths {'-'.join(str(n_out) for _, n_out in sizes)}, biases {biases}{head}"
