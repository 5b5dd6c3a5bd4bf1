"""Cross-validation on small data: so that a final table is not about a handful of test examples.

What is tested once each are the examples of the training and of the test part. Those of the search and of the
validation part, by whose errors topologies, rates and weight decays were chosen, are trained on in every fold and never
tested on. The examples of the training part are tested on, though the search has trained on them, inputs are
standardised by them, and which inputs are near each other may be worked out from them: nothing was chosen by their
errors, but the topology has seen them. Parts of a draw lie within those of all data, so all of this is true of folds of
all data and of a topology from a search on a draw, too.
"""

from __future__ import annotations

import numpy as np

from evaluators.rng import generator
from evaluators.training.data import Data, Part

FEWEST, MOST = 2, 20
"""Folds."""


def fold_of(data: Data, folds: int, index: int) -> tuple[Part, Part]:
    """What the model of a fold is trained on, and what it is tested on.

    Raises
    ------
    ValueError
        When there is no such fold.
    """
    if not 0 <= index < folds:
        raise ValueError(f"there are {folds} folds, so {folds} test trainings: none has the number {index}")
    order = generator(0, "data", "folds").permutation(len(data.train) + len(data.test))
    tested = order[index::folds]
    x, y = (np.concatenate([getattr(part, name) for part in (data.train, data.test)]) for name in "xy")
    trained = np.setdiff1d(order, tested)
    always = (data.search, data.validation)
    return (
        Part(
            np.concatenate([x[trained], *(one.x for one in always)]),
            np.concatenate([y[trained], *(one.y for one in always)]),
        ),
        Part(x[tested], y[tested]),
    )
