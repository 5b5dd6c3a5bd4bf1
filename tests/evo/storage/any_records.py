"""Records of every class for hypothesis, and a few fixed ones."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from evaluators.task import Fidelity, Race, Score, Split
from evo.storage.journal import VERSION
from evo.storage.records import (
    EndRecord,
    EndStatus,
    ExtendedRecord,
    ForkRecord,
    GenerationRecord,
    Header,
    Origin,
    Program,
    ProxyRecord,
    Record,
    RowRecord,
    RuleRecord,
    ScoreRecord,
    TableRecord,
)
from evo.storage.results import Interval
from topologies import butterfly, clos, low_rank
from topologies.packing import to_text

floats = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.1, 1 / 3, 1e-300, 5e-324, -0.0, 2**0.5])
positive = st.floats(min_value=1e-300, max_value=1e300)
counts = st.integers(0, 2**60)
words = st.text(max_size=20) | st.sampled_from(["", "not UTF-8 \udcff", "two\nlines \r and\u2028 ünïcode", '"{\\'])
plain: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
plains = st.dictionaries(words, plain, max_size=3)
packed = st.sampled_from([to_text(one) for one in (butterfly(4, 2), clos(8, 2, 3, 2), low_rank(3, 5, 1))])

programs = st.builds(Program, canary=words, packages=st.dictionaries(words, words, max_size=3))
scores = st.builds(Score, st.lists(floats, min_size=1, max_size=4).map(tuple), st.none() | positive)
fidelities = st.builds(
    Fidelity, st.integers(1, 10**6), st.integers(1, 10**6), *2 * [st.lists(positive, min_size=1, max_size=3).map(tuple)]
)
races = st.builds(Race, st.none() | floats, st.integers(1, 10**6))
origins = st.builds(Origin, words, words, st.none() | counts, st.lists(counts, max_size=2).map(tuple), words)
intervals = st.builds(Interval, floats, floats, floats)
rows = st.builds(
    RowRecord,
    name=words,
    label=words,
    digest=words,
    n_trainable=counts,
    n_edges=counts,
    depth=counts,
    learning_rate=st.none() | floats,
    weight_decay=st.none() | floats,
    error=intervals,
    difference=st.none() | intervals,
)

BY_CLASS: dict[type, SearchStrategy[Record]] = {
    Header: st.builds(
        Header,
        time=floats,
        version=st.just(VERSION),
        settings=plains,
        cluster=plains,
        tracking=plains,
        reuse_from=st.lists(words, max_size=2),
        evaluator=words,
        from_python=st.booleans(),
        backend=words,
        machine=words,
        python=words,
        program=programs,
        given=st.dictionaries(words, packed, max_size=2),
    ),
    ScoreRecord: st.builds(
        ScoreRecord,
        time=floats,
        phase=words,
        number=counts,
        digest=words,
        n_trainable=counts,
        n_edges=counts,
        depth=counts,
        origin=origins,
        split=st.sampled_from(Split),
        fidelity=fidelities,
        race=st.none() | races,
        score=st.none() | scores,
        entry=st.none() | scores,
        failure=st.none() | words,
        measures=st.dictionaries(words, floats, max_size=3),
        wanted=st.lists(words, max_size=3).map(tuple),
        seconds=floats,
        device=words,
        packed=packed,
    ),
    GenerationRecord: st.builds(
        GenerationRecord,
        time=floats,
        phase=words,
        number=counts,
        candidates=counts,
        best=st.none() | floats,
        baseline=st.none() | floats,
        hypervolume=floats,
    ),
    TableRecord: st.builds(
        TableRecord,
        time=floats,
        rows=st.lists(rows, max_size=2).map(tuple),
        baseline=words,
        digest=words,
        champion=words,
    ),
    ProxyRecord: st.builds(
        ProxyRecord,
        time=floats,
        phase=words,
        number=counts,
        arm=words,
        budget=counts,
        proxy=words,
        values=st.lists(st.none() | floats, max_size=4).map(tuple),
        ms=floats,
    ),
    RuleRecord: st.builds(
        RuleRecord,
        time=floats,
        phase=words,
        number=counts,
        generation=counts,
        parents=st.lists(counts, max_size=2).map(tuple),
        operator=words,
        law=st.dictionaries(words, floats, max_size=3),
        wiring=words,
        ratios=st.lists(floats, max_size=4).map(tuple),
        fitness=st.none() | floats,
    ),
    ExtendedRecord: st.builds(ExtendedRecord, time=floats, generations=counts),
    ForkRecord: st.builds(ForkRecord, time=floats, of=words, program=programs),
    EndRecord: st.builds(EndRecord, time=floats, status=st.sampled_from(get_args(EndStatus)), why=words),
}
"""Records of each class."""

records = st.one_of(*BY_CLASS.values())
later = st.one_of(*(strategy for kind, strategy in BY_CLASS.items() if kind is not Header))
"""Records of any class, and of any but the first in a journal."""


def a_header(**changes: Any) -> Header:
    """A header of a run that never was."""
    values: dict[str, Any] = {
        "version": VERSION,
        "settings": {"seed": 1},
        "cluster": {},
        "tracking": {},
        "reuse_from": [],
        "evaluator": "tests:None",
        "from_python": False,
        "backend": "cpu",
        "machine": "a machine",
        "python": "3",
        "program": Program(canary="bits", packages={"evofabric": "0"}),
        "given": {},
    }
    return Header(**{**values, **changes})


def a_score(number: int = 0, **changes: Any) -> ScoreRecord:
    """A score of three errors with many digits."""
    topology = butterfly(4, 2)
    values: dict[str, Any] = {
        "phase": "phase",
        "number": number,
        "digest": topology.digest,
        "n_trainable": topology.n_trainable,
        "n_edges": topology.n_edges,
        "depth": topology.depth,
        "origin": Origin(),
        "split": Split.SEARCH,
        "fidelity": Fidelity(3, 5, (0.1,)),
        "score": Score((0.1, 1 / 3, 1e-300), 0.1),
        "failure": None,
        "seconds": 0.25,
        "device": "here",
        "packed": to_text(topology),
    }
    return ScoreRecord(**{**values, **changes})


def a_generation(number: int = 0, **changes: Any) -> GenerationRecord:
    """How a search stood that has found nothing."""
    values: dict[str, Any] = {"candidates": 7, "best": None, "baseline": None, "hypervolume": 0.0}
    return GenerationRecord(phase="evolution", number=number, **{**values, **changes})
