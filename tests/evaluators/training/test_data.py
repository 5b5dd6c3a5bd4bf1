"""Data and their parts: nothing is mixed, nothing is lost, and what cannot be learned from is one line."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from evaluators import Split
from evaluators.training import Data, memory
from evaluators.training.data import Part
from tests.evaluators.training.examples import blobs

X, Y = blobs()


def numbered(examples: int) -> Data:
    """Examples whose only input that tells them apart is their number."""
    x = np.stack([np.arange(examples), np.arange(examples) % 7], axis=1)
    return Data.of(x, np.arange(examples) % 3)


def test_no_example_is_in_two_parts_and_none_is_lost() -> None:
    data = numbered(1000)
    parts = [data.train, data.search, data.validation, data.test]
    numbers = [set(part.x[:, 0].tolist()) for part in parts]
    assert [len(part) for part in parts] == [len(found) for found in numbers] == [480, 160, 160, 200]
    assert len(set.union(*numbers)) == 1000
    assert [data.part(split) for split in Split] == parts[1:]


@pytest.mark.parametrize(
    ("examples", "of_test", "wanted"),
    [(1000, 0, "886d1415aa521903"), (60_000, 0, "976b06bae169fe05"), (1000, 300, "f9953d83a2759f82")],
)
def test_all_data_are_split_as_they_always_were(examples: int, of_test: int, wanted: str) -> None:
    """So that what was found with them is found again; the hashes are those of version 0.2's first splits."""
    x = np.stack([np.arange(examples + of_test), np.arange(examples + of_test) % 7], axis=1)
    y, given, held = np.arange(examples + of_test) % 3, slice(None, examples), slice(examples, None)
    data = Data.of(x[given], y[given], *((x[held], y[held]) if of_test else ()))
    numbers = np.concatenate([part.x[:, 0] for part in (data.test, data.search, data.validation, data.train)])
    ranks = np.argsort(np.argsort(numbers)).astype("<i8")
    assert hashlib.sha256(ranks.tobytes()).hexdigest()[:16] == wanted


def test_test_examples_that_are_elsewhere_too_are_told() -> None:
    assert "also in another part" not in str(numbered(1000))
    x, y = np.arange(1000.0)[:, None] * [1, 2], np.arange(1000) % 2
    assert str(Data.of(x, y, x[:30], y[:30])).endswith("30 for test; 30 test examples are also in another part")
    zeros = np.zeros((40, 1), np.float32)
    assert Data(*(Part(zeros, y[:40]),) * 3, Part(-zeros, y[:40]), ("0", "1"), "").repeated == 40  # of either sign


def test_with_folds_it_is_told_what_they_test() -> None:
    told = numbered(1000).about(folds=4)
    assert told.endswith("160 for validation; 4 folds test those to train on and 200 more, each once")
    x, y = np.arange(1000.0)[:, None] * [1, 2], np.arange(1000) % 2
    twice = Data.of(np.concatenate([x, x[:50]]), np.concatenate([y, y[:50]]))
    assert twice.repeated_in_folds > twice.repeated and "tested examples are there more" in twice.about(2)


@pytest.mark.parametrize(("examples", "size"), [(60_000, 6000), (50_000, 5000), (30_000, 5000), (1000, 200)])
def test_search_and_validation_have_five_thousand_examples_where_there_are_enough(examples: int, size: int) -> None:
    x = np.arange(examples, dtype=np.float32)[:, None] * [1, 2]
    data = Data.of(x, np.arange(examples) % 2, x[:100], np.arange(100) % 2)
    assert len(data.search) == len(data.validation) == size
    assert len(data.train) == examples - 2 * size and len(data.test) == 100


def test_data_sorted_by_class_are_shuffled_before_they_are_split() -> None:
    data = Data.of(X, Y)
    for part in (data.train, data.search, data.validation, data.test):
        assert np.bincount(part.y).min() > len(part) / 6
    again = Data.of(X, Y)
    assert np.array_equal(data.search.x, again.search.x) and data.fingerprint == again.fingerprint


def test_inputs_are_standardised_by_the_training_part_alone() -> None:
    far = 3 * X + 100
    data = Data.of(far, Y, far + 50, Y)
    assert data.train.x.mean(axis=0) == pytest.approx(np.zeros(8), abs=1e-4)
    assert data.train.x.std(axis=0) == pytest.approx(np.ones(8), abs=1e-4)
    assert data.test.x.mean() > 3  # 50 above the others, whose deviation is about 3


@pytest.mark.parametrize("kind", [np.float64, np.longdouble, np.int64, np.uint32])
def test_numbers_far_from_zero_keep_what_tells_them_apart(kind: Any) -> None:
    """As seconds since 1970, of examples within an hour."""
    near = np.random.default_rng(0).integers(3600, size=(400, 2))
    for far in (1_700_000_000, 2**31):
        x, usual = (near + far).astype(kind), near.astype(np.float32)
        for data, same in (
            (Data.of(x, Y, x[:50], Y[:50]), Data.of(usual, Y, usual[:50], Y[:50])),
            (Data.of(X, x, kind="regression"), Data.of(X, usual, kind="regression")),
        ):
            for split in Split:
                part, wanted = data.part(split), same.part(split)
                assert part.x == pytest.approx(wanted.x, abs=1e-6) and part.y == pytest.approx(wanted.y, abs=1e-6)


def test_inputs_that_all_lie_far_from_zero_change() -> None:
    assert "never change" not in str(Data.of(X + 1e9, Y))


def test_numbers_that_32_bits_hold_are_taken_as_they_are() -> None:
    """So that what was found with them is found again, whatever their type."""
    x = np.random.default_rng(0).integers(-9, 256, size=(400, 5))
    usual = Data.of(x.astype(np.int16), Y)
    for kind in (np.int32, np.int64, np.float32, np.float64):
        data = Data.of(x.astype(kind), Y)
        assert np.array_equal(data.train.x, usual.train.x) and np.array_equal(data.test.x, usual.test.x)


def test_inputs_that_never_change_are_nothing_and_those_far_off_are_cut() -> None:
    x = np.concatenate([X, np.full((400, 1), 7.0)], axis=1)
    test = np.concatenate([X, np.full((400, 1), 1e9)], axis=1)
    test[:, 0] = 1e9
    data = Data.of(x, Y, test, Y)
    assert not data.train.x[:, 8].any() and not data.test.x[:, 8].any()
    assert (data.test.x[:, 0] == 8).all()
    assert "1 inputs never change" in str(data)


def test_tensors_are_taken_as_arrays_are() -> None:
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    assert Data.of(x.clone().requires_grad_(), y).fingerprint == Data.of(X, Y).fingerprint
    half = x.bfloat16()
    for given in (half, list(half), tuple(half)):
        assert Data.of(given, y).fingerprint == Data.of(half.float().numpy(), Y).fingerprint


def test_images_of_any_layout_are_flattened_as_they_lie() -> None:
    images = np.random.default_rng(0).integers(256, size=(200, 4, 4, 3), dtype=np.uint8)
    y = np.arange(200) % 2
    assert np.array_equal(Data.of(images, y).train.x, Data.of(images.reshape(200, 48), y).train.x)


@pytest.mark.parametrize(
    "y",
    [
        np.array(["cat", "dog", "eel"])[Y],
        np.array(["cat", "dog", "eel"], dtype=object)[Y],
        np.array([b"cat", b"dog", b"eel"])[Y],
        np.eye(3)[Y],
        np.eye(3, dtype=int)[Y],
        Y[:, None],
        10 * Y - 3,
        Y.astype(np.uint8),
    ],
    ids=[
        "strings",
        "objects that are strings",
        "strings of bytes",
        "one-hot fractions",
        "one-hot",
        "a column",
        "any numbers",
        "small numbers",
    ],
)
def test_labels_of_any_form_are_the_same_classes(y: Any) -> None:
    data = Data.of(X, y, X[:50], y[:50])
    usual = Data.of(X, Y, X[:50], Y[:50])
    assert np.array_equal(data.train.y, usual.train.y) and np.array_equal(data.test.y, usual.test.y)
    assert len(data.classes) == data.outputs == 3


def test_strings_of_bytes_are_the_strings_that_they_stand_for() -> None:
    names = np.array(["cat", "dög", "eel"])[Y]
    data = Data.of(X, np.char.encode(names, "utf-8"), X[:50], names[:50])
    assert data.classes == ("cat", "dög", "eel") and np.array_equal(data.test.y, Data.of(X, Y, X[:50], Y[:50]).test.y)


def test_fractions_are_quantities_and_whole_ones_are_what_one_says() -> None:
    y = X @ np.arange(16).reshape(8, 2) + 5
    data = Data.of(X, y)
    assert data.classes == () and data.outputs == 2
    assert data.train.y.mean(axis=0) == pytest.approx(np.zeros(2), abs=1e-5)
    assert Data.of(X, Y.astype(float), kind="classification").outputs == 3
    assert Data.of(X, Y, kind="regression").outputs == 1


def test_other_data_have_another_fingerprint() -> None:
    other = X.copy()
    other[17, 3] += 1e-9
    found = [Data.of(*given).fingerprint for given in ((X, Y), (other, Y), (X, 2 - Y), (X, Y, X, Y))]
    assert len(set(found)) == 4


NAN = np.where(np.arange(400)[:, None] == 13, np.nan, X)

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "inputs that never change": ({"x_train": np.ones((400, 8))}, "no input ever changes"),
    "NaN": ({"x_train": NAN}, "x_train is not a finite number in 1 examples, the first at 13"),
    "a list of numbers": ({"x_train": X[:, 0]}, r"x_train has shape \(400,\)"),
    "no inputs": ({"x_train": X[:, :0]}, r"x_train has shape \(400, 0\)"),
    "complex inputs": ({"x_train": X * 1j}, "x_train holds complex128"),
    "text for inputs": ({"x_train": X.astype(str)}, "x_train holds <U"),
    "other examples than labels": ({"y_train": Y[:-1]}, r"x_train has shape \(400, 8\) and y_train \(399,\)"),
    "one label for all": ({"y_train": np.float64(1)}, r"y_train \(\)"),
    "one class": ({"y_train": 0 * Y}, "of one class, 0"),
    "a class a number": ({"y_train": np.arange(400)}, "400 classes among 400 examples"),
    "whole fractions": ({"y_train": Y * 1.0}, "whole numbers written as fractions"),
    "several labels": (
        {"y_train": np.stack([Y, Y], axis=1)},
        "2 labels an example: .* or a one-hot row; if they are quantities, say --task regression",
    ),
    "numbers of many classes": (
        {"y_train": np.arange(400) % 130},
        "class .* has so few examples .* or add more; if y are quantities, say --task regression",
    ),
    "dates": ({"y_train": np.zeros(400, dtype="datetime64[s]")}, "y_train holds datetime64"),
    "quantities that never change": ({"y_train": np.full(400, 0.5)}, "never changes"),
    "a quantity of one example": (
        {"y_train": np.where(np.arange(400) == 0, 1.5, 0)},
        "y never changes in the training",
    ),
    "a quantity that is too large": (
        {"y_train": np.where(np.arange(400) == 7, 1e300, X[:, 0])},
        "quantities are too large for 32-bit numbers",
    ),
    "quantities that are too large": ({"y_train": X * 1e39}, "quantities are too large for 32-bit numbers"),
    "inputs of many bits that are too large": (
        {"x_train": np.where(np.arange(400)[:, None] == 7, np.longdouble("1e400"), X)},
        "inputs are too large for 32-bit numbers|not a finite number",  # the latter where such numbers have 64 bits
    ),
    "inputs that are too small": ({"x_train": X * 1e-39}, "no input ever changes in the training part"),
    "NaN to predict": ({"y_train": np.where(Y == 1, np.nan, 0.5)}, "y_train is not a finite number in"),
    "a class of one": ({"y_train": np.where(np.arange(400) == 0, 9, Y)}, "class 9 has so few"),
    "an unknown task": ({"kind": "ranking"}, "task = 'ranking'"),
    "fractions as classes": ({"y_train": Y + 0.5, "kind": "classification"}, "fractions, which are no classes"),
    "strings as quantities": ({"y_train": Y.astype(str), "kind": "regression"}, "strings, which are no quantities"),
    "more classes in test": ({"x_test": X, "y_test": Y + 1}, "y_test has classes that y_train has not: 3"),
    "names and numbers": ({"x_test": X, "y_test": Y.astype(str)}, "one holds strings and the other numbers"),
    "a test part of another shape": ({"x_test": X[:, :5], "y_test": Y}, r"x_train \(8,\) and x_test \(5,\)"),
    "a test part without labels": ({"x_test": X}, "there is x_test but no y_test"),
    "a few examples": ({"x_train": X[::5], "y_train": Y[::5]}, "80 examples in x_train are too few"),
    "five examples": ({"x_train": X[::80], "y_train": np.array([0, 1, 2, 0, 1])}, "5 examples in x_train are too few"),
    "a few tests": ({"x_test": X[::40], "y_test": Y[::40]}, "would have 10"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_learned_from_is_one_line(name: str) -> None:
    changes, told = BAD[name]
    with pytest.raises(ValueError, match=told) as caught:
        Data.of(**{"x_train": X, "y_train": Y, **changes})
    assert "\n" not in str(caught.value)


def test_names_that_are_rare_are_no_quantities() -> None:
    with pytest.raises(ValueError, match=r"class zebra has so few examples .* or add more$"):
        Data.of(X, np.where(np.arange(400) == 0, "zebra", np.array(["cat", "dog"])[Y % 2]))


def test_a_class_that_is_rare_by_chance_is_named() -> None:
    """Of one example, unless it falls into the training part."""
    found = []
    for place in range(40):
        try:
            found.append(Data.of(X, np.where(np.arange(400) == place, 9, Y)).classes)
        except ValueError as error:
            found.append(str(error))
    assert ("0", "1", "2", "9") in found and any("class 9 has so few" in str(one) for one in found)


def test_a_file_gives_what_its_arrays_give(tmp_path: Path) -> None:
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "mine.npz", x_train=X, y_train=Y, x_test=X[:40], y_test=Y[:40], names=np.array(["a"]))
        data, same = Data.read(str(tmp_path / "mine.npz")), Data.of(X, Y, X[:40], Y[:40])
        assert data.fingerprint == same.fingerprint and np.array_equal(data.search.x, same.search.x)


def test_digits_are_always_there() -> None:
    data, given = Data.read("digits"), load_digits()
    assert (data.inputs, data.outputs) == (64, 10)
    assert sum(map(len, (data.train, data.search, data.validation, data.test))) == len(given.target)


def test_files_that_are_not_read_are_named_with_what_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {
        name: tmp_path / name for name in ("none.npz", "table.csv", "text.npz", "keys.npz", "object.npz", "cut.npz")
    }
    paths["table.csv"].write_text("1,2")
    paths["text.npz"].write_text("1,2")
    np.savez(paths["keys.npz"], images=X, labels=Y)
    np.savez(paths["object.npz"], x_train=np.array([{}, {}]), y_train=Y)
    np.savez(paths["cut.npz"], x_train=X, y_train=Y)
    with zipfile.ZipFile(paths["cut.npz"]) as archive:
        start = archive.getinfo("x_train.npy").header_offset + 300
    whole = bytearray(paths["cut.npz"].read_bytes())
    whole[start : start + 50] = bytes(50)
    paths["cut.npz"].write_bytes(whole)
    for name, told in {
        "none.npz": "is not there",
        "table.csv": r"only \.npz files are read, not \.csv",
        "text.npz": r"cannot be read as \.npz",
        "keys.npz": "has no x_train and no y_train: it holds images, labels",
        "object.npz": "x_train holds Python objects, which are never loaded",
        "cut.npz": "is damaged",
    }.items():
        with pytest.raises(ValueError, match=told) as caught:
            Data.read(str(paths[name]))
        assert "\n" not in str(caught.value) and name in str(caught.value)
    with pytest.raises(ValueError, match="is a folder"):
        Data.read(str(tmp_path))
    np.savez(paths["none.npz"], x_train=np.where(X > 9, X, 1.0), y_train=Y)
    with pytest.raises(ValueError, match=r"none\.npz: no input ever changes"):
        Data.read(str(paths["none.npz"]))


def test_more_data_than_memory_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "large.npz", x_train=X, y_train=Y)
    monkeypatch.setattr(memory, "memory", lambda: 2**14)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(
        ValueError, match=r"large\.npz\" needs 0\.0 GiB of memory, and this machine has 0\.0 left: take fewer"
    ):
        Data.read(str(tmp_path / "large.npz"))
