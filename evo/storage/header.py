"""A journal's header: the recipe and the program of a run, and whether they may go on with it."""

from __future__ import annotations

import hashlib
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from evaluators.function import name_of
from evaluators.run import canary, proof_at
from evaluators.task import Evaluator
from evo.kinds import check_is_search
from evo.recipe import validate
from evo.run_settings import RunSettings
from evo.settings import Settings
from evo.storage.journal import VERSION, Journal, read
from evo.storage.names import is_of_the_end
from evo.storage.pools import evaluator_of
from evo.storage.records import (
    ExtendedRecord,
    ForkRecord,
    Header,
    Plain,
    Program,
    Record,
    ScoreRecord,
    TableRecord,
    with_generations,
)
from topologies.names import at_places, resolve
from topologies.packing import from_text, to_text
from topologies.stack import AnyTopology, Sizes, each_size

JOURNAL = "journal.jsonl"
_PACKAGES = ("evofabric", "numpy", "numba", "torch", "ray", "deap", "optuna", "mlflow")
_MEANS = ("cluster", "tracking", "reuse_from")
"""Settings that a run keeps, but that decide nothing."""


def new_header(
    settings: RunSettings, evaluator: Evaluator | None, given: Mapping[str, AnyTopology], backend: str
) -> Header:
    """The header of a new run. What the recipe names is ``given`` and copied in: files may change or go.

    ``evaluator`` is None where the recipe names it.
    """
    return Header(
        version=VERSION,
        settings=outcome_settings(settings),
        **settings.model_dump(mode="json", include=set(_MEANS)),
        evaluator=settings.evaluator if evaluator is None else name_of(evaluator),
        from_python=evaluator is not None,
        backend=backend,
        machine=f"{platform.machine()} {platform.system()}",
        python=platform.python_version(),
        program=program_of(evaluator_of(settings, evaluator), settings.sizes),
        given={name: to_text(topology) for name, topology in given.items()},
    )


def given_in(header: Header) -> dict[str, AnyTopology]:
    """The topologies that a header holds, by the names they have in the recipe."""
    return {name: from_text(packed) for name, packed in header.given.items()}


def named_topologies(settings: RunSettings) -> dict[str, AnyTopology]:
    """The topologies that a recipe names, for the initial population and as baseline, by name.

    Raises
    ------
    ValueError
        When one cannot be read or has other ends than the recipe says.
    """
    places = settings.places if isinstance(settings, Settings) else None
    if places is not None:
        stacks = {name: at_places(name, places.sizes) for name in settings.topologies}
        for name, stack in stacks.items():
            places.check(name, stack.sizes)
        return dict(stacks)
    found = {name: resolve(name) for name in settings.topologies}
    for name, topology in found.items():
        if topology.sizes != settings.sizes:
            raise ValueError(f"{name!r} is {each_size(topology.sizes)}, the recipe {each_size(settings.sizes)}")
    return dict(found)


def outcome_settings(settings: RunSettings) -> Plain:
    """The settings that decide a result: all but where it is computed, kept and tracked."""
    return settings.model_dump(mode="json", exclude={"runs", *_MEANS})


def settings_of(records: Sequence[Record]) -> Plain:
    """The recipe of a journal, with as many generations as it was last extended to."""
    settings = header_of(records).settings
    for record in records:
        if isinstance(record, ExtendedRecord):
            settings = with_generations(settings, record.generations)
    return settings


def header_of(records: Sequence[Record]) -> Header:
    """The header, which is a journal's first record; ValueError where it is not."""
    if not records or not isinstance(records[0], Header):
        raise ValueError("a journal begins with a header, this one does not")
    return records[0]


def journal_of(folder: Path) -> Path:
    """The journal of the run in a folder; ValueError where there is none."""
    journal = folder / JOURNAL
    if not journal.is_file():
        raise ValueError(f"{folder} is not the folder of a run: it has no {JOURNAL}")
    return journal


def records_of(folder: Path, before: int | None = None) -> list[Record]:
    """The records of the run in a folder, its header first; or those before one of a number alone.

    Raises
    ------
    ValueError
        When the folder has no journal, or an empty or damaged one.
    """
    journal = journal_of(folder)
    records, _ = read(journal, before)
    if not records:
        raise ValueError(f"{journal} has no whole record: the run was stopped before it began, start it again")
    return records


def recipe_of(folder: Path, generations: int | None = None, before: int | None = None) -> Plain:
    """The recipe of the run in a folder, as far as it says what to do; with more generations, if so many are wanted.

    It is that of the records before one of a number alone, if there is one before which the journal is to be cut.

    Raises
    ------
    ValueError
        When it is not the folder of a run, the run has more generations than are wanted or is a study, or its evaluator
        was given from Python.
    """
    records = records_of(folder, before)
    recipe, header = settings_of(records), header_of(records)
    planned = recipe.get("loop", {}).get("generations", 0)
    if generations is not None:
        check_is_search(folder, recipe, "--generations")
    if generations is not None and generations < planned:
        raise ValueError(f"--generations {generations}: the run has {planned}, and can only be extended")
    _check_evaluator_is_named(folder, header)
    means = header.model_dump(include=set(_MEANS))
    return {**with_generations(recipe, generations or planned), **means, "runs": str(folder.parent)}


def _check_evaluator_is_named(folder: Path, header: Header) -> None:
    """Raise ValueError where a run's evaluator was given from Python, so that its name does not make it again."""
    if header.from_python:
        raise ValueError(
            f"{folder}: its evaluator, {header.evaluator}, was given from Python: continue it there, with "
            "evo.search(settings, evaluator, folder=...)"
        )


def current(records: Sequence[Record]) -> list[Record]:
    """The records that count: of a run that was extended, what came after the search itself does not."""
    place = max((place for place, record in enumerate(records) if isinstance(record, ExtendedRecord)), default=0)
    return [record for record in records[:place] if not _is_of_the_end(record)] + list(records[place:])


def agree(records: Sequence[Record], settings: RunSettings, evaluator: Evaluator) -> list[Record]:
    """What must be added to a journal before it goes on by these settings, in this program.

    Raises
    ------
    ValueError
        When the journal is of another recipe, or of a program that may compute something else.
    """
    asked = outcome_settings(settings)
    begun = _completed(settings_of(records), asked, settings)
    if (told := begun.get("found")) and told["fingerprint"] == (asked.get("found") or {}).get("fingerprint"):
        begun["found"] = asked["found"]  # of the same data, perhaps in other words
    differ = sorted(key for key in {*begun, *asked} if begun.get(key) != asked.get(key))
    before, now = (one.get("loop", {}).get("generations", 0) for one in (begun, asked))
    extended = with_generations(begun, max(before, now)) == asked
    if differ and not extended:
        raise ValueError(f"it is a run of another recipe ({', '.join(differ)} differ): choose another folder")
    theirs = next(record.program for record in reversed(records) if isinstance(record, Header | ForkRecord))
    ours = program_of(evaluator, settings.sizes)
    begun_with, this = theirs.packages["evofabric"], ours.packages["evofabric"]
    how = "go on in a copy of the run with --fork"
    if begun_with != this:
        raise ValueError(f"it was begun with evofabric {begun_with}, this is {this}, perhaps another result: {how}")
    header = header_of(records)
    if header.from_python and name_of(evaluator) != header.evaluator:
        whose = f"was begun with the evaluator {header.evaluator}, given from Python"
        raise ValueError(f"it {whose}: continue it with evo.search(settings, evaluator, folder=...)")
    if theirs.canary != ours.canary:
        raise ValueError(f"the evaluator does not compute what it did when the run was begun: {how}")
    return [ExtendedRecord(generations=now)] if differ else []


def _completed(begun: Plain, asked: Plain, like: BaseModel) -> Plain:
    """A journal's settings with the defaults of keys that came with later versions of evofabric."""
    found = dict(begun)
    for name, value in asked.items():
        about, section = type(like).model_fields[name], getattr(like, name)
        if name not in begun and not about.is_required():
            found[name] = to_jsonable_python(about.get_default(call_default_factory=True))
        elif isinstance(section, BaseModel) and isinstance(begun.get(name), dict):
            found[name] = _completed(begun[name], value, section)
    return found


def fork(folder: Path, read: Callable[[Plain], RunSettings] = validate) -> Path:
    """A copy of a run's folder that may be continued by this program, whichever one began it.

    Parameters
    ----------
    folder:
        The run's.
    read:
        What makes settings of its recipe, which say what its evaluator is; by default a search's.

    Raises
    ------
    ValueError
        When it is not the folder of a run, the run's evaluator was given from Python, or it cannot be made.
    """
    header = header_of(records_of(folder))
    _check_evaluator_is_named(folder, header)
    settings = read(header.settings)
    program = program_of(evaluator_of(settings), settings.sizes)
    copies = (folder.with_name(f"{folder.name}-fork{count}") for count in ("", *range(2, 100)))
    copy = next(path for path in copies if not path.exists())
    copy.mkdir()
    for file in folder.glob(f"{JOURNAL}*"):  # also what was cut, whose intact scores are known
        shutil.copyfile(file, copy / file.name)
    with Journal(copy / JOURNAL) as journal:
        journal.append([ForkRecord(of=folder.name, program=program)])
    return copy


def program_of(evaluator: Evaluator, sizes: Sizes) -> Program:
    """What decides, besides the recipe, what is computed."""
    told = hashlib.sha256(canary(evaluator, proof_at(sizes, evaluator)).encode()).hexdigest()[:16]
    return Program(canary=told, packages={name: version(name) for name in _PACKAGES})


def _is_of_the_end(record: Record) -> bool:
    """Whether a record is of the end of a search, which comes anew when the search is extended."""
    return isinstance(record, TableRecord) or (isinstance(record, ScoreRecord) and is_of_the_end(record.phase))
