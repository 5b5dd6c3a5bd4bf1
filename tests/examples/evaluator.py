"""Search by an evaluator of your own, a plain function: which topology keeps signals of one size, layer by layer?"""

import numpy as np

import evo
from evaluators import Fidelity, Score, Split
from evaluators.testing import check_evaluator
from topologies import Topology


def uneven(topology: Topology, fidelity: Fidelity, split: Split, seed: int) -> Score:
    """How unequal the sizes of the outputs are, for weights that are drawn anew for every target."""
    draw = np.random.default_rng([seed, *split.encode()])  # everything random comes from `seed`
    errors = []
    for _ in range(fidelity.targets):
        signal = draw.normal(size=(64, topology.n_in))
        for mask in topology.masks():
            signal = signal @ (draw.normal(size=mask.shape) * (mask == 1) + (mask == 2))
        sizes = signal.std(axis=0)
        errors.append(sizes.std() / (sizes.mean() + 1e-9))
    return Score(errors)  # one error for every target; lower is better


if __name__ == "__main__":
    check_evaluator(uneven)
    settings = evo.Settings(
        n_in=8,
        n_out=8,
        budget=40,
        loop={"generations": 4},
        fidelity={"validation_steps": 1, "test_targets": 8, "steps": 1},
        tuning={"trials": 4},
        cluster={"pool": "in-process"},
    )
    result = evo.search(settings, uneven)
    print(result)
    print(result.to_frame()[["error", "n_trainable", "depth"]])
