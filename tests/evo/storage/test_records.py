"""Records as text: every class comes back as it was, with all bits of its floats, and nothing else is let in."""

from __future__ import annotations

import json
import struct
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from evaluators.task import Score
from evo.storage.records import EndRecord, Record, TableRecord, from_text, key_of_note, to_text
from tests.evo.storage.any_records import BY_CLASS, a_generation, a_header, a_score, records
from topologies import butterfly, clos
from topologies.packing import to_text as packed


def bits(value: Any) -> Any:
    """A value with every float in it as its bytes, so that -0.0 is not 0.0."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, dict):
        return {key: bits(inner) for key, inner in value.items()}
    return [bits(inner) for inner in value] if isinstance(value, list | tuple) else value


def test_there_is_a_strategy_for_every_class() -> None:
    assert set(BY_CLASS) == set(get_args(Record))


@pytest.mark.parametrize("kind", BY_CLASS, ids=lambda kind: kind.__name__)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_class_comes_back_with_all_bits(kind: type[BaseModel], data: st.DataObject) -> None:
    record = data.draw(BY_CLASS[kind])
    text = to_text(record)
    again = from_text(text)
    assert type(again) is kind and again == record
    assert bits(again.model_dump()) == bits(record.model_dump())
    assert to_text(again) == text
    assert text.isascii() and len(text.splitlines()) == 1


@settings(max_examples=60, deadline=None)
@given(records, st.text(max_size=8))
def test_a_field_that_no_class_has_is_refused(record: Record, name: str) -> None:
    plain = json.loads(to_text(record))
    if name not in plain:
        with pytest.raises(ValueError, match="Extra inputs are not permitted"):
            from_text(json.dumps({**plain, name: 1}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"kind":"surprise"}',
        '{"kind":"end"}',
        '{"kind":"end","status":"LOST"}',
        '{"kind":"end"',
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_text(text)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_does_not_have_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_text(a_generation(hypervolume=number))
    with pytest.raises(ValueError, match="JSON"):
        to_text(a_score(score=Score((number, 0.5))))


@pytest.mark.parametrize(
    "record", [a_header(time=1.5), a_score(), a_generation(), EndRecord(status="KILLED")], ids=lambda one: one.kind
)
def test_a_record_cannot_be_changed(record: Record) -> None:
    with pytest.raises(ValueError, match="frozen"):
        record.time = 0.0


def test_records_know_when_they_were_made() -> None:
    first, second = a_generation(), a_generation()
    assert 0 < first.time <= second.time


def test_a_score_knows_its_topology_and_its_error() -> None:
    topology = clos(8, 2, 3, 2).canonical
    known = from_text(to_text(a_score(packed=packed(topology))))
    assert known == a_score(packed=packed(topology), time=known.time)
    assert known.topology == topology and known.topology is known.topology
    assert known.error == Score((0.1, 1 / 3, 1e-300)).error
    assert a_score(score=None, failure="too sparse").error == float("inf")


def test_equal_records_are_equal_whether_their_topology_was_looked_at_or_not() -> None:
    one, other = a_score(time=1.0), a_score(time=1.0)
    assert one.topology == butterfly(4, 2)
    assert one == other and to_text(one) == to_text(other)


def test_a_note_is_known_by_what_it_is_about() -> None:
    one = TableRecord(rows=(), baseline="x", digest="y", champion="z")
    assert key_of_note(one) == key_of_note(TableRecord(rows=(), baseline="a", digest="b", champion="c"))
    assert key_of_note(a_generation(3)) == ("generation", "evolution", 3)
    assert len({key_of_note(a_generation(0)), key_of_note(a_generation(1)), key_of_note(one)}) == 3
