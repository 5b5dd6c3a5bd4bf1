"""What a journal says of its recipe and its program, and whether a recipe and this program may go on with it."""

from __future__ import annotations

import base64
import hashlib
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from evaluators.run import canary
from evaluators.task import Evaluator
from evo.settings import Settings
from evo.storage.journal import Journal, Record, read
from evo.storage.pools import named_evaluator
from topologies.names import resolve
from topologies.packing import pack, unpack
from topologies.topology import Topology

JOURNAL = "journal.jsonl"
_PACKAGES = ("evofabric", "numpy", "numba", "torch", "ray", "deap", "optuna", "mlflow")
_MEANS = ("cluster", "tracking", "known")
"""Settings that a run keeps, but that decide nothing."""
_CONFIRMING = ("choice: ", "closer choice: ", "held-out: ")


def header(settings: Settings, evaluator: Evaluator, given: Mapping[str, Topology], backend: str) -> Record:
    """A journal's first record. What the recipe names is ``given`` and copied in: files may change or go."""
    return {
        "kind": "header",
        "settings": outcome_settings(settings),
        **settings.model_dump(mode="json", include=set(_MEANS)),
        "evaluator": f"{type(evaluator).__module__}:{type(evaluator).__name__}",
        "backend": backend,
        "machine": f"{platform.machine()} {platform.system()}",
        "python": platform.python_version(),
        **_program(evaluator),
        "given": {name: base64.b64encode(pack(topology)).decode() for name, topology in given.items()},
        "time": time.time(),
    }


def given_in(header: Record) -> dict[str, Topology]:
    """The topologies that a header holds, by the names they have in the recipe."""
    return {name: unpack(base64.b64decode(packed)) for name, packed in header["given"].items()}


def outcome_settings(settings: Settings) -> Record:
    """The settings that decide a result: all but where it is computed, kept and tracked."""
    return settings.model_dump(mode="json", exclude={"runs", *_MEANS})


def settings_of(records: Sequence[Record]) -> Record:
    """The recipe of a journal, with as many broods as it was last extended to."""
    settings: Record = records[0]["settings"]
    for record in records:
        if record["kind"] == "extended":
            settings = {**settings, "loop": {**settings["loop"], "broods": record["broods"]}}
    return settings


def journal_of(folder: Path) -> Path:
    """The journal of the run in a folder; ValueError where there is none."""
    journal = folder / JOURNAL
    if not journal.is_file():
        raise ValueError(f"{folder} is not the folder of a run: it has no {JOURNAL}")
    return journal


def records_of(folder: Path) -> list[Record]:
    """The records of the run in a folder, its header first.

    Raises
    ------
    ValueError
        When the folder has no journal, or an empty or damaged one.
    """
    journal = journal_of(folder)
    records, _ = read(journal)
    if not records:
        raise ValueError(f"{journal} has no whole record: the run was stopped before it began, start it again")
    return records


def recipe_of(folder: Path, broods: int | None = None) -> Record:
    """The recipe of the run in a folder, as far as it says what to do; with more broods, if so many are wanted.

    Raises
    ------
    ValueError
        When it is not the folder of a run, or the run has more broods than are wanted.
    """
    records = records_of(folder)
    recipe = settings_of(records)
    planned = recipe["loop"]["broods"]
    if broods is not None and broods < planned:
        raise ValueError(f"--broods {broods}: the run has {planned}, and can only be extended")
    means = {name: records[0][name] for name in _MEANS}
    return {**recipe, **means, "runs": str(folder.parent), "loop": {**recipe["loop"], "broods": broods or planned}}


def current(records: Sequence[Record]) -> list[Record]:
    """The records that count: of a run that was extended, what had been confirmed before does not."""
    place = max((place for place, record in enumerate(records) if record["kind"] == "extended"), default=0)
    return [record for record in records[:place] if not _confirms(record)] + list(records[place:])


def agree(records: Sequence[Record], settings: Settings, evaluator: Evaluator) -> list[Record]:
    """What must be added to a journal before it goes on by these settings, in this program.

    Raises
    ------
    ValueError
        When the journal is of another recipe, or of a program that may compute something else.
    """
    begun, asked = settings_of(records), outcome_settings(settings)
    differ = sorted(key for key in {*begun, *asked} if begun.get(key) != asked.get(key))
    broods, more = begun["loop"]["broods"], asked["loop"]["broods"]
    extended = {**begun, "loop": {**begun["loop"], "broods": max(broods, more)}} == asked
    if differ and not extended:
        raise ValueError(f"it is a run of another recipe ({', '.join(differ)} differ): choose another folder")
    program = next(record for record in reversed(records) if record["kind"] in ("header", "fork"))
    mine = _program(evaluator)
    begun_with, this = program["packages"]["evofabric"], mine["packages"]["evofabric"]
    how = "go on in a copy of the run with --fork"
    if begun_with != this:
        raise ValueError(f"it was begun with evofabric {begun_with}, this is {this}, perhaps another result: {how}")
    if program["canary"] != mine["canary"]:
        raise ValueError(f"the evaluator does not compute what it did when the run was begun: {how}")
    return [{"kind": "extended", "broods": more, "time": time.time()}] if differ else []


def fork(folder: Path) -> Path:
    """A copy of a run's folder that may be continued by this program, whichever one began it."""
    records = records_of(folder)
    copies = (folder.with_name(f"{folder.name}-fork{count}") for count in ("", *range(2, 100)))
    copy = next(path for path in copies if not path.exists())
    copy.mkdir()
    shutil.copyfile(folder / JOURNAL, copy / JOURNAL)
    evaluator = named_evaluator(records[0]["settings"]["evaluator"])
    with Journal(copy / JOURNAL, {}) as journal:
        journal.append([{"kind": "fork", "of": folder.name, **_program(evaluator), "time": time.time()}])
    return copy


def _program(evaluator: Evaluator) -> Record:
    """What decides, besides the recipe, what is computed."""
    proof = hashlib.sha256(canary(evaluator).encode()).hexdigest()[:16]
    return {"canary": proof, "packages": {name: version(name) for name in _PACKAGES}}


def _confirms(record: Record) -> bool:
    """Whether a record is of the end of a search, which comes anew when the search is extended."""
    if record["kind"] == "score":
        return str(record["phase"]).startswith(_CONFIRMING)
    return bool(record["kind"] == "table")


def named(settings: Settings) -> dict[str, Topology]:
    """The founders and the baseline that a recipe names, by name.

    Raises
    ------
    ValueError
        When one cannot be read or has other ends than the recipe says.
    """
    names = (*settings.founders, *filter(None, [settings.baseline]))
    return {name: _sized(name, settings.n_in, settings.n_out) for name in names}


def _sized(name: str, n_in: int, n_out: int) -> Topology:
    topology = resolve(name)
    if (topology.n_in, topology.n_out) != (n_in, n_out):
        raise ValueError(f"{name!r} is {topology.n_in} x {topology.n_out}, the recipe {n_in} x {n_out}")
    return topology
