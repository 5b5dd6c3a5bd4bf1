"""The registry of champions: one model for all searches of a size and budget, a version a search."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from evo.report.numbers import ratio
from evo.report.text import headline, shape_text
from evo.storage.history import History
from evo.tracking.client import DATABASE, client, local_uri, reason, tracking_uri
from evo.tracking.records import model_name
from topologies.files import load
from topologies.names import resolve_any as resolve_name
from topologies.stack import AnyTopology

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_SCHEME = "models:/"


ALIAS = "champion"
"""What the best registered version is called."""


def load_champion(name: str, uri: str | None = None, version: str = ALIAS) -> AnyTopology:
    """The registered champion of a size and budget, for example ``load_champion("evofabric-32x32-b640")``.

    Parameters
    ----------
    name:
        The registered model.
    uri:
        The tracking store; by default the environment's, or the database in the folder ``runs``.
    version:
        An alias or a number; by default the best version.

    Raises
    ------
    ValueError
        When there is no database, or no such model or version in it.
    """
    runs, where = Path("runs"), tracking_uri(uri)
    if where is None and not (runs / DATABASE).exists():
        raise ValueError(f"there is no MLflow database in {runs.resolve()}: say with uri= where it is")
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    store = client(where, runs)
    try:
        number = store.get_model_version(name, version) if version.isdecimal() else None
        found = number or store.get_model_version_by_alias(name, version)
        with tempfile.TemporaryDirectory() as folder:
            file = f"{found.source}/champion.safetensors"
            return load(download_artifacts(file, dst_path=folder, tracking_uri=where or local_uri(runs)))
    except MlflowException as error:
        raise ValueError(f"no champion {name!r}, version {version!r}, is registered: {reason(error)}") from None


def resolve(name: str) -> AnyTopology:
    """The topology of ``models:/NAME``, ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``, or of any other name.

    Other names are those of :func:`topologies.names.resolve_any`; errors are ValueErrors as there.
    """
    if not name.startswith(_SCHEME):
        return resolve_name(name)
    model = name.removeprefix(_SCHEME)
    for separator in ("@", "/"):
        model, found, version = model.partition(separator)
        if found:
            return load_champion(model, version=version)
    return load_champion(model)


def write_model(history: History, folder: Path) -> None:
    """The champion as an MLflow model: the topology file, and the module that loads it."""
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import add_to_model
    from mlflow.types import Schema, TensorSpec

    folder.mkdir()
    (folder / "champion.safetensors").write_bytes(history.champion_file.read_bytes())
    champion = load(history.champion_file)
    ends = (champion.n_in, champion.n_out)
    inputs, outputs = (Schema([TensorSpec(np.dtype(np.float32), (-1, width))]) for width in ends)
    model = Model(signature=ModelSignature(inputs, outputs))
    add_to_model(model, loader_module="evo.tracking.pyfunc", data="champion.safetensors")  # type: ignore[no-untyped-call]
    model.save(str(folder / "MLmodel"))


def _rank(version: ModelVersion) -> tuple[float, ...]:
    """Registered versions by this come best first; one that somebody else added comes last."""
    tags = {"steps": "0", "targets": "0", "error_over_baseline": "inf", **version.tags}
    return (-int(tags["steps"]), -int(tags["targets"]), float(tags["error_over_baseline"]), int(version.version))


def _about_model(history: History) -> str:
    size, budget, name = shape_text(history), history.settings["budget"], model_name(history)
    is_single = len(history.sizes) == 1
    layers = f"a {size} layer" if is_single else f"layers of {size}"
    use = (
        f'layer = SparseCascade(load_champion("{name}"))  # in place of a dense layer'
        if is_single
        else f'layers = [SparseCascade(place) for place in load_champion("{name}").places]'
    )
    return f"""Topologies for {layers} with {budget} trainable edges, one version a search. Of those confirmed
most carefully (training steps, targets), `{ALIAS}` has the least test error relative to the tuned baseline's.

    from evo.tracking import load_champion
    from topologies import SparseCascade
    {use}

What is loaded is not trained yet. `mlflow.pyfunc.load_model("models:/{name}@{ALIAS}").get_raw_model()` is the same
without biases, for those who load all their models with MLflow."""


def register(store: MlflowClient, history: History, run_id: str) -> None:
    """Add the champion to the model registry, once; the best for its size and budget is the one called champion.

    Of the versions that were confirmed most carefully (training steps, then targets) that is the one with the least
    test error relative to the baseline's: at few steps the baseline itself may not have settled.
    """
    from mlflow.exceptions import MlflowException

    name, table = model_name(history), history.table
    assert table is not None
    about = _about_model(history)
    try:
        if store.get_registered_model(name).description != about:
            store.update_registered_model(name, about)
    except MlflowException:
        store.create_registered_model(name, description=about)
    versions = store.search_model_versions(f"name = '{name}'")
    champion, baseline = table.first, table.baseline
    over = ratio(champion.error.mean, baseline.error.mean)
    tags = {
        "error_over_baseline": "inf" if over is None else f"{over:.6f}",
        "steps": str(history.settings["fidelity"]["validation_steps"]),
        "targets": str(len(champion.errors)),
        "digest": champion.topology.digest,
    }
    described = f"{headline(table, history.founder)} ({history.folder.name})"
    own = next((version for version in versions if version.run_id == run_id), None)
    if own is None:
        source = f"{store.get_run(run_id).info.artifact_uri}/model"
        new = store.create_model_version(name, source, run_id, tags=tags, description=described, await_creation_for=0)
        versions.append(new)
    elif any(own.tags.get(key) != value for key, value in tags.items()):  # of a search that was extended since
        for key, value in tags.items():
            store.set_model_version_tag(name, own.version, key, value)
        store.update_model_version(name, own.version, described)
        versions = store.search_model_versions(f"name = '{name}'")
    store.set_registered_model_alias(name, ALIAS, min(versions, key=_rank).version)
