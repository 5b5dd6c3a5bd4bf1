"""How carefully a recipe has candidates and finalists scored."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from evaluators.task import Fidelity, Score
from evo.section import Count, Section


def _positive_rates(rates: tuple[float, ...]) -> tuple[float, ...]:
    if not rates or any(not 0 < rate < float("inf") for rate in rates):
        raise ValueError("at least one rate, each positive and finite")
    return rates


Rates = Annotated[tuple[float, ...], AfterValidator(_positive_rates)]


def _decays(decays: tuple[float, ...]) -> tuple[float, ...]:
    if not decays or any(not 0 <= decay < float("inf") for decay in decays):
        raise ValueError("at least one weight decay, none negative or infinite")
    return decays


Decays = Annotated[tuple[float, ...], AfterValidator(_decays)]


class FidelitySettings(Section):
    """How carefully candidates are scored while searching, and the last few at the end.

    Where a recipe has a section ``[training]``, *targets* are trainings, each from its own seed, and *steps* are
    epochs, and the defaults are others: targets 1, steps 4, rates 0.003, 0.01, 0.03, race_targets 3, validation_targets
    3, validation_steps 16, validation_rates as rates, validation_weight_decays 0, 0.1, 0.3, and test_targets 5 or the
    number of folds. Of several targets of your own each counts once: there, the defaults are as many as there are of
    each part, where those are fewer. Of a single one *targets* are random starts of its fit, by default 1, race_targets
    2, validation_targets 2, and test_targets 8.
    """

    targets: Count = 8
    """Targets that every candidate is scored on; its error is their mean."""
    steps: Count = 1200
    """Training steps on every target."""
    rates: Rates = (0.6, 1.2, 2.4, 4.8)
    """Learning rates. At these steps no family gains 3 % by others (tests/benchmarks/fidelity.py)."""
    weight_decays: Decays = (0.0,)
    """Weight decays, each tried with every rate where models are trained; reconstruction has none."""
    inherit_rates: bool = True
    """Whether offspring are trained at their parent's best rate and weight decay, or a neighbour of it, instead of at
    every one of the grid."""
    race_targets: Count = 32
    """A candidate that would join the elite is promoted: scored on this many targets, at the rate it chose."""
    validation_targets: Count = 16
    """Targets on which finalists are ranked; the best of them on four times as many."""
    validation_steps: Count = 2000
    """Training steps of the finalists, and of the rows of the final table."""
    validation_rates: Rates = (0.15, 0.3, 0.6, 1.0, 1.6, 2.4, 4.8)
    """Learning rates that every finalist is tried with."""
    validation_weight_decays: Decays = (0.0,)
    """Weight decays that every finalist is tried with, as ``weight_decays``."""
    test_targets: Annotated[int, Field(ge=2)] = 128
    """Targets of the final table, on which nothing is chosen."""
    finalists: Count = 8
    """Candidates of each kind that are ranked again at full fidelity on the validation targets."""

    @model_validator(mode="after")
    def _promoted_to_more(self) -> FidelitySettings:
        if self.race_targets < self.targets:
            raise ValueError(f"race_targets = {self.race_targets}: at least targets = {self.targets}, which all have")
        return self

    @property
    def search(self) -> Fidelity:
        """The fidelity of every candidate, on the search targets."""
        return Fidelity(self.targets, self.steps, self.rates, self.weight_decays)

    @property
    def validation(self) -> Fidelity:
        """The fidelity of the finalists, on the validation targets."""
        rates, decays = self.validation_rates, self.validation_weight_decays
        return Fidelity(self.validation_targets, self.validation_steps, rates, decays)

    def test(self, chosen: Score | None) -> Fidelity:
        """The fidelity of the rows of the final table, on the test targets, at what a score chose before."""
        return self.validation.promoted(self.test_targets, chosen)
