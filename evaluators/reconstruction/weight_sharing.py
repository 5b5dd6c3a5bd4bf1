"""How well matrices whose weights share parameters reconstruct targets: HashedNets and CirCNN beside topologies.

Both are linear in their parameters, each of which stands at several places of the matrix, so that the best of them is
known without training: a parameter is the mean of the target's entries at its places, times their signs. Of independent
Gaussian targets they therefore explain the share of a dense matrix's parameters that they use; a hash leaves some
unused.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from topologies.models.circulant import block_of
from topologies.models.hashed import places_and_signs


def hashed_errors(targets: NDArray[np.floating], parameters: int, seed: int = 0) -> NDArray[np.float64]:
    """The least relative squared error of hashed weights at every target, shape ``(targets,)``.

    ``targets`` has shape ``(targets, n_in, n_out)``; parameters and hash are those of
    :class:`topologies.models.hashed.HashedLinear`.
    """
    entries = targets[0].size
    places, signs = places_and_signs(entries, min(parameters, entries), seed)
    return _errors(targets.reshape(len(targets), entries) * signs, places)


def circulant_errors(targets: NDArray[np.floating], parameters: int) -> NDArray[np.float64]:
    """The same of circulant blocks, as of :class:`topologies.models.circulant.BlockCirculantLinear`.

    Raises
    ------
    ValueError
        When one block has more parameters.
    """
    _, n_in, n_out = targets.shape
    block = block_of(n_in, n_out, parameters)
    i, j = np.indices((n_in, n_out))
    places = (i // block * -(-n_out // block) + j // block) * block + (j - i) % block
    return _errors(targets.reshape(len(targets), n_in * n_out), places.ravel())


def _errors(entries: NDArray[np.floating], places: NDArray[np.integer]) -> NDArray[np.float64]:
    """What is left of the squares of signed entries ``(targets, entries)`` once each has its parameter's mean."""
    counts = np.bincount(places)
    found = []
    for one in entries.astype(np.float64):
        means = np.bincount(places, one) / np.maximum(counts, 1)
        found.append(np.square(one - means[places]).sum() / np.square(one).sum())
    return np.array(found)
