"""The journal survives what happens to files: torn writes, damage, two processes, a killed one."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.storage.journal import VERSION, Journal, cut, in_use, intact, read
from evo.storage.records import EndRecord, Header, Record, from_text
from tests.evo.storage.any_records import BY_CLASS, a_generation, a_header, a_score, later

HEADER = a_header(settings={"name": "test", "seed": 1})
GROUPS: list[list[Record]] = [
    [a_score(0)],
    [],
    [a_score(1, score=None, failure="two\nlines \r and\u2028 ünïcode"), a_generation(0), EndRecord(status="FINISHED")],
]
AFTER = a_generation(1)
RECORDS: list[Record] = [HEADER, *(record for group in GROUPS for record in group)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with a header and the records of GROUPS."""
    path = tmp_path / "journal.jsonl"
    with Journal(path, HEADER) as journal:
        for group in GROUPS:
            journal.append(group)
    return path


def test_what_was_written_is_read_by_whoever_opens_it_next(path: Path) -> None:
    assert read(path) == (RECORDS, path.stat().st_size)
    with Journal(path, a_header(backend="another, which is not written")) as journal:
        assert journal.last == RECORDS[-1]
        assert journal.recovered() == RECORDS
        assert journal.recovered() == [], "they are handed out once"
        journal.append([AFTER])
        assert (journal.header, journal.last, journal.size) == (HEADER, AFTER, path.stat().st_size)
    assert read(path)[0] == [*RECORDS, AFTER]


@settings(max_examples=30, deadline=None)
@given(BY_CLASS[Header], st.lists(later, max_size=4))
def test_any_records_come_back(header: Header, records: list[Record]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        with Journal(path, header) as journal:
            journal.append(records)
        assert read(path)[0] == [header, *records]


def test_every_line_is_a_checksum_and_a_json_object(path: Path) -> None:
    for line, record in zip(path.read_bytes().split(b"\n")[:-1], RECORDS, strict=True):
        checksum, text = line[:8], line[9:]
        assert int(checksum, 16) == zlib.crc32(text)
        assert from_text(text.decode()) == record
        assert json.loads(text)["kind"] == record.kind


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
            journal.append([AFTER])
        assert read(cut)[0] == [*RECORDS[:whole], AFTER]


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
            for opened in (lambda: read(path), lambda: Journal(path, HEADER), lambda: Journal(path)):
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


def write_one(path: Path, **record: Any) -> bytes:
    """A journal of one record, whatever it says, and its bytes."""
    text = json.dumps(record, separators=(",", ":")).encode()
    path.write_bytes(b"%08x %s\n" % (zlib.crc32(text), text))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("version", "wrote"),
    [(1, "evofabric 0.1, which can still continue it"), (3, "another evofabric"), (None, "another evofabric")],
)
def test_a_journal_of_another_version_is_refused_in_one_line_and_stays_as_it_is(
    path: Path, version: int | None, wrote: str
) -> None:
    named = {} if version is None else {"version": version}
    data = write_one(path, **named, kind="header", name="old", settings={"seed": 3, "known": []}, canary="x", time=1.0)
    for opened in (lambda: read(path), lambda: Journal(path), lambda: Journal(path, HEADER)):
        with pytest.raises(ValueError, match=r"a journal of version") as refused:
            opened()
        assert str(refused.value) == (
            f"{path}: a journal of version {version!r}, written by {wrote}; this program reads {VERSION}"
        )
        assert "\n" not in str(refused.value) and not in_use(path)
    assert path.read_bytes() == data


def test_a_journal_that_begins_with_another_record_is_none(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    text = json.dumps({"version": VERSION, **json.loads(lines[0][9:]), "kind": "surprise"}).encode()
    path.write_bytes(b"%08x %s\n" % (zlib.crc32(text), text))
    with pytest.raises(ValueError, match="record 0 is of no kind that this program knows"):
        read(path)


def test_without_a_header_to_write_an_empty_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.touch()
    with pytest.raises(ValueError, match=r"journal\.jsonl does not begin with a header: it is no journal of a run"):
        Journal(path)
    assert path.read_bytes() == b"" and not in_use(path)


def test_one_holder_at_a_time(path: Path) -> None:
    assert not in_use(path)
    with Journal(path, HEADER):
        assert in_use(path)
        with pytest.raises(ValueError, match=r"journal\.jsonl is in use: another process is running this search"):
            Journal(path, HEADER)
    assert not in_use(path)
    with Journal(path, HEADER) as journal:
        assert journal.recovered() == RECORDS


def test_who_asks_whether_a_journal_is_in_use_keeps_no_one_from_opening_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # as in_use does for a moment
        monkeypatch.setattr("evo.storage.journal.time.sleep", lambda seconds: fcntl.flock(file, fcntl.LOCK_UN))
        with Journal(path, HEADER) as journal:
            assert journal.recovered() == RECORDS


def test_a_journal_that_a_process_has_open_is_not_cut(path: Path) -> None:
    before = path.read_bytes()
    with Journal(path, HEADER), pytest.raises(ValueError, match="is in use: another process is running this search"):
        cut(path, 2)
    assert path.read_bytes() == before and [one.name for one in path.parent.iterdir()] == [path.name]


def test_what_was_cut_is_kept_however_often_a_journal_is_cut(path: Path) -> None:
    before = path.read_bytes()
    for record in (3, 2, 1):
        cut(path, record)
        assert read(path)[0] == RECORDS[:record]
    kept = {one.name: one.read_bytes().count(b"\n") for one in path.parent.glob("*.damaged*")}
    assert kept == {"journal.jsonl.damaged": 5, "journal.jsonl.damaged2": 3, "journal.jsonl.damaged3": 2}
    assert path.with_name("journal.jsonl.damaged").read_bytes() == before


def test_a_journal_may_be_cut_before_a_record_of_no_known_kind(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    text = json.dumps({**json.loads(lines[2][9:]), "kind": "surprise"}).encode()
    path.write_bytes(b"".join([*lines[:2], b"%08x %s\n" % (zlib.crc32(text), text), *lines[3:]]))
    with pytest.raises(ValueError, match="record 2 is of no kind that this program knows"):
        read(path)
    cut(path, 2)
    assert read(path)[0] == RECORDS[:2]
    assert list(intact(path.with_name("journal.jsonl.damaged"))) == [*RECORDS[:2], *RECORDS[3:]]


def test_a_killed_process_holds_nothing(path: Path) -> None:
    program = "import sys; from pathlib import Path; from evo.storage.journal import Journal\n"
    program += "journal = Journal(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
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
        journal.append([AFTER, a_generation(2, best=float("nan"))])
    assert read(path)[0] == RECORDS
