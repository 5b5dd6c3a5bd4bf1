"""Search on a Ray cluster: here one that starts on this machine, elsewhere the one whose address you give."""

import sys

import evo

settings = evo.Settings(
    n_in=8,
    n_out=8,
    budget=40,
    loop={"generations": 2},
    fidelity={"targets": 2, "steps": 20, "validation_targets": 2, "validation_steps": 20, "test_targets": 4},
    tuning={"trials": 4},
    cluster={"address": sys.argv[1] if len(sys.argv) > 1 else None, "workers": 2},  # "auto" or HOST:PORT
)
result = evo.search(settings)
print(result)
print(f"the same on any number of workers: {result.digest}")
