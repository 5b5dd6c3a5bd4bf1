"""The journal survives what happens to files: torn writes, damage, two processes, a killed one."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.storage.journal import Journal, Record, in_use, read

HEADER = {"kind": "header", "name": "test"}
GROUPS: list[list[Record]] = [
    [{"kind": "score", "errors": [0.1, 1 / 3, 1e-300]}],
    [],
    [{"kind": "score", "text": "two\nlines \r and\u2028 ünïcode"}, {"kind": "generation", "best": None}, {}],
]
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with a header and the records of GROUPS."""
    path = tmp_path / "journal.jsonl"
    with Journal(path, HEADER) as journal:
        for group in GROUPS:
            journal.append(group)
    return path


RECORDS = [{"version": 1, **HEADER}, *(record for group in GROUPS for record in group)]


def test_what_was_written_is_read_by_whoever_opens_it_next(path: Path) -> None:
    assert read(path) == (RECORDS, path.stat().st_size)
    with Journal(path, {"kind": "another header, which is not written"}) as journal:
        assert journal.recovered() == RECORDS
        journal.append([{"kind": "more"}])
        assert (journal.header, journal.last) == (RECORDS[0], {"kind": "more"})
    assert read(path)[0] == [*RECORDS, {"kind": "more"}]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.dictionaries(st.text(), plain, max_size=3), max_size=4))
def test_any_json_comes_back(records: list[Record]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        with Journal(path, HEADER) as journal:
            journal.append(records)
        assert read(path)[0] == [RECORDS[0], *records]


def test_every_line_is_a_checksum_and_a_json_object(path: Path) -> None:
    for line, record in zip(path.read_bytes().split(b"\n")[:-1], RECORDS, strict=True):
        checksum, text = line[:8], line[9:]
        assert int(checksum, 16) == zlib.crc32(text)
        assert json.loads(text) == record


def test_a_journal_cut_anywhere_keeps_its_whole_records_and_goes_on(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    cut = tmp_path / "cut.jsonl"
    for length in range(len(data)):
        cut.write_bytes(data[:length])
        whole = data[:length].count(b"\n")
        records, good = read(cut)
        assert records == RECORDS[:whole]
        assert good == data.rfind(b"\n", 0, length) + 1
    for length in (0, 5, len(data) // 2, len(data) - 1):
        cut.write_bytes(data[:length])
        whole = max(1, data[:length].count(b"\n"))  # without a whole header, it begins anew
        with Journal(cut, HEADER) as journal:
            assert journal.recovered() == RECORDS[:whole]
            journal.append([{"kind": "after"}])
        assert read(cut)[0] == [*RECORDS[:whole], {"kind": "after"}]


def test_a_cut_record_is_dropped_with_a_notice(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(path)
    assert not caplog.records
    path.write_bytes(path.read_bytes()[:-3])
    with Journal(path, HEADER):
        pass
    assert "the last record was cut off and is dropped" in caplog.text


def test_damage_before_the_end_is_named_by_the_record_and_nothing_is_cut(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for number in range(len(lines) - 1):
        for place in (0, 8, 9, len(lines[number]) - 2):
            line = bytearray(lines[number])
            line[place] ^= 0x01
            damaged = b"".join([*lines[:number], bytes(line), *lines[number + 1 :]])
            path.write_bytes(damaged)
            words = f"record {number} is damaged; the {number} records before it are intact"
            for opened in (lambda: read(path), lambda: Journal(path, HEADER)):
                with pytest.raises(ValueError, match=words):
                    opened()
            assert path.read_bytes() == damaged


def test_a_missing_line_break_in_the_middle_is_damage_too(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[1][:-1], *lines[2:]]))
    with pytest.raises(ValueError, match="record 1 is damaged"):
        read(path)


def test_a_journal_that_was_refused_can_be_opened_once_it_is_mended(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(b"x" + data)
    with pytest.raises(ValueError, match="damaged") as held:
        Journal(path, HEADER)
    path.write_bytes(data)
    with Journal(path, HEADER) as journal:
        assert journal.recovered() == RECORDS
    assert "record 0" in str(held.value)


def test_another_version_is_refused(path: Path) -> None:
    text = b'{"version":2}'
    path.write_bytes(b"%08x %s\n" % (zlib.crc32(text), text))
    with pytest.raises(ValueError, match="journal version 2, this program reads 1"):
        read(path)


def test_one_holder_at_a_time(path: Path) -> None:
    assert not in_use(path)
    with Journal(path, HEADER):
        assert in_use(path)
        with pytest.raises(ValueError, match=r"journal\.jsonl is in use: another process is running this search"):
            Journal(path, HEADER)
    assert not in_use(path)
    with Journal(path, HEADER) as journal:
        assert journal.recovered() == RECORDS


def test_a_killed_process_holds_nothing(path: Path) -> None:
    program = "import sys; from pathlib import Path; from evo.storage.journal import Journal\n"
    program += "journal = Journal(Path(sys.argv[1]), {}); print('open', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        with pytest.raises(ValueError, match="is in use"):
            Journal(path, HEADER)
        child.kill()
        child.wait()
    with Journal(path, HEADER) as journal:
        assert journal.recovered() == RECORDS


def test_a_journal_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"journal\.jsonl cannot be written: No such file or directory"):
        Journal(tmp_path / "nowhere" / "journal.jsonl", HEADER)


def test_numbers_that_json_does_not_have_are_never_written(path: Path) -> None:
    with Journal(path, HEADER) as journal, pytest.raises(ValueError, match="JSON"):
        journal.append([{"fine": 1}, {"error": float("nan")}])
    assert read(path)[0] == RECORDS
