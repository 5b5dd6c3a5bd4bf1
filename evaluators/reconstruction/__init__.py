"""The matrix-reconstruction task (paper, section V): the evaluator, its targets and schedule, and its kernels."""

from evaluators.reconstruction.evaluator import MatrixReconstruction
from evaluators.reconstruction.fit import FittedWeights, fit
from evaluators.reconstruction.own_targets import OwnTargets

__all__ = ["FittedWeights", "MatrixReconstruction", "OwnTargets", "fit"]
