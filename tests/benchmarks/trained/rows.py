"""The rows of a table: what stands beside the evolved masks, within one budget of trainable edges for every place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.trained.jobs import OnDevice
from tests.benchmarks.trained.pruning import AT_START, kept, synflow
from tests.benchmarks.trained.wiring import pairing, patches, reordered, scattered, similarity, spread
from topologies import butterfly, clos, dense, low_rank, monarch, parallel_butterfly, random_regular
from topologies.families import fits
from topologies.topology import Topology

Places = tuple[Topology, ...]


@dataclass(frozen=True)
class Row:
    """A line of a table: one mask for every place, in several forms of which the validation part chooses one.

    With ``regrown`` the edges move while it trains (RigL). ``note`` says what a reader must know.
    """

    name: str
    forms: dict[str, Places]
    note: str = ""
    regrown: bool = False


@dataclass(frozen=True)
class Setting:
    """Data, the network's widths (inputs first) and the trainable edges of every place."""

    data: OnDevice
    widths: tuple[int, ...]
    budgets: tuple[int, ...]
    masks_from: OnDevice | None = None

    @cached_property
    def near(self) -> NDArray[np.float64]:
        """How alike inputs are, in the data that masks are made from."""
        return similarity(self.source.data.train.x)

    @property
    def source(self) -> OnDevice:
        """The data that masks are made from: other ones where transfer is measured."""
        return self.masks_from or self.data

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Inputs and outputs of every place."""
        return list(pairwise(self.widths))

    @property
    def square(self) -> bool:
        """Whether all places have one size that is as wide as the inputs, a power of two, and one budget."""
        n = self.widths[0]
        return set(self.widths) == {n} and n & (n - 1) == 0 and len(set(self.budgets)) == 1


def structured(setting: Setting) -> list[Row]:
    """Families made by hand, in the order of the inputs and re-ordered by the data."""
    plain = _square_families(setting) if setting.square else _fitted_families(setting)
    order = pairing(setting.near)
    rows = []
    for name, forms in plain.items():
        if not forms:
            continue
        over = max(sum(one.n_trainable for one in places) for places in forms.values()) > sum(setting.budgets)
        note = "more edges than the budget: the smallest there is" if over else ""
        rows.append(Row(name, forms, note))
        if name != "low rank":  # whose inputs are all alike
            moved = {form: (reordered(places[0], order), *places[1:]) for form, places in forms.items()}
            rows.append(Row(f"{name}, re-ordered", moved, note))
    if setting.square and setting.widths[0] >= 64:
        rows.append(Row("butterfly of short strides, re-ordered", _short_strides(setting, order)))
    return rows


def _square_families(setting: Setting) -> dict[str, dict[str, Places]]:
    n, budget, count = setting.widths[0], setting.budgets[0], len(setting.budgets)

    def everywhere(forms: dict[str, Topology]) -> dict[str, Places]:
        return {name: (one,) * count for name, one in forms.items()}

    layers = budget // n
    parallel = {
        f"({p}, {layers // p})": parallel_butterfly(n, p, layers // p) for p in (2, 4) if layers // p >= max(2, 8 // p)
    }
    side = 1 << ((n.bit_length() - 1) // 2)
    middles = [m for m in range(1, side + 1) if clos(n, side, m, side).n_trainable <= budget]
    blocks = min((monarch(n, block) for block in (side, 2 * side)), key=lambda one: one.n_trainable)
    rank = max((r for r in range(1, n) if low_rank(n, n, r).n_trainable <= budget), default=1)
    return {
        "parallel butterfly": everywhere(parallel or {f"(1, {layers})": butterfly(n, layers)}),
        "butterfly": everywhere({str(layers): butterfly(n, layers)}),
        "Clos": everywhere({f"({side}, {m}, {side})": clos(n, side, m, side) for m in middles[-1:]}),
        "Monarch": everywhere({str(side): blocks}),
        "low rank": everywhere({str(rank): low_rank(n, n, rank)}),
    }


def _fitted_families(setting: Setting) -> dict[str, dict[str, Places]]:
    """At other sizes the member that each family chooses by itself; none where one place has none."""
    members = [fits(*size, budget) for size, budget in zip(setting.sizes, setting.budgets, strict=True)]
    names = {
        "parallel_butterfly": "parallel butterfly",
        "butterfly": "butterfly",
        "clos": "Clos",
        "monarch": "Monarch",
        "low_rank": "low rank",
    }
    return {
        told: {" | ".join(one[name].expression for one in members): tuple(one[name].topology() for one in members)}
        for name, told in names.items()
        if all(name in one for one in members)
    }


def _short_strides(setting: Setting, order: NDArray[np.int64]) -> dict[str, Places]:
    """Butterflies whose first place only joins inputs at most an eighth of all apart; the others are whole."""
    n, layers = setting.widths[0], setting.budgets[0] // setting.widths[0]
    digits = n.bit_length() - 1
    whole = butterfly(n, layers)
    short = Topology(tuple(butterfly(n, digits).layers[place % (digits - 2)] for place in range(layers)))
    rest = len(setting.budgets) - 1
    return {
        "first place": (reordered(short, order), *(whole,) * rest),
        "all places": (reordered(short, order), *(short,) * rest),
    }


def random_rows(setting: Setting) -> list[Row]:
    """Controls: random layers with equal fan-ins, deeper ones, and edges anywhere with ERK densities."""
    regular = {
        "one layer": tuple(
            random_regular(*size, size[1], 1, max(1, budget // size[1]), place, skip=False)
            for place, (size, budget) in enumerate(zip(setting.sizes, setting.budgets, strict=True))
        )
    }
    if setting.square and setting.budgets[0] // setting.widths[0] >= 10:
        n, fan = setting.widths[0], setting.budgets[0] // setting.widths[0]
        regular["5 layers"] = tuple(
            random_regular(n, n, n, 5, fan // 5 + 1, place) for place in range(len(setting.budgets))
        )
    return [Row("random regular", regular), Row("random, ERK densities", {"": erk(setting)})]


def erk(setting: Setting, seed: int = 0) -> Places:
    """Edges at random places, more of them in proportion where a place is small (Evci et al., 2020)."""
    raw = np.array([n_in + n_out for n_in, n_out in setting.sizes], dtype=float)
    full = np.array([n_in * n_out for n_in, n_out in setting.sizes])
    counts, free = np.zeros(len(raw)), np.ones(len(raw), np.bool_)
    while True:
        share = (sum(setting.budgets) - counts[~free].sum()) / raw[free].sum()
        counts[free] = share * raw[free]
        if not (over := free & (counts > full)).any():
            break
        counts[over], free = full[over], free & ~over
    draw = np.random.default_rng(seed)
    return tuple(scattered(*size, int(count), draw) for size, count in zip(setting.sizes, counts, strict=True))


def patch_rows(setting: Setting) -> list[Row]:
    """Neurons that each see the inputs most correlated with their own place, at the widths given and at free ones."""
    near, fixed, own = setting.near, [], setting.near
    for (n_in, n_out), budget in zip(setting.sizes, setting.budgets, strict=True):
        centres = np.arange(n_in) if n_out == n_in else spread(own, n_out)
        if n_out > n_in:
            return []
        fixed.append(patches(own, max(1, budget // n_out), centres=centres.tolist()))
        own = own[np.ix_(centres, centres)]
    rows = [Row("correlation patches", {"": tuple(fixed)})]
    if setting.square and len(setting.budgets) == 2 and (free := _free_widths(near, sum(setting.budgets))):
        rows.append(Row("correlation patches, free widths", free))
    return rows


def _free_widths(near: NDArray[np.float64], edges: int) -> dict[str, Places]:
    """More and smaller neurons, in two places of so many edges together; the last two widths are free."""
    n, found = len(near), {}
    for first, second in ((2, 1), (3, 1), (4, 1), (2, 2)):
        seen = edges // (2 * n * first)
        again = (edges - n * first * seen) // (n * first * second)
        if seen < 2 or again < 2:
            continue
        places = (patches(near, seen, 1, first), patches(near, again, first, second))
        found[f"{n}-{n * first}-{n * second}, {seen} and {first} x {again}"] = places
    return found


def dense_rows(setting: Setting) -> list[Row]:
    """Dense layers of the same widths, and narrow ones with as many weights as the budget."""
    whole = tuple(dense(*size, skip=False) for size in setting.sizes)
    width = max(h for h in range(1, max(setting.widths)) if _edges(setting, h) <= 1.03 * sum(setting.budgets))
    narrow = [setting.widths[0], *[width] * len(setting.budgets)]
    small = tuple(dense(*size, skip=False) for size in pairwise(narrow))
    return [
        Row("dense", {"": whole}, "all edges"),
        Row("dense of equal size", {f"{width} wide": small}),
    ]


def _edges(setting: Setting, width: int) -> int:
    return setting.widths[0] * width + (len(setting.budgets) - 1) * width**2


def pruned_at_start(setting: Setting) -> list[Row]:
    """Masks of scores at initialisation, in every place as many edges or over all places together."""
    rows = []
    for everywhere, told in ((False, "per layer"), (True, "over all layers")):
        for name, scores in AT_START.items():
            found = kept(setting.widths, scores(setting.source, setting.widths), setting.budgets, everywhere)
            rows.append(Row(f"{name}, {told}", {"": found}))
        flow = synflow(setting.source, setting.widths, setting.budgets, everywhere)
        rows.append(Row(f"SynFlow, {told}", {"": kept(setting.widths, flow, setting.budgets, everywhere)}))
    return rows


def rigl_row(setting: Setting) -> Row:
    """RigL, from edges at random places; each place keeps its number of edges."""
    return Row("RigL, as it ends", {"": erk(setting, 1)}, regrown=True)


def all_rows(setting: Setting, champions: Sequence[Row] = ()) -> list[Row]:
    """Everything that needs no training to know its mask, and RigL."""
    return [
        *champions,
        *patch_rows(setting),
        *structured(setting),
        *random_rows(setting),
        *pruned_at_start(setting),
        rigl_row(setting),
        *dense_rows(setting),
    ]
