"""Stacks: what they sum up, that they come back from text and files, and that nothing else passes for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from torch import nn

from evaluators.reconstruction import fit
from tests.topologies.test_packing import topologies
from topologies import SparseCascade, Stack, Topology, butterfly, clos, lift, load, random_regular, resize
from topologies.canonical import renumber
from topologies.crop import crop
from topologies.draw import draw_masks, draw_topology
from topologies.files import save
from topologies.masks import load_masks, save_masks
from topologies.models import plan, replace_conv2d, replace_linear
from topologies.names import at_places, resolve, resolve_any, stack_of
from topologies.packing import from_text, to_text
from topologies.stack import AnyTopology, Layout, by_place, size_text, stacked

stacks = st.lists(topologies(), min_size=1, max_size=4).map(lambda places: Stack(tuple(places)))
quick = settings(max_examples=40, deadline=None)

TWO = Stack((clos(8, 4, 3, 2, n_out=6), butterfly(6, 3, n_out=4)))


@quick
@given(stacks)
def test_text_and_files_give_a_stack_back(stack: Stack) -> None:
    assert from_text(to_text(stack)) == stack
    with TemporaryDirectory() as folder:
        assert load(stack.save(Path(folder) / "a.safetensors")) == stack
        found = load_masks(save_masks(stack, Path(folder) / "a.npz"))
        assert isinstance(found, Stack) and found == stack


@quick
@given(stacks)
def test_counts_are_sums_over_the_places(stack: Stack) -> None:
    masks = [mask for place in stack.places for mask in place.masks()]
    assert stack.n_edges == sum(np.count_nonzero(mask) for mask in masks)
    assert stack.n_trainable == sum((mask == 1).sum() for mask in masks)
    assert stack.n_constant == sum((mask == 2).sum() for mask in masks)
    assert stack.depth == len(masks)
    assert stack.sizes == tuple((place.masks()[0].shape[0], place.masks()[-1].shape[1]) for place in stack.places)


def test_the_digest_names_what_is_at_each_place_and_is_blind_to_numbering_within() -> None:
    one, other = clos(8, 4, 3, 2), butterfly(8, 3)
    different = [one, Stack((one,)), Stack((one, one)), Stack((one, other)), Stack((other, one)), Stack((one,) * 3)]
    assert len({each.digest for each in different}) == len(different)
    turned = renumber(one, [np.arange(layer.n_out)[::-1] for layer in one.layers[:-1]])
    assert turned != one
    assert Stack((turned, other)).digest == Stack((one, other)).digest == Stack((turned, other)).canonical.digest
    assert Stack((turned, other)).canonical == Stack((one, other)).canonical


def test_one_place_is_a_topology_unless_a_stack_is_asked_for() -> None:
    one = butterfly(8, 3)
    assert stacked([one]) is one and one.places == (one,)
    assert stacked([one, one]) == Stack((one, one)) == Stack((butterfly(8, 3), one))
    with pytest.raises(ValueError, match="at least one place"):
        Stack(())


def test_a_chain_is_one_where_outputs_are_the_next_inputs() -> None:
    assert TWO.is_chained and not Stack((TWO.places[1], TWO.places[0])).is_chained
    assert size_text(TWO.sizes) == "8-6-4" and size_text([(8, 6), (8, 6)]) == "8x6+8x6" and size_text([(8, 6)]) == "8x6"


def test_free_widths_have_bounds_and_stay_in_a_chain() -> None:
    fixed, free = Layout(((8, 6), (6, 4))), Layout(((8, 6), (6, 4)), ((3, 12), (2, 8)))
    assert fixed.admits(((8, 6), (6, 4))) and not fixed.admits(((8, 5), (5, 4)))
    assert free.admits(((8, 12), (12, 2)))
    for sizes in (((8, 13), (13, 4)), ((8, 6), (6, 9)), ((9, 6), (6, 4)), ((8, 6), (5, 4)), ((8, 6),)):
        assert not free.admits(sizes)
    assert free.of_widths([100, 1]) == ((8, 12), (12, 2))


def test_a_file_of_a_stack_is_read_by_a_stranger(tmp_path: Path) -> None:
    path = TWO.save(tmp_path / "two.safetensors")
    with safe_open(path, framework="numpy") as file:
        assert file.metadata()["format"] == "evofabric stack"
        sources = file.get_tensor("places.1.layers.2.sources")
    assert sources.tolist() == TWO.places[1].layers[2].sources.tolist()


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = TWO.save(tmp_path / "two.safetensors")
    whole = path.read_bytes()
    for place in range(0, len(whole), 41):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"is not a topology file") as caught:
            load(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="cut short or extended"):
        load(path)


def test_masks_of_which_one_is_missing_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{"places.0.layers.0": np.eye(3), "places.1.layers.1": np.eye(3)})
    with pytest.raises(ValueError, match="one of them is missing"):
        load_masks(tmp_path / "a.npz")


def test_a_layer_takes_no_stack_and_says_what_to_do(tmp_path: Path) -> None:
    path = save(TWO, tmp_path / "two.safetensors")
    for source in (path, str(path), TWO):
        with pytest.raises(ValueError, match=r"holds 2 places \(8 x 6, 6 x 4\).*convert puts them all") as caught:
            SparseCascade(source)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="holds 2 places"):
        resolve(path)
    assert resolve_any(path) == TWO


@pytest.mark.parametrize(
    "change", [lambda one: lift(one, 2), lambda one: resize(one, 9, 7), lambda one: crop(one, 5, 3)]
)
def test_other_sizes_are_for_one_topology_also_where_it_is_the_only_place(
    change: Callable[[AnyTopology], Topology],
) -> None:
    assert change(Stack(TWO.places[:1])) == change(TWO.places[0])
    with pytest.raises(ValueError, match="the stack holds 2 places"):
        change(TWO)


def test_a_stack_of_a_single_place_is_taken_wherever_a_topology_is() -> None:
    only = clos(16, 4, 3, 4, n_out=8)
    stack = Stack((only,))
    assert (resolve(stack), resolve_any(stack)) == (only, stack)
    assert SparseCascade(stack).topology == replace_linear(nn.Linear(16, 8), stack).topology == only
    assert np.array_equal(fit(stack, np.eye(16, 8), steps=2).weights, fit(only, np.eye(16, 8), steps=2).weights)
    assert replace_conv2d(nn.Conv2d(8, 8, 3), stack).multiplier == replace_conv2d(nn.Conv2d(8, 8, 3), only).multiplier
    with pytest.raises(ValueError, match="the stack holds 2 places"):
        fit(TWO, np.eye(16, 8))


class Place:
    """A path of a class of its own, as other libraries have theirs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


def test_a_path_of_any_class_is_a_files_name(tmp_path: Path) -> None:
    place = Place(save(TWO, tmp_path / "two.safetensors"))
    assert resolve_any(place) == stack_of(place) == TWO
    one = Place(save(TWO.places[0], tmp_path / "one.safetensors"))
    assert resolve(one) == TWO.places[0] and stack_of(one) is None
    made = plan(nn.Linear(TWO.places[0].n_in, TWO.places[0].n_out), one)
    assert [change.text for change in made.changes] == ["one.safetensors"]


def test_a_name_stands_for_a_topology_at_every_place(tmp_path: Path) -> None:
    sizes = ((8, 6), (6, 4))
    assert at_places("butterfly(depth=3)", sizes) == Stack((butterfly(8, 3, n_out=6), butterfly(6, 3, n_out=4)))
    assert at_places(TWO.save(tmp_path / "two.safetensors"), sizes) == TWO
    square = random_regular(8, 8, 8, 2, 3)
    square.save(tmp_path / "one.safetensors")
    assert at_places(tmp_path / "one.safetensors", ((8, 8),) * 2) == Stack((square, square))
    for name in ("butterfly(8, 3)", str(tmp_path / "one.safetensors")):
        with pytest.raises(ValueError, match="is 8 x 8, which does not fit a place of 8 x 6"):
            at_places(name, sizes)


def test_equal_places_are_shown_once_and_pictures_show_all() -> None:
    one, other = butterfly(8, 3), clos(8, 4, 3, 2)
    named = by_place({"a": Stack((one, other, one)), "b": one})
    assert named == {"a, places 1, 3": one, "a, place 2": other, "b": one}
    figure = draw_topology(TWO)
    assert len(figure.axes) == 2
    assert figure.axes[1].texts[0].get_text().startswith("place 2: 6 × 4")
    assert len(draw_masks(TWO).axes) == TWO.depth + len(TWO.places)  # and the path counts of each


def test_a_topology_has_the_text_it_had() -> None:
    assert isinstance(from_text(to_text(TWO.places[0])), Topology)
    for text in (to_text(TWO)[:-1], to_text(TWO) + " ", " ", "x "):
        with pytest.raises(ValueError, match=r"not a packed topology|base64|padding"):
            from_text(text)
