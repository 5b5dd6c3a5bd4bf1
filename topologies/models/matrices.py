"""The matrices of a layer that become cascades, and which topology each gets where there are several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from topologies.names import Source, at_sizes
from topologies.topology import Topology


@dataclass(frozen=True)
class Matrix:
    """One matrix of a dense layer that becomes a cascade.

    Parameters
    ----------
    path:
        Where its cascade stands in the sparse module; "" where that is the cascade itself.
    n_in, n_out:
        Sizes of the cascade.
    n_dense:
        Weights of the dense layer that it stands for.
    n_beside:
        Weights that the sparse form has beside the edges: the depthwise filters of a convolution.
    is_folded:
        Whether the cascade is multiplied out at every call, so that it saves weights and no time.
    """

    path: str
    n_in: int
    n_out: int
    n_dense: int
    n_beside: int = 0
    is_folded: bool = False

    def within(self, budget: int) -> Matrix:
        """The same for a budget of weights: of a convolution, with as many filters a channel as leave most to mix.

        n filters a channel take n k² c weights of the budget, and what mixes them has at most n c c_out.
        """
        if not self.n_beside:
            return self
        even = budget // (self.n_beside + self.n_in * self.n_out)
        multiplier = max(
            (max(1, even), even + 1), key=lambda n: min(budget - n * self.n_beside, n * self.n_in * self.n_out)
        )
        return replace(self, n_in=multiplier * self.n_in, n_beside=multiplier * self.n_beside)

    def fits(self, n_in: int, n_out: int) -> bool:
        """Whether a cascade of these sizes can stand for the matrix: a convolution's may have several filters each."""
        return n_out == self.n_out and (n_in == self.n_in or (self.n_beside > 0 and n_in % self.n_in == 0))


def assigned(topology: Source | Mapping[str, Source], sizes: Mapping[str, tuple[int, int]]) -> dict[str, Topology]:
    """A topology for each of several matrices.

    Parameters
    ----------
    topology:
        One for all matrices; or several by the names of matrices, which may hold ``*`` and ``?``: each matrix takes
        the first that matches.
    sizes:
        Inputs and outputs of each matrix by its name.

    Raises
    ------
    ValueError
        When a matrix is left without a topology, a name matches none, or a topology has other sizes.
    """
    sources = topology if isinstance(topology, Mapping) else {"*": topology}
    result, used = {}, set()
    for name, (n_in, n_out) in sizes.items():
        pattern = next((pattern for pattern in sources if fnmatchcase(name, pattern)), None)
        if pattern is None:
            raise ValueError(f"no topology is given for {name}: the names of the matrices are {', '.join(sizes)}")
        used.add(pattern)
        try:
            result[name] = at_sizes(sources[pattern], n_in, n_out).topology
        except ValueError as problem:
            raise type(problem)(f"{name}: {problem}") from None
    if unused := [pattern for pattern in sources if pattern not in used]:
        raise ValueError(f"{unused[0]!r} is the name of no matrix, or of none that is left: {', '.join(sizes)}")
    return result
