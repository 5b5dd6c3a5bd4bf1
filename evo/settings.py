"""What a recipe may say: everything that decides what a search does, checked before anything starts."""

from __future__ import annotations

from math import prod
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from evaluators.proxies.registry import CONTROL, check
from evo.fidelity_settings import FidelitySettings
from evo.own_data import RECONSTRUCTION, TRAINING, Found, TrainingSettings, completed
from evo.places import PlaceSettings
from evo.run_settings import RunSettings
from evo.section import Count, Section
from evo.space_settings import SpaceSettings, with_space
from evo.stages import NAME_OR_SHORT, check_search_by, whole_name
from topologies.stack import Layout, Sizes, size_text

Proxy = Annotated[str, AfterValidator(check)]

AS_BEGUN = object()
"""The context in which a journal's recipe is read as it stands, whether or not the files that it names are there."""


class BoundSettings(Section):
    """Limits on candidates; what is left out is the tuned baseline's own depth, width or edges."""

    max_depth: Count | None = None
    """Layers from an input to an output, at most."""
    max_width: Count | None = None
    """Neurons of a layer, at most."""
    max_edges: Count | None = None
    """Edges of all layers, trainable and constant, at most."""


class LoopSettings(Section):
    """The size of the search: ``generations`` of ``offspring`` candidates each, after the initial population."""

    generations: Annotated[int, Field(ge=0)] = 160
    """Generations after the initial population."""
    offspring: Count = 8
    """Candidates of a generation. Of equally many, small generations find more (tests/benchmarks/asynchrony.py)."""
    population: Annotated[int, Field(ge=4)] = 48
    """Candidates among which parents are chosen."""
    max_pending_generations: Count = 4
    """Generations that are evaluated at a time; with 1, each is bred from all that came before. Workers are busy while
    ``(max_pending_generations - 1) * offspring`` is at least three times their number: by default up to eight
    (tests/benchmarks/overhead.py)."""


_FEWEST_EPOCHS = 2
"""Below these, ranks of trained models are worthless."""


class TuningSettings(Section):
    """How the hand-derived families are tuned."""

    trials: Count = 64
    """Every member is tried where there are at most this many; above, TPE chooses this many, beginning
    with the one that the family chooses by itself."""


class Settings(RunSettings):
    """A search's recipe. ``n_in``, ``n_out`` and ``budget`` say what is wanted; everything else has a default.

    Where there are data to train on, or targets of the user's own, the sizes follow from them and may be left out.
    """

    budget: int = 640
    """Trainable edges, of all places of a model together."""
    places: PlaceSettings | None = None
    """Of a model with several layers to be made sparse; filled in where they follow from ``[training]``."""
    training: TrainingSettings | None = None
    """Data, and a model to be trained on them: candidates are then scored by its error on examples not trained on."""
    targets: str | None = None
    """Matrices of your own to be reconstructed: ``"layers.safetensors:blocks.*.mlp.fc1.weight"``, or an ``.npz``
    file."""
    transpose_targets: bool | None = None
    """Whether they are (outputs, inputs). By default those of .safetensors files are, as PyTorch keeps weights, and
    those of .npz files are (inputs, outputs)."""
    space: SpaceSettings | None = None
    """Where inputs are, so that the search can join near ones, and whether layers have to be connected."""
    found: Found | None = None
    """Of the data or targets, filled in when they are read: a run goes on with those alone that it was begun with."""
    initial_population: tuple[str, ...] = ()
    """Topologies of the user's own to start from: files, runs' folders or family expressions."""
    baseline: str | None = None
    """The topology to beat, a file or expression; by default the tuned parallel butterfly."""
    objectives: tuple[Proxy, ...] = ()
    """Proxies that the search wants small beside the error; edges are a limit, see ``[bounds]``."""
    controllability: bool = True
    """Whether the total and the unfairness of uniform K are noted of every candidate; nothing is chosen by them."""
    search_by: Annotated[str, Field(pattern=NAME_OR_SHORT)] | None = None
    """Another evaluator for candidates, "reconstruction" or ``package.module:Class``: then ``evaluator``, or
    ``[training]``, ranks and tests the finalists alone."""
    bounds: BoundSettings = BoundSettings()
    """Limits on candidates."""
    loop: LoopSettings = LoopSettings()
    """The size of the search."""
    fidelity: FidelitySettings = FidelitySettings()
    """How carefully candidates are scored."""
    tuning: TuningSettings = TuningSettings()
    """How the hand-derived families are tuned."""

    @property
    def label(self) -> str:
        """What the folders of the recipe's runs begin with."""
        return f"{self.name}-{size_text(self.sizes)}-b{self.budget}-s{self.seed}"

    @property
    def sizes(self) -> Sizes:
        """Inputs and outputs of every place of the model."""
        return self.places.sizes if self.places else ((self.n_in, self.n_out),)

    @property
    def layout(self) -> Layout | None:
        """Which sizes stacks may have; None where topologies are of one size and no stacks."""
        return self.places.layout if self.places else None

    @property
    def is_cross_validated(self) -> bool:
        """Whether the final table's errors are those of folds."""
        return self.training is not None and self.training.folds is not None

    @property
    def retrains(self) -> bool:
        """Whether the best of evolution are trained afresh in the end: where candidates are trained."""
        return self.training is not None and self.search_by is None

    @property
    def trains_dense(self) -> bool:
        """Whether dense layers have a row: their best rates are smaller, so a grid of a single one would belie them."""
        return self.training is not None and self.training.dense and len(self.fidelity.validation_rates) > 1

    @property
    def topologies(self) -> tuple[str, ...]:
        """Names of the topologies of the initial population and of the baseline."""
        return (*self.initial_population, *filter(None, [self.baseline]))

    @property
    def noted(self) -> tuple[str, ...]:
        """Proxies that are noted of whatever is evaluated, and decide nothing."""
        return CONTROL if self.controllability else ()

    @property
    def searched_by(self) -> str:
        """The name of the evaluator that scores candidates."""
        return self.evaluator if self.search_by is None else whole_name(self.search_by)

    @model_validator(mode="before")
    @classmethod
    def _follow_from_files(cls, values: Any, info: ValidationInfo) -> Any:
        """Sizes, fingerprint and defaults that follow from the data or targets that a recipe names."""
        if not isinstance(values, dict):
            return values
        whole = values if info.context is AS_BEGUN else completed(values)
        return with_space(whole, is_new=values.get("found") is None)

    @model_validator(mode="after")
    def _fits_the_evaluator(self) -> Settings:
        fidelity = self.fidelity
        if self.training is None and self.evaluator == TRAINING:
            raise ValueError(f"evaluator = {TRAINING!r} needs a section [training] that says what to train on")
        check_search_by(self.search_by, self.evaluator, self.targets)
        epochs = [fidelity.validation_steps, *([fidelity.steps] if self.search_by is None else [])]
        if self.training is not None and min(epochs) < _FEWEST_EPOCHS:
            raise ValueError(
                "fidelity.steps: with [training] these are epochs, and ranks after a single one mean nothing"
            )
        if self.evaluator == RECONSTRUCTION and self.places is not None:
            raise ValueError("places: reconstruction is of one place, a model with several is trained, see [training]")
        if self.searched_by == RECONSTRUCTION and self.places is not None and self.places.widths:
            raise ValueError(
                "training.free_widths: errors of reconstruction cannot be compared between layers of other widths, so "
                "leave it out, or search_by"
            )
        of_search, of_finalists = fidelity.weight_decays, fidelity.validation_weight_decays
        used = ((self.searched_by, of_search), (self.evaluator, of_finalists))
        if any(name == RECONSTRUCTION and set(decays) != {0.0} for name, decays in used):
            raise ValueError("fidelity.weight_decays: reconstruction has no weight decay, leave them out")
        return self

    @property
    def connected(self) -> bool:
        """Whether every input of a candidate has to reach every output."""
        return self.space is None or self.space.connected is not False

    @model_validator(mode="after")
    def _budget_fits(self) -> Settings:
        if self.space is not None:
            self.space.check(self.n_in, self.training is not None)
        most = sum(map(prod, self.sizes))
        least, told = sum(map(sum, self.sizes)), "n_in + n_out"
        if not self.connected:
            least, told = sum(map(max, self.sizes)), "the greater of n_in and n_out"
        if not min(least, most) <= self.budget <= most:
            size = "this size" if self.places is None else f"the {len(self.sizes)} places together"
            raise ValueError(f"budget = {self.budget}: between {told} = {least} and n_in * n_out = {most} for {size}")
        if self.bounds.max_edges is not None and self.bounds.max_edges < self.budget:
            raise ValueError(f"bounds.max_edges = {self.bounds.max_edges}: at least budget = {self.budget}")
        return self
