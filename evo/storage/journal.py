"""The truth about a run: an append-only file of checksummed records, from which everything else can be made again.

Every line is a CRC-32 in eight hexadecimal digits, a blank, and a JSON object (:mod:`evo.storage.records`). The first
record is the header. A record counts once it is on disk; a line cut off at the end of the file, by a crash, is dropped
with a notice.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import FileIO
from itertools import islice
from pathlib import Path
from types import TracebackType

from evo.storage.records import Header, Record, from_text, to_text

VERSION = 2
"""The version of the format; 1 was that of evofabric 0.1."""
DAMAGED = ".damaged"
"""What the name of a journal as it was before it was cut ends with, perhaps with a number."""
TRIES = 10
"""Times that a journal is tried to be held, in a twentieth of a second."""
_log = logging.getLogger(__name__)


class OtherVersionError(ValueError):
    """A journal whose format is that of another evofabric."""


def read(path: Path, before: int | None = None) -> tuple[list[Record], int]:
    """The records of a journal, or those before one of a number alone, and the number of bytes they fill.

    Raises
    ------
    ValueError
        When a record before the last is damaged (by its number).
    OtherVersionError
        When the journal is of another version.
    """
    records: list[Record] = []
    good = 0
    size = path.stat().st_size
    with path.open("rb") as file:
        for number, line in enumerate(islice(file, before)):
            text = _content(line)
            if text is None:
                if good + len(line) >= size:
                    break
                raise ValueError(
                    f"{path}: record {number} is damaged; the {number} records before it are intact, continue from "
                    f'them with: evofabric resume "{path.parent}" --before-record {number}'
                )
            if number == 0:
                _check_version(path, text)
            try:
                records.append(from_text(text))
            except ValueError as error:
                raise ValueError(f"{path}: record {number} is of no kind that this program knows") from error
            good += len(line)
    return records, good


def _check_version(path: Path, first: str) -> None:
    """Raise ValueError unless a journal that begins with this record is of our version."""
    found = json.loads(first).get("version")
    if found != VERSION:
        wrote = "evofabric 0.1, which can still continue it" if found == 1 else "another evofabric"
        raise OtherVersionError(
            f"{path}: a journal of version {found!r}, written by {wrote}; this program reads {VERSION}"
        )


def first(path: Path) -> Record | None:
    """The first record of a journal, its header; None where it is damaged or of another version."""
    with path.open("rb") as file:
        text = _content(file.readline())
    try:
        if text is not None:
            _check_version(path, text)
        return None if text is None else from_text(text)
    except ValueError:
        return None


def is_begun(path: Path) -> bool:
    """Whether there is a journal with more in it than a first record that was never written to its end."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline()
        return _content(first) is not None or bool(file.read(1))


def in_use(path: Path) -> bool:
    """Whether a process has the journal open, so that its run goes on."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


class PausedError(ValueError):
    """A run's folder cannot be written, most often because the disk is full: nothing that was found is lost."""

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(
            f"{folder} cannot be written: {error.strerror}. The run is paused and nothing that was found is lost; "
            f'make room, then continue with: evofabric resume "{folder}"'
        )


def write(file: FileIO, data: bytes) -> None:
    """Write all of the data to disk; an OSError leaves a part of it there."""
    while data:
        data = data[file.write(data) :]
    os.fsync(file.fileno())


def cut(path: Path, record: int) -> None:
    """Keep the first ``record`` records of a journal; the journal as it was is kept beside it, as ``*.damaged``.

    Raises
    ------
    ValueError
        When there are not as many intact records, none would be left, or a process has the journal open.
    """
    with path.open("r+b", buffering=0) as file:
        _lock(file, path)
        data = file.read()
        lines = data.splitlines(keepends=True)
        kept = lines[:record]
        if not 1 <= record <= len(lines) or any(_content(line) is None for line in kept):
            raise ValueError(
                f"{path} cannot be cut before record {record}: only intact records after the header can stay"
            )
        names = (f"{path.name}{DAMAGED}{number}" for number in ("", *range(2, 100)))
        copy = next(one for name in names if not (one := path.with_name(name)).exists())
        with copy.open("xb", buffering=0) as new:
            write(new, data)
        file.truncate(sum(map(len, kept)))
        os.fsync(file.fileno())


def intact(path: Path) -> Iterator[Record]:
    """The whole records of a journal as it was before it was cut, also those after the damage.

    It may have been cut before a record of a kind that this program does not know: that one is left out.
    """
    with path.open("rb") as file:
        for text in filter(None, map(_content, file)):
            try:
                record = from_text(text)
            except ValueError:
                continue
            yield record


class Journal:
    """An open journal, held by one process at a time.

    ``header`` is the first record and ``last`` the last; the others are not kept in memory.

    Parameters
    ----------
    path:
        The file; it is made where there is none.
    header:
        The first record of a new journal; without one the journal must be there.

    Raises
    ------
    ValueError
        When another process has it open, it is damaged, or it cannot be written.
    """

    def __init__(self, path: Path, header: Header | None = None) -> None:
        self._path = path
        try:
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            raise ValueError(f"{path} cannot be written: {error.strerror}") from None
        try:
            _lock(self._file, path)
            self._recovered, self.size = read(path)
            if self.size < path.stat().st_size:
                _log.warning("%s: the last record was cut off and is dropped", path)
            self._file.truncate(self.size)
            if not self._recovered and header is not None:
                self.last: Record = header
                self.append([header])
                self._recovered = [header]
            if not self._recovered or not isinstance(self._recovered[0], Header):
                raise ValueError(f"{path} does not begin with a header: it is no journal of a run")
            self.header, self.last = self._recovered[0], self._recovered[-1]
        except BaseException:
            self._file.close()
            raise

    def append(self, records: Iterable[Record]) -> None:
        """Write a group of records; they are on disk when this returns.

        Raises
        ------
        PausedError
            When they cannot be written. The file then ends with the last record that was whole.
        """
        group = list(records)
        if not group:
            return
        data = b"".join(_format(record) for record in group)
        before, self.last = self.last, group[-1]  # before writing: whoever interrupts that finds it there
        try:
            write(self._file, data)
        except OSError as error:
            self.last = before
            self._file.truncate(self.size)
            raise PausedError(self._path.parent, error) from error
        self.size += len(data)

    def recovered(self) -> list[Record]:
        """The records that were there when the journal was opened, the header first; handed out once."""
        records, self._recovered = self._recovered, []
        return records

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _lock(file: FileIO, path: Path) -> None:
    """Hold a journal; who only asks whether it is :func:`in_use` holds it for a moment, so that is tried again."""
    for _ in range(TRIES):
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.005)
    raise ValueError(f"{path} is in use: another process is running this search")


def _format(record: Record) -> bytes:
    text = to_text(record).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _content(line: bytes) -> str | None:
    """What a line holds after its checksum, or None if the line is not whole."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    return text.decode()
