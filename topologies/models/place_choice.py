"""Which place of a stack a layer gets: the places go, in order, to the layers of their sizes."""

from __future__ import annotations

from collections.abc import Sequence

from topologies.kernel.way import predicted_time
from topologies.models.changes import Change, Skip
from topologies.models.choice import ROWS, Choice
from topologies.models.matrices import Matrix
from topologies.stack import Stack


class PlaceChooser:
    """Hands the places of a stack out to the layers of a model, asked in the order of the model.

    The next place goes to the next layer of its size; layers between them are left as they are.
    """

    def __init__(self, stack: Stack, only_if_faster: bool) -> None:
        self._stack, self._only_if_faster = stack, only_if_faster
        self._given = 0

    def choice(self, matrix: Matrix) -> tuple[Matrix, Choice] | str:
        """The topology of the next layer's matrix, or the reason why it gets none."""
        n_in, n_out = matrix.n_in, matrix.n_out
        if self._given == len(self._stack.places):
            return f"all {self._given} places of the stack went to layers before it"
        place = self._stack.places[self._given]
        if (place.n_in, place.n_out) != (n_in, n_out):
            return f"it is {n_in} x {n_out}, and the stack's place {self._given + 1} is {place.n_in} x {place.n_out}"
        self._given += 1
        time = predicted_time(place, ROWS)
        if self._only_if_faster and time >= 1:
            return f"it would train no faster: {time:.2f} of the dense layer's time is predicted"
        return matrix, Choice(place, f"place {self._given} of {len(self._stack.places)}", time, 0.0)

    def check_all_given(self, entries: Sequence[Change | Skip]) -> None:
        """Raise ValueError where a place found no layer, which names it and the layers there were."""
        if self._given == len(self._stack.places):
            return
        place = self._stack.places[self._given]
        left = [f"{entry.names[0]}: {entry.reason}" for entry in entries if isinstance(entry, Skip)]
        why = f"; {left[0]}" + (f"; and {len(left) - 1} others" if len(left) > 1 else "") if left else ""
        raise ValueError(
            f"place {self._given + 1} of the stack's {len(self._stack.places)} finds no layer of "
            f"{place.n_in} x {place.n_out} in this model{why}"
        )
