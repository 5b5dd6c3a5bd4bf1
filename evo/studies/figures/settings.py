"""The recipe of a study that ends with a figure: series of topologies, and how each of them is scored."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from evaluators.task import Evaluator, Fidelity
from evo.kinds import Kind
from evo.own_data import TRAINING
from evo.run_settings import RunSettings
from evo.section import Count, Section
from topologies.stack import Sizes

Value = int | float


class NetworkSettings(Section):
    """A network to be trained, whose layers are what the series say."""

    data: str
    """An ``.npz`` file with x_train, y_train and perhaps x_test, y_test; or "digits" (scikit-learn's)."""
    kind: str = "perceptron"
    """One of :data:`evaluators.training.networks.NETWORKS`."""
    width: Count = 256
    """Neurons of a hidden layer, or of the state; of a MobileNet, channels of the first layer (32 are its width 1)."""
    layers: Count | None = None
    """Hidden layers of a perceptron; by default as many as a series' values say."""
    batch_size: Count | None = None
    """By default 256, or fewer where that makes less than 25 steps an epoch."""
    examples: Annotated[int, Field(ge=100)] | None = None
    """At most so many of x_train, and as many of x_test, are taken at random; by default all."""


class SeriesSettings(Section):
    """One line of the figure: a topology for each of some values."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    topology: str
    """A name as anywhere, in which ``{value}`` stands for a value and ``{place}`` for the number of a place; or a
    family's name alone: every place then has its best member with ``value`` times fewer parameters than a dense one."""
    values: tuple[Value, ...] = ()
    """By default those of the recipe."""
    layer: str = "cascade"
    """What is made of the topologies, one of :data:`evaluators.training.layers.LAYERS`; of networks only."""
    width: Count | None = None
    """Of the network, where it is another than the recipe's."""
    first: str | None = None
    """The topology of the first place, where it is another."""
    spread: bool = False
    """Whether the layers of the topology, one after the other, are those of the network's places after the first, over
    and over: what connects everything is then the whole network, with its activations, and no place alone."""
    shuffled: bool = False
    """Whether edges are wired at random within every layer, all fans kept: the control of a structure."""


class FigureSettings(RunSettings):
    """A figure's recipe. Without a ``[network]``, topologies of n_in x n_out are scored by ``evaluator``."""

    kind: ClassVar[Kind] = Kind.FIGURE
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")] = "figure"
    title: str = "Error"
    picture: Literal["errors", "requirements"] = "errors"
    """What is drawn: errors, or controllability K and how topologies stand to the paper's requirements (Fig. 5)."""
    x: Literal["value", "parameters", "edges", "depth"] = "value"
    """What is to the right in the figure."""
    x_label: str = ""
    """What a value is, in words."""
    log_x: bool = False
    log_y: bool = False
    values: tuple[Value, ...] = ()
    """Those of all series that have none of their own."""
    fidelity: Fidelity
    """Where there are several rates or weight decays, the best on the validation targets (or part) counts."""
    test_targets: Count | None = None
    """Targets that errors are measured on, by default as many as ``fidelity`` has; of a network they are trainings."""
    network: NetworkSettings | None = None
    series: Annotated[tuple[SeriesSettings, ...], Field(min_length=1)]

    @property
    def label(self) -> str:
        """What the folders of the recipe's runs begin with."""
        return f"{self.name}-s{self.seed}"

    def control_of(self, series: SeriesSettings) -> SeriesSettings | None:
        """The series that is the same with its edges shuffled; None where there is none, and of a shuffled one."""
        if series.shuffled:
            return None
        wanted = series.model_dump(exclude={"name"}) | {"shuffled": True}
        return next((one for one in self.series if one.model_dump(exclude={"name"}) == wanted), None)

    @property
    def sizes(self) -> Sizes:
        """Sizes by which a worker proves itself: those of a small form of the network, or n_in x n_out."""
        return super().sizes if self.network is None else self.sizes_of(self.network.width, 1)

    def sizes_of(self, width: int, value: Value) -> Sizes:
        """Sizes of the places of the network at a width, where ``value`` is the number of layers unless that is set.

        Raises
        ------
        ValueError
            When the network cannot have them.
        """
        from evaluators.training.networks import NETWORKS

        if self.network is None:
            return super().sizes
        layers = value if self.network.layers is None else self.network.layers
        if layers != int(layers) or layers < 1:
            raise ValueError(f"{value} hidden layers: a whole number from 1 on is wanted, or network.layers = 2, say")
        return NETWORKS[self.network.kind].sizes(self.n_in, width, int(layers))

    def own_evaluator(self) -> Evaluator | None:
        """What trains the network; None where there is none."""
        if self.network is None:
            return None
        from evaluators.training import Data
        from evaluators.training.varied import TrainedNetworks

        data = Data.read(self.network.data, None, self.network.examples)
        return TrainedNetworks(data, self.network.kind, self.network.batch_size)

    @model_validator(mode="before")
    @classmethod
    def _follow_from_data(cls, values: Any) -> Any:
        """The size of the examples, which a journal's recipe has already, and who scores a network."""
        network = values.get("network") if isinstance(values, dict) else None
        if network is None:
            return values
        given = NetworkSettings.model_validate(network)
        if {"evaluator", "n_in"} <= values.keys():
            return values
        from evaluators.training import Data

        data = Data.read(given.data, None, given.examples)
        return {"evaluator": TRAINING, **values, "n_in": data.inputs, "n_out": data.outputs}

    @model_validator(mode="after")
    def _can_be_drawn(self) -> FigureSettings:
        names = [one.name for one in self.series]
        if len(set(names)) < len(names):
            raise ValueError(f"series: two are called {next(one for one in names if names.count(one) > 1)!r}")
        for one in self.series:
            if not (one.values or self.values):
                raise ValueError(f"series {one.name!r} has no values, and the recipe has none for all")
            if self.network is None and (one.layer != "cascade" or one.width or one.first or one.spread):
                raise ValueError(f"series {one.name!r}: layer, width, first and spread need a section [network]")
        if self.network is not None and self.evaluator != TRAINING:
            raise ValueError(
                f"evaluator = {self.evaluator!r} beside [network], which is trained: leave one of them out"
            )
        if self.network is not None and self.picture == "requirements":
            raise ValueError("picture = 'requirements' is of single topologies: leave the section [network] out")
        if self.network is not None:
            from evaluators.training.layers import find_layer
            from evaluators.training.networks import NETWORKS

            if self.network.kind not in NETWORKS:
                raise ValueError(f"network.kind = {self.network.kind!r}: one of {', '.join(NETWORKS)}")
            for one in self.series:
                find_layer(one.layer)
            if self.test_targets is not None:
                raise ValueError("test_targets: fidelity.targets is the number of trainings of a network")
        return self
