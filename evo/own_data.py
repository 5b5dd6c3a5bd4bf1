"""What a recipe names of the user's own, data to train on or matrices to fit, and what follows from them.

Sizes, fingerprint and defaults are filled in before a recipe's values are checked, so that everything behind sees a
whole recipe; and a journal's recipe, which has all of them, is compared with the files as they are now.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from evaluators.task import Split
from evo.fidelity_settings import FidelitySettings
from evo.section import NAME, Count, Section

if TYPE_CHECKING:
    from evaluators.reconstruction.own_targets import OwnTargets

RECONSTRUCTION = "evaluators.reconstruction:MatrixReconstruction"
TRAINING = "evaluators.training:TrainedAccuracy"
"""The evaluator of recipes that have a section ``[training]``."""


TRAINING_FIDELITY: Mapping[str, Any] = {
    "targets": 1,
    "steps": 4,
    "rates": (0.003, 0.01, 0.03),
    "race_targets": 3,
    "validation_targets": 3,
    "validation_steps": 16,
    "validation_rates": (0.003, 0.01, 0.03),
    "validation_weight_decays": (0.0, 0.1, 0.3),
    "test_targets": 5,
}
"""Defaults where models are trained. Four epochs rank topologies as sixteen do (rank correlation 0.8 to 0.9), one does
not; fewer epochs on all examples rank better than more on fewer examples."""


OF_SEARCH = ("targets", "steps", "rates", "weight_decays", "race_targets")
"""Keys of ``[fidelity]`` that are about the scores of candidates; the others are about those of finalists."""

FEWEST_EXAMPLES = 100
"""To which data may be cut."""


class TrainingSettings(Section):
    """A user's data, and the model that is trained on them with a candidate's cascades as its layers.

    Its error is the share of wrong answers, or where y are quantities of their variance that is not explained.
    """

    data: str
    """An ``.npz`` file with x_train, y_train and perhaps x_test, y_test; or "digits" (scikit-learn's)."""
    task: Literal["classification", "regression"] | None = None
    """What y is, where the data alone do not tell."""
    hidden: tuple[Count, ...] | None = None
    """Widths of the hidden layers, whose weight matrices are the cascades."""
    free_widths: bool = False
    """Whether the search may change those widths, too, at the same budget of trainable edges."""
    width_reach: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(ge=1)]] = (0.5, 4.0)
    """How far it may: from the first to the second multiple of each."""
    model: Annotated[str, Field(pattern=NAME)] | None = None
    """Instead, a function ``package.module:function`` of your own: ``(cascades, outputs) -> torch.nn.Module``, given a
    list of cascades. Its inputs are flat, ``(batch, inputs)``."""
    sizes: tuple[tuple[Count, Count], ...] = ()
    """Inputs and outputs of the cascades that a model of your own takes, in order; by default one of n_in x n_out."""
    batch_size: Count | None = None
    """By default 256, or fewer where that makes less than 25 steps an epoch."""
    folds: Annotated[int, Field(ge=2, le=20)] | None = None
    """Folds of a cross-validation that takes the place of the test part, for small data: there is one test training a
    fold, and together they test every example once by whose error nothing was chosen
    (:mod:`evaluators.training.folds`)."""
    examples: Annotated[int, Field(ge=FEWEST_EXAMPLES)] | None = None
    """At most so many examples of x_train, and as many of x_test, are taken at random; by default all. What is for test
    among some is for test among all, so that a search on few examples chooses by none that is tested with more."""
    dense: bool = True
    """Whether the final table has a row of dense layers of the same sizes, which may take long to train. It has none
    where finalists are trained at a single learning rate."""

    @model_validator(mode="after")
    def _one_model(self) -> TrainingSettings:
        if (self.hidden is None) == (self.model is None):
            raise ValueError('either hidden = [256, 256], say, or model = "package.module:function" is wanted')
        if self.hidden is not None and self.sizes:
            raise ValueError("sizes are for a model of your own: hidden says what they are")
        if self.hidden is None and self.free_widths:
            raise ValueError("free_widths goes with hidden: nobody knows how wide a model of your own may be")
        return self


class Found(Section):
    """What was found in the data or targets that a recipe names; filled in when they are read."""

    fingerprint: str
    """A hash of all of them."""
    about: str
    """In words: sizes, and what each split has."""
    outputs: int | None = None
    """Of a model: one a class, or one a quantity; None for targets."""
    task: Literal["classification", "regression"] | None = None
    """What y is; None for targets."""
    test_matrices: int | None = None
    """Matrices for test among targets: a single one is fitted from several random starts; None for data."""


def completed(values: dict[str, Any]) -> dict[str, Any]:
    """A recipe's values with what follows from the data or targets that it names: sizes, fingerprint and defaults.

    Raises
    ------
    ValueError
        For data or targets that cannot be used, or that contradict the recipe.
    """
    if values.get("training") is not None and values.get("targets") is not None:
        raise ValueError("training and targets exclude each other: candidates are scored by one of them")
    if values.get("training") is not None:
        return _with_data(values)
    if values.get("places") is not None:
        return _with_ends(values)
    return _with_targets(values) if values.get("targets") is not None else values


def _with_data(values: dict[str, Any]) -> dict[str, Any]:
    from evaluators.training.data import Data
    from evaluators.training.evaluator import sizes_of

    try:
        training = TrainingSettings.model_validate(values["training"])
    except ValidationError:
        return values  # it is said of the section
    _check_evaluator(values, "training", TRAINING)
    data = Data.read(training.data, training.task, training.examples)
    what = Found(fingerprint=data.fingerprint, about=data.about(training.folds), outputs=data.outputs, task=data.task)
    found = _with_found(values, training.data, what) | {"evaluator": TRAINING}
    fidelity = values.get("fidelity") or {}
    if isinstance(fidelity, dict):
        if values.get("found") is None:  # a journal's recipe has all that it was begun with
            searched = values.get("search_by") is None
            usual = {key: value for key, value in TRAINING_FIDELITY.items() if searched or key not in OF_SEARCH}
            usual |= {} if training.folds is None else {"test_targets": training.folds}
            found["fidelity"] = fidelity = {**usual, **fidelity}
        if training.folds is not None and fidelity.get("test_targets") != training.folds:
            raise ValueError(
                f"training.folds = {training.folds} makes one test training a fold: leave fidelity.test_targets out"
            )
    if training.hidden is not None:
        sizes = sizes_of(data.inputs, training.hidden)
        free = width_bounds(training.hidden, training.width_reach) if training.free_widths else ()
        return _with_places(found, sizes, f"{training.data} and hidden widths", free, data.outputs)
    if training.sizes:
        return _with_places(found, training.sizes, "sizes of [training]")
    if not {"n_in", "n_out"} <= values.keys():
        raise ValueError("sizes are wanted beside training.model: those of the cascades that it takes")
    return found


def _with_places(
    values: dict[str, Any],
    sizes: tuple[tuple[int, int], ...],
    what: str,
    widths: tuple[tuple[int, int], ...] = (),
    outputs: int | None = None,
) -> dict[str, Any]:
    """The values with the sizes of all places; of a single one whose width is fixed, ``n_in`` and ``n_out`` are all."""
    found = _with_size(values, (sizes[0][0], sizes[-1][1]), what)
    places = None
    if len(sizes) > 1 or widths:
        places = {"sizes": sizes, "widths": widths, "outputs": outputs if widths else None}
    given = values.get("places")
    if given is not None and _plain(given) != _plain(places):
        raise ValueError(f"places follow from the {what}: leave them out")
    return found | {"places": places}


def _with_ends(values: dict[str, Any]) -> dict[str, Any]:
    """The values with the inputs of the first place and the outputs of the last, where places are given."""
    try:
        sizes = _plain(values["places"])["sizes"]
        return _with_size(values, (sizes[0][0], sizes[-1][1]), "places")
    except (KeyError, IndexError, TypeError):
        return values  # it is said of the section


def _plain(places: Any) -> Any:
    """Places as JSON has them, so that those of a journal can be compared."""
    return json.loads(json.dumps(places.model_dump() if isinstance(places, BaseModel) else places))


def width_bounds(widths: Sequence[int], reach: tuple[float, float]) -> tuple[tuple[int, int], ...]:
    """The least and the greatest of every hidden width: ``reach`` times what a recipe gives, and at least 2."""
    return tuple((max(2, min(width, round(reach[0] * width))), max(width, round(reach[1] * width))) for width in widths)


def _with_targets(values: dict[str, Any]) -> dict[str, Any]:
    from evaluators.reconstruction.own_targets import OwnTargets

    name, transpose = values["targets"], values.get("transpose_targets")
    if not isinstance(name, str) or not isinstance(transpose, bool | None):
        return values  # it is said of the key
    _check_evaluator(values, "targets", RECONSTRUCTION)
    own = OwnTargets.read(name, transpose)
    what = Found(fingerprint=own.fingerprint, about=str(own), test_matrices=len(own.matrices[Split.TEST]))
    found, fidelity = _with_found(values, name, what), values.get("fidelity") or {}
    if isinstance(fidelity, dict) and values.get("found") is None:  # a journal's recipe has what it was begun with
        found["fidelity"] = _no_target_twice(fidelity, own)
    return _with_size(found, (own.n_in, own.n_out), f"targets in {name}")


def _no_target_twice(fidelity: dict[str, Any], own: OwnTargets) -> dict[str, Any]:
    """The fidelity with no more targets than there are matrices, for one that counted twice would be no evidence.

    A part that is a single matrix is fitted from as many random starts as there are to be targets: from few, where a
    recipe does not say, because errors from several starts are within a few thousandths of each other.

    Raises
    ------
    ValueError
        Where a recipe asks for more.
    """
    found = dict(fidelity)
    for key, split in _TARGETS.items():
        there, most = len(own.matrices[split]), FidelitySettings.model_fields[key].default
        if there > 1 and isinstance(asked := fidelity.get(key, 0), int) and asked > there:
            raise ValueError(f"fidelity.{key} = {asked}: there are {there} matrices for {split}, each a target once")
        if there > 1:
            found.setdefault(key, min(most, there))
        else:
            found.setdefault(key, _STARTS[key])
    if "race_targets" not in fidelity and isinstance(found["targets"], int):
        found["race_targets"] = max(found["race_targets"], found["targets"])
    return found


_STARTS = {"targets": 1, "race_targets": 2, "validation_targets": 2, "test_targets": 8}
"""Random starts from which a single matrix is fitted."""

_TARGETS = {
    "targets": Split.SEARCH,
    "race_targets": Split.SEARCH,
    "validation_targets": Split.VALIDATION,
    "test_targets": Split.TEST,
}
"""The numbers of targets of a fidelity, and of which part they are."""


def _check_evaluator(values: Mapping[str, Any], key: str, wanted: str) -> None:
    given = values.get("evaluator", wanted)
    if given != wanted:
        raise ValueError(f"{key} is for the evaluator {wanted!r}, and the recipe has {given!r}: leave one of them out")


def _with_found(values: dict[str, Any], name: str, what: Found) -> dict[str, Any]:
    """The values with what was found; ValueError where something else was found before."""
    given, found = values.get("found"), what.fingerprint
    before = given.get("fingerprint") if isinstance(given, dict) else None
    if before is not None and before != found:
        drawn = (values.get("training") or {}).get("examples")
        raise ValueError(
            f"{name} holds other data now than when the run was begun (fingerprint {found[:8]}, then {before[:8]}): "
            "put the old ones back, or begin a new run"
            + (", as where an earlier version drew other examples" if drawn else "")
        )
    return values | {"found": what.model_dump()}


def _with_size(values: dict[str, Any], size: tuple[int, int], what: str) -> dict[str, Any]:
    for key, found in zip(("n_in", "n_out"), size, strict=True):
        if values.get(key, found) != found:
            raise ValueError(
                f"{key} = {values[key]}, but the {what} make layers of {size[0]} x {size[1]}: leave it out"
            )
    return values | {"n_in": size[0], "n_out": size[1]}
