"""Training on a user's data: the evaluator, the data and their splits, the model, and the trainer."""

from evaluators.training.data import Data
from evaluators.training.evaluator import TrainedAccuracy

__all__ = ["Data", "TrainedAccuracy"]
