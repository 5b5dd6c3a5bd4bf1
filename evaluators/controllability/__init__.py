"""Controllability (paper, section VI): the evaluator, the model behind it, and what bounds and certifies it."""

from evaluators.controllability.evaluator import Controllability

__all__ = ["Controllability"]
