"""What every run needs to know, whatever it does: a name, a seed, a size, and where it takes place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from evaluators.task import Evaluator
from evo.kinds import Kind
from evo.own_data import RECONSTRUCTION
from evo.section import NAME, Count, Section
from topologies.stack import Sizes, size_text


def _wide_enough(width: int) -> int:
    if width < 1:
        raise ValueError("at least 2")
    if width == 1:
        raise ValueError(
            "nothing to search: every connected topology with one input or output has at least as many edges as the "
            "dense layer"
        )
    return width


Size = Annotated[int, AfterValidator(_wide_enough)]


class ClusterSettings(Section):
    """Where candidates are evaluated."""

    pool: Literal["ray", "in-process"] = "ray"
    """In Ray actors, or one after another in the process of the search."""
    address: str | None = None
    """A Ray that is running, "auto" or "HOST:PORT", is joined; by default a local one is started."""
    workers: Count | None = None
    """By default as many as there are cores (or shares of GPUs)."""
    cores_per_worker: Annotated[float, Field(gt=0)] = 1.0
    """Cores that Ray reserves for each worker."""
    gpus_per_worker: Annotated[float, Field(ge=0)] | None = None
    """By default 1 where the cluster has GPUs that the evaluator can use, else 0."""
    task_timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3600.0
    """Seconds that one evaluation may take; a worker that takes longer is taken for dead."""


class TrackingSettings(Section):
    """Where MLflow keeps its records."""

    uri: str | None = None
    """By default what ``MLFLOW_TRACKING_URI`` says, else a sqlite database in the runs folder."""
    experiment: str = "evofabric"
    """The MLflow experiment that runs are filed under."""


class RunSettings(Section):
    """What every run needs to know, whatever it does: what it is called and seeded, its size, and where it takes place.

    Raises
    ------
    pydantic.ValidationError
        From the constructor. :func:`evo.recipe.load_as` turns it into a ValueError of one line.
    """

    kind: ClassVar[Kind] = Kind.SEARCH
    """What a run of such a recipe is."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")] = "search"
    """What the folders of the recipe's runs begin with."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Of everything random: equal recipes and seeds give equal results."""
    n_in: Size = 32
    """Inputs of the layer."""
    n_out: Size = 32
    """Outputs of the layer."""
    evaluator: Annotated[str, Field(pattern=NAME)] = RECONSTRUCTION
    """What scores candidates: a class or a function, ``package.module:name``."""
    reuse_from: tuple[Path, ...] = ()
    """Folders of other runs of the same seed, whose scores need not be computed again."""
    runs: Path = Path("runs")
    """Folder of results."""
    cluster: ClusterSettings = ClusterSettings()
    """Where candidates are evaluated."""
    tracking: TrackingSettings = TrackingSettings()
    """Where MLflow keeps its records."""

    @property
    def sizes(self) -> Sizes:
        """Inputs and outputs of every place of the model for which topologies are wanted: of one, most often."""
        return ((self.n_in, self.n_out),)

    @property
    def label(self) -> str:
        """What the folders of the recipe's runs begin with."""
        return f"{self.name}-{size_text(self.sizes)}-s{self.seed}"

    @property
    def topologies(self) -> tuple[str, ...]:
        """Names of the topologies that the recipe wants: files, runs' folders or family expressions."""
        return ()

    @property
    def noted(self) -> tuple[str, ...]:
        """Proxies that are noted of whatever is evaluated, and decide nothing."""
        return ()

    def own_evaluator(self) -> Evaluator | None:
        """What scores topologies, where the recipe makes it of more than the name ``evaluator``; else None."""
        return None
