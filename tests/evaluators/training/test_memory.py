"""Large data: they stay in their file, a part of them is drawn, and what does not fit is said before it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluators.training import Data, arrays, files, memory
from evaluators.training.arrays import moments
from evaluators.training.folds import fold_of
from tests.evaluators.training.examples import blobs

X, Y = blobs(examples=3000)
BITS = np.arange(12)


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LARGE", 1 << 10)


def written(folder: Path, write: Any = np.savez, **changes: Any) -> Path:
    path = folder / "mine.npz"
    write(path, **{"x_train": X, "y_train": Y, "x_test": X[:500], "y_test": Y[:500], **changes})
    return path


@pytest.mark.usefixtures("small_is_large")
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.uint8, np.int16, ">f4"])
def test_large_arrays_stay_in_their_file_and_are_the_same(tmp_path: Path, kind: Any) -> None:
    x = (20 * X + 100).astype(kind)
    path = written(tmp_path, x_train=x, x_test=x[:500])
    found = files.arrays_of(str(path))
    assert isinstance(found["x_train"], np.memmap) and isinstance(found["y_train"], np.memmap)
    assert np.array_equal(found["x_train"], x) and np.array_equal(found["y_train"], Y)
    data, same = Data.read(str(path)), Data.of(x, Y, x[:500], Y[:500])
    assert data.fingerprint == same.fingerprint
    for part in ("train", "search", "validation", "test"):
        assert np.array_equal(getattr(data, part).x, getattr(same, part).x)


@pytest.mark.usefixtures("small_is_large")
def test_what_cannot_stay_in_its_file_is_read(tmp_path: Path) -> None:
    compressed = files.arrays_of(str(written(tmp_path, np.savez_compressed)))
    columns = files.arrays_of(str(written(tmp_path, x_train=np.asfortranarray(X))))
    for found in (compressed, columns):
        assert not isinstance(found["x_train"], np.memmap) and np.array_equal(found["x_train"], X)


@pytest.mark.usefixtures("small_is_large")
def test_examples_are_drawn_at_random_and_labels_with_them(tmp_path: Path) -> None:
    name = str(written(tmp_path))
    data, again = Data.read(name, examples=300), Data.of(X, Y, X[:500], Y[:500], examples=300)
    assert len(data.train) + len(data.search) + len(data.validation) == len(data.test) == 300
    assert data.fingerprint == again.fingerprint != Data.read(name).fingerprint
    assert np.bincount(data.train.y).min() > 40  # though they are sorted by class
    few = Data.of(X[:, :1] * 0 + np.arange(3000)[:, None], np.arange(3000) % 2, examples=1000)
    numbers = [few.train, few.search, few.validation, few.test]
    found = np.concatenate([part.x[:, 0] for part in numbers])
    assert len(found) == len(set(found.tolist())) == 1000
    assert Data.of(X, Y, examples=9999).fingerprint == Data.of(X, Y).fingerprint


def of_numbers(of_test: int = 0, examples: int | None = None) -> Data:
    """Data of 3,000 examples, of which so many are taken: the inputs of each are the bits of its number."""
    x = np.arange(3000 + of_test)[:, None] >> BITS & 1
    test = {"x_test": x[3000:], "y_test": x[3000:, 0]} if of_test else {}
    return Data.of(x[:3000], x[:3000, 0], **test, examples=examples)


def numbers(x: np.ndarray) -> set[int]:
    """The numbers of examples, whose bits are above zero or below once they are standardised."""
    return set(((x > 0) @ (1 << BITS)).tolist())


@pytest.mark.parametrize("of_test", [0, 500])
@pytest.mark.parametrize("examples", [200, 1000, 2399, 2999])
def test_a_part_of_a_draw_lies_within_that_part_of_all_data(of_test: int, examples: int) -> None:
    """So that a topology from a search on a draw is never tested on an example by which it was chosen."""
    whole, draw = of_numbers(of_test), of_numbers(of_test, examples)
    for part in ("train", "search", "validation", "test"):
        assert numbers(getattr(draw, part).x) <= numbers(getattr(whole, part).x)
    chosen_by = numbers(draw.search.x) | numbers(draw.validation.x)
    tested = set.union(*(numbers(fold_of(whole, 5, index)[1].x) for index in range(5)))
    assert tested == numbers(whole.train.x) | numbers(whole.test.x) and not chosen_by & tested


def test_a_draw_is_not_known_by_the_fingerprint_of_its_examples_alone() -> None:
    """For those are split in another way where they are all there are."""
    whole, draw = of_numbers(), of_numbers(examples=1000)
    kept = sorted(set.union(*(numbers(part.x) for part in (draw.train, draw.search, draw.validation, draw.test))))
    x = np.array(kept)[:, None] >> BITS & 1
    assert len({whole.fingerprint, draw.fingerprint, Data.of(x, x[:, 0]).fingerprint}) == 3


def test_too_few_of_many_examples_are_told_to_be_taken() -> None:
    with pytest.raises(ValueError, match=r"^100 of 3000 examples in x_train are too few: .* would have 16, and 20 are"):
        of_numbers(examples=100)


@pytest.mark.parametrize("of_test", [0, 5000])
def test_a_class_that_is_lost_where_examples_are_drawn_is_not_said_to_be_rare(of_test: int) -> None:
    x, y = blobs(examples=50_000, classes=100)
    test = {"x_test": x[:: 50_000 // of_test], "y_test": y[:: 50_000 // of_test]} if of_test else {}
    with pytest.raises(ValueError, match=r"^200 of 50000 examples are taken, and class \d+ is not among those trained"):
        Data.of(x, y, **test, examples=200)
    assert Data.of(x, y, **test, examples=20_000).outputs == 100
    with pytest.raises(ValueError, match="y_test has classes that y_train has not: 100"):
        Data.of(x, y, x[:500], np.full(500, 100), examples=20_000)


def test_a_file_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    first = Data.read(str(written(tmp_path)))
    assert Data.read(str(tmp_path / "mine.npz")) is first
    assert Data.read(str(written(tmp_path, y_train=2 - Y))).fingerprint != first.fingerprint


def test_compressed_data_need_more_than_those_that_stay_in_their_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "LARGE", 1 << 14)
    needed = 3500 * 8 * 4
    for write, examples, fits in (
        (np.savez, None, 2 * needed + 2**16),
        (np.savez_compressed, None, 4 * needed + 2**17),
        (np.savez, 300, 2 * 600 * 8 * 4 + 2**16),
    ):
        name = str(written(tmp_path, write))
        monkeypatch.setattr(memory, "memory", lambda fits=fits: fits)
        assert files.arrays_of(name, examples)
        monkeypatch.setattr(memory, "memory", lambda: 2**14)
        with pytest.raises(ValueError, match=r"needs 0\.0 GiB of memory, .* take fewer examples") as caught:
            files.arrays_of(name, examples)
        assert ("savez, which does not compress" in str(caught.value)) == (write is np.savez_compressed)
        assert "\n" not in str(caught.value)


def test_memory_that_is_left_is_less_than_there_is_and_more_than_nothing() -> None:
    assert 2**26 < memory.memory() < 2**50


def test_inputs_need_room_twice_because_ray_keeps_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LARGE", 1 << 10)
    name = str(written(tmp_path, x_train=X.astype(np.float32), x_test=X[:500].astype(np.float32)))
    monkeypatch.setattr(memory, "memory", lambda: 2 * 3500 * 8 * 4)
    with pytest.raises(ValueError, match=r"needs 0\.0 GiB of memory"):
        files.arrays_of(name)


@pytest.mark.parametrize(
    ("folder", "limit", "used", "freed"),
    [
        (".", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ],
    ids=["version 2", "version 1"],
)
def test_a_container_has_no_more_left_than_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, limit: str, used: str, freed: str
) -> None:
    monkeypatch.setattr(memory, "CONTAINERS", tmp_path)
    whole, place = memory.memory(), tmp_path / folder
    place.mkdir(exist_ok=True)
    (place / limit).write_text("3000000\n")
    (place / used).write_text("1000000\n")
    (place / "memory.stat").write_text(f"cache 7\n{freed} 500\nactive_file 9\n")
    assert memory.memory() == 2_000_500 < whole
    (place / used).write_text("4000000\n")
    assert memory.memory() == 0
    (place / limit).write_text("max\n")
    assert memory.memory() > 2**26


def test_work_in_blocks_gives_the_bits_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(3, 2, size=(5000, 37)).astype(np.float32)
    whole, data = moments(values), Data.of(X, Y)
    for size in (1 << 14, 7001, 100):
        monkeypatch.setattr(arrays, "AT_ONCE", size)
        assert all(np.array_equal(*pair) for pair in zip(moments(values), whole, strict=True))
        again = Data.of(X, Y)
        assert np.array_equal(again.train.x, data.train.x) and np.array_equal(again.test.x, data.test.x)


def test_images_laid_out_in_two_ways_are_not_mixed() -> None:
    images = np.random.default_rng(0).integers(256, size=(3000, 4, 5, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"differ in shape: in x_train \(4, 5, 3\) and x_test \(3, 4, 5\)"):
        Data.of(images, Y, np.moveaxis(images, 3, 1), Y)
    flat = Data.of(images, Y, images.reshape(3000, 60)[:50], Y[:50])
    assert flat.inputs == 60


def test_inputs_too_large_for_training_are_refused() -> None:
    with pytest.raises(ValueError, match="inputs are too large for 32-bit numbers"):
        Data.of(np.where(np.arange(3000)[:, None] == 5, 1e300, X), Y)
