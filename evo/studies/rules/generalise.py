"""A champion of one size as a law, said in words, and made at another size."""

from __future__ import annotations

from evo.variation.profile import Profile, instantiate
from topologies.stack import AnyTopology
from topologies.topology import Topology


def generalised(champion: AnyTopology, n_in: int, n_out: int, budget: int, seed: int = 0) -> tuple[str, Topology]:
    """A champion's law in words, and the topology it makes of another size with ``budget`` trainable edges.

    Raises
    ------
    ValueError
        For a stack, whose places have a law each, and for a budget that does not suit the size.
    """
    if not isinstance(champion, Topology):
        raise ValueError(f"a stack of {len(champion.places)} topologies has no one law: a run of one place is wanted")
    profile = Profile.of(champion)
    return words(profile), instantiate(profile, n_in, n_out, budget, seed)


def words(profile: Profile) -> str:
    """The law in a few sentences, its numbers from the inputs' end to the outputs'."""
    return "\n".join(
        (
            f"Layers: {len(profile.shares)}, at any size.",
            "Hidden widths, over n_in^(1 - x) n_out^x at x from 0 to 1: "
            + (", ".join(f"{width:.2f}" for width in profile.widths) or "there are none")
            + ".",
            "Trainable edges, layer by layer: " + ", ".join(f"{share:.1%}" for share in profile.shares) + ".",
            "Constant edges into a neuron: " + ", ".join(f"{number:.2f}" for number in profile.constants) + ".",
            "Wiring: at random, with even fans.",
        )
    )
