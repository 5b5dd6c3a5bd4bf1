"""A recipe: everything that decides what a search does, read from TOML and checked before anything starts."""

from __future__ import annotations

import copy
import difflib
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from evaluators.proxies.registry import check
from evaluators.task import Fidelity

Count = Annotated[int, Field(ge=1)]


def _positive_rates(rates: tuple[float, ...]) -> tuple[float, ...]:
    if not rates or any(not 0 < rate < float("inf") for rate in rates):
        raise ValueError("at least one rate, each positive and finite")
    return rates


Rates = Annotated[tuple[float, ...], AfterValidator(_positive_rates)]


DataFree = Annotated[str, AfterValidator(check)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BoundSettings(_Section):
    """Limits on candidates; what is left out is the tuned baseline's own depth, width or edges."""

    max_depth: Count | None = None
    max_width: Count | None = None
    max_edges: Count | None = None


class LoopSettings(_Section):
    """The size of the search: ``broods`` of ``brood_size`` births after the founders."""

    broods: Annotated[int, Field(ge=0)] = 160
    brood_size: Count = 8
    """Of equally many births, small broods find more (tests/benchmarks/asynchrony.py)."""
    population: Annotated[int, Field(ge=4)] = 48
    lag: Count = 4
    """Brood k + lag is bred as soon as brood k is told; 1 is one generation after the other. Workers are busy while
    ``(lag - 1) * brood_size`` is at least three times their number (tests/benchmarks/overhead.py): here up to eight."""


class FidelitySettings(_Section):
    """How carefully candidates are scored while searching, and the last few at the end."""

    targets: Count = 6
    steps: Count = 1200
    rates: Rates = (0.6, 1.2, 2.4, 4.8)
    """At these steps no family gains 3 % by other rates (tests/benchmarks/fidelity.py)."""
    race_targets: Count = 32
    """A candidate that would become a leader is scored on this many, at the rate it chose."""
    full_targets: Count = 16
    full_steps: Count = 2000
    full_rates: Rates = (0.15, 0.3, 0.6, 1.0, 1.6, 2.4, 4.8)
    held_out_targets: Annotated[int, Field(ge=2)] = 128
    finalists: Count = 8
    """Candidates of each kind that are ranked again at full fidelity on the choice stream."""

    @property
    def search(self) -> Fidelity:
        """Of every candidate, on the search stream."""
        return Fidelity(self.targets, self.steps, self.rates)

    @property
    def choice(self) -> Fidelity:
        """Of the finalists, on the choice stream."""
        return Fidelity(self.full_targets, self.full_steps, self.full_rates)

    def held_out(self, rate: float | None) -> Fidelity:
        """Of the rows of the final table, on the held-out stream, at the rate chosen before."""
        return Fidelity(self.held_out_targets, self.full_steps, self.full_rates if rate is None else (rate,))


class TuningSettings(_Section):
    """How the hand-derived families are tuned."""

    trials: Count = 64
    """Every member is tried where there are at most this many; above, TPE chooses this many."""


class ClusterSettings(_Section):
    """Where candidates are evaluated."""

    pool: Literal["ray", "in-process"] = "ray"
    address: str | None = None
    """None starts a local Ray; "auto" or "HOST:PORT" joins one that is running."""
    workers: Count | None = None
    """By default as many as there are cores (or shares of GPUs)."""
    cores_per_worker: Annotated[float, Field(gt=0)] = 1.0
    gpus_per_worker: Annotated[float, Field(ge=0)] | None = None
    """By default 1 where the cluster has GPUs that the evaluator can use, else 0."""
    patience: Annotated[float, Field(gt=0)] = 3600.0
    """Seconds that one evaluation may take; a worker that takes longer is taken for dead."""


class TrackingSettings(_Section):
    """Where MLflow keeps its records."""

    uri: str | None = None
    """None is a sqlite database in the runs folder."""
    experiment: str = "evofabric"


class Settings(_Section):
    """A recipe. ``n_in``, ``n_out`` and ``budget`` say what is wanted; everything else has a default.

    Raises
    ------
    pydantic.ValidationError
        From the constructor. :func:`load` turns it into a ValueError of one line.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")] = "search"
    seed: Annotated[int, Field(ge=0)] = 1
    n_in: Annotated[int, Field(ge=2)] = 32
    n_out: Annotated[int, Field(ge=2)] = 32
    budget: int = 640
    evaluator: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] = "evaluators.reconstruction:MatrixReconstruction"
    founders: tuple[str, ...] = ()
    """Topologies of the user's own to start from: files or family expressions."""
    baseline: str | None = None
    """The hand-derived topology to beat, a file or expression; by default the tuned parallel butterfly."""
    screen: DataFree | None = None
    """A data-free score (:mod:`evaluators.proxies.registry`) that chooses one of several siblings to be evaluated."""
    siblings: Annotated[int, Field(ge=2)] = 4
    """Topologies bred for every birth where there is a screen."""
    objectives: tuple[DataFree, ...] = ()
    """Data-free scores that the search wants small beside the error and the number of edges."""
    known: tuple[Path, ...] = ()
    """Folders of other runs of the same seed, whose scores need not be computed again."""
    runs: Path = Path("runs")
    """Folder of results."""
    bounds: BoundSettings = BoundSettings()
    loop: LoopSettings = LoopSettings()
    fidelity: FidelitySettings = FidelitySettings()
    tuning: TuningSettings = TuningSettings()
    cluster: ClusterSettings = ClusterSettings()
    tracking: TrackingSettings = TrackingSettings()

    @model_validator(mode="after")
    def _budget_fits(self) -> Settings:
        least, most = self.n_in + self.n_out, self.n_in * self.n_out
        if not min(least, most) <= self.budget <= most:
            raise ValueError(
                f"budget = {self.budget}: between n_in + n_out = {least} and n_in * n_out = {most} for this size"
            )
        return self


_Recipe = TypeVar("_Recipe", bound=Settings)


def load(recipe: Path, overrides: Iterable[str] = ()) -> Settings:
    """Read a search's recipe; see :func:`load_as`."""
    return load_as(Settings, recipe, overrides)


def validate(values: dict[str, Any]) -> Settings:
    """A search's settings from plain values; see :func:`validate_as`."""
    return validate_as(Settings, values)


def load_as(model: type[_Recipe], recipe: Path, overrides: Iterable[str] = ()) -> _Recipe:
    """Read a recipe of any kind and apply ``key=value`` overrides, dotted for sections (``loop.broods=10``).

    Raises
    ------
    ValueError
        In one line: a missing file, text that is not TOML, an unknown key (with the nearest valid one), a bad value.
    """
    try:
        values = tomllib.loads(recipe.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        beside = sorted(str(path) for path in recipe.parent.glob("*.toml"))
        there = f": there are {', '.join(beside)}" if beside else ""
        raise ValueError(f"no recipe at {recipe}{there}") from None
    except OSError as error:
        raise ValueError(f"cannot read {recipe}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{recipe} is not TOML: {error}") from None
    return validate_as(model, overridden(values, overrides))


def validate_as(model: type[_Recipe], values: dict[str, Any]) -> _Recipe:
    """Settings from plain values, with every mistake said in one line as a ValueError."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ValueError("; ".join(_sentence(mistake, model) for mistake in error.errors())) from None


def overridden(values: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Plain values with ``key=value`` overrides applied, the later ones winning."""
    values = copy.deepcopy(values)
    for override in overrides:
        _apply(values, override)
    return values


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals:
        raise ValueError(f"--set {override}: write key=value, for example --set budget=320")
    *sections, last = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ValueError(f"--set {override}: {section} is a value, not a section")
    try:
        values[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        values[last] = text.strip()


def _sentence(mistake: Any, model: type[Settings]) -> str:
    place = [str(part) for part in mistake["loc"]]
    if mistake["type"] == "extra_forbidden":
        return _unknown_key(place, model)
    message = mistake["msg"].removeprefix("Value error, ")
    given = "" if isinstance(mistake["input"], dict | BaseModel) else f" = {mistake['input']!r}"
    return f"{'.'.join(place)}{given}: {message}" if place else message


def _unknown_key(place: list[str], model: type[Settings]) -> str:
    *section, wrong = place
    here = [key for key in _keys(model) if key.split(".")[:-1] == section]
    elsewhere = [key for key in _keys(model) if key.split(".")[-1] == wrong]
    close = difflib.get_close_matches(wrong, [key.split(".")[-1] for key in here], 1)
    near = elsewhere or [".".join((*section, name)) for name in close]
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(here)}"
    return f"unknown key {'.'.join(place)!r}: {hint}"


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of a recipe, dotted; sections are keys too."""
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
