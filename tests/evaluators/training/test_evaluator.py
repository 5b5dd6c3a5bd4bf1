"""Training on data: against a loop written with PyTorch alone, and what a score must not depend on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from evaluators import Fidelity, Score, Split
from evaluators.run import canary, proof_at
from evaluators.training import Data, TrainedAccuracy, training
from evaluators.training.data import Part
from evaluators.training.evaluator import sizes_of
from evaluators.training.models import cascade
from evaluators.training.training import alone, batch_size, error, one_cycle, train
from tests.evaluators.training.examples import Looks, blobs, easy, frozen, of_another_size, two_layers, without_cascades
from topologies import SparseCascade, Topology, butterfly, dense, low_rank

FIDELITY = Fidelity(2, 4, (0.03,))
DATA = easy()
"""Two hundred examples to train on, so that an epoch has a dozen steps."""


def net(hidden: int = 8) -> nn.Sequential:
    """A perceptron of PyTorch's own."""
    return nn.Sequential(nn.Linear(8, hidden), nn.ReLU(), nn.Linear(hidden, 3))


def written_out(data: Data, model: nn.Module, epochs: int, rate: float, decay: float, batch: int, seed: int) -> None:
    """The same training with PyTorch's scheduler and plain AdamW."""
    draws = np.random.default_rng(seed)
    x, y = torch.from_numpy(data.train.x.copy()), torch.from_numpy(data.train.y.copy())
    steps = len(x) // batch
    adam = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, rate, total_steps=epochs * steps)
    for _ in range(epochs):
        for of_batch in np.split(draws.permutation(len(x))[: steps * batch], steps):
            adam.zero_grad()
            functional.cross_entropy(model(x[of_batch]), y[of_batch]).backward()  # type: ignore[no-untyped-call]
            adam.step()
            cycle.step()


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_training_is_that_of_a_loop_written_with_pytorch_alone(decay: float) -> None:
    ours, theirs = net(), net()
    theirs.load_state_dict(ours.state_dict())
    train(ours, DATA.train, 3, 0.02, decay, 16, np.random.default_rng(7))
    written_out(DATA, theirs, 3, 0.02, decay, 16, 7)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert mine.detach().numpy() == pytest.approx(other.detach().numpy(), abs=1e-4)


def test_a_dense_topology_learns_as_dense_layers_do() -> None:
    """Weights start otherwise, so in the mean over seeds, on classes that overlap."""
    draw = np.random.default_rng(1)
    y = np.arange(600) % 3
    x = draw.normal(size=(3, 8))[y] + 1.2 * draw.normal(size=(600, 8))
    data = Data.of(x, y)
    ours = TrainedAccuracy(data, [8]).evaluate(dense(8, 8), Fidelity(6, 4, (0.02,)), Split.SEARCH, 0)
    theirs = []
    for seed in range(6):
        torch.manual_seed(seed)
        model = net()
        written_out(data, model, 4, 0.02, 0.0, 16, seed)
        found = model(torch.from_numpy(data.search.x)).argmax(dim=1).numpy()
        theirs.append(float((found != data.search.y).mean()))
    assert 0.02 < np.mean(theirs) < 0.5
    assert ours.error == pytest.approx(np.mean(theirs), abs=0.05)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 17, 100])
def test_the_cycle_is_pytorchs(steps: int) -> None:
    adam = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1.0)
    if steps >= 4:
        cycle = torch.optim.lr_scheduler.OneCycleLR(adam, 1.0, total_steps=steps)
        for rate, beta in one_cycle(steps):
            group = adam.param_groups[0]
            assert (rate, beta) == pytest.approx((group["lr"], group["betas"][0]), rel=1e-6)
            adam.step()
            if rate != one_cycle(steps)[-1][0]:
                cycle.step()
    assert len(one_cycle(steps)) == steps and all(0 < rate <= 1 for rate, _ in one_cycle(steps))


def test_a_single_step_is_at_the_peak() -> None:
    assert one_cycle(1)[0][0] == 1


def test_equal_arguments_give_equal_bits_whatever_ran_before() -> None:
    one, other = TrainedAccuracy(DATA, [8, 8]), TrainedAccuracy(easy(), [8, 8])
    found = one.evaluate(butterfly(8, 3), FIDELITY, Split.SEARCH, 3)
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        one.evaluate(dense(8, 8), FIDELITY, Split.VALIDATION, 1)
        assert other.evaluate(butterfly(8, 3), FIDELITY, Split.SEARCH, 3) == found
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_training_does_not_depend_on_how_many_there_are() -> None:
    task = TrainedAccuracy(DATA, [8])
    few, many = (task.evaluate(butterfly(8, 3), Fidelity(n, 2, (0.001,)), Split.SEARCH, 3).errors for n in (2, 5))
    assert many[:2] == few and len(set(many)) > 1


def test_shuffled_labels_give_chance() -> None:
    x, y = blobs(1200)
    data = Data.of(x, np.random.default_rng(1).permutation(y))
    score = TrainedAccuracy(data, [8]).evaluate(dense(8, 8), Fidelity(3, 4, (0.01,)), Split.TEST, 0)
    assert score.error == pytest.approx(2 / 3, abs=0.08)
    assert TrainedAccuracy(DATA, [8]).evaluate(dense(8, 8), FIDELITY, Split.TEST, 0).error < 0.02


def test_each_split_is_scored_on_its_own_part_alone() -> None:
    """Labels of one part are turned round: its errors are all, and no other's are."""
    for split in Split:
        data = easy()
        part = data.part(split)
        part.y[:] = (part.y + 1) % 3
        errors = {one: TrainedAccuracy(data, [8]).evaluate(dense(8, 8), FIDELITY, one, 0).error for one in Split}
        assert errors.pop(split) > 0.9 and max(errors.values()) < 0.1


def test_nothing_is_chosen_on_the_test_part() -> None:
    """Where all test labels are wrong, the worse rate looks better there, and is not taken."""
    data = easy()
    data.test.y[:] = (data.test.y + 1) % 3
    task, fidelity = TrainedAccuracy(data, [8]), Fidelity(1, 3, (1e-6, 0.03))
    score = task.evaluate(dense(8, 8), fidelity, Split.TEST, 0)
    assert score.learning_rate == 0.03 and score.error > 0.9
    assert task.evaluate(dense(8, 8), Fidelity(1, 3, (1e-6,)), Split.TEST, 0).error < score.error


def test_the_rate_and_decay_with_the_least_mean_error_count() -> None:
    task = TrainedAccuracy(easy(), [8])
    whole = task.evaluate(butterfly(8, 3), Fidelity(2, 2, (1e-5, 0.02), (0.0, 50.0)), Split.SEARCH, 0)
    single = {
        (rate, decay): task.evaluate(butterfly(8, 3), Fidelity(2, 2, (rate,), (decay,)), Split.SEARCH, 0)
        for rate in (1e-5, 0.02)
        for decay in (0.0, 50.0)
    }
    assert whole == min(single.values(), key=lambda score: score.error)
    assert single[0.02, 0.0] != single[0.02, 50.0]


def test_regression_is_the_share_of_the_variance_that_is_not_explained() -> None:
    x, _ = blobs(600)
    weights = np.random.default_rng(2).normal(size=(8, 2))
    score = TrainedAccuracy(Data.of(x, 40 + 9 * x @ weights), [8]).evaluate(
        dense(8, 8), Fidelity(2, 12, (0.03,)), Split.SEARCH, 0
    )
    assert 0 < score.error < 0.1
    noise = np.random.default_rng(3).normal(size=(600, 1))
    nothing = TrainedAccuracy(Data.of(x, noise), [8]).evaluate(dense(8, 8), FIDELITY, Split.SEARCH, 0)
    assert nothing.error > 0.9


def test_no_error_is_above_one_however_a_model_diverges() -> None:
    x, _ = blobs()
    task = TrainedAccuracy(Data.of(x, x @ np.ones(8) + 0.5), [8])
    assert task.evaluate(dense(8, 8), Fidelity(2, 2, (1e20,)), Split.SEARCH, 0) == Score((1.0, 1.0), 1e20, 0.0)
    found = TrainedAccuracy(DATA, [8]).evaluate(dense(8, 8), Fidelity(2, 2, (1e20,)), Split.SEARCH, 0)
    assert all(0.5 < one <= 1 for one in found.errors)


def test_scoring_counts_every_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches of any size, the last of them smaller."""
    with alone(3):
        model = net()
    found = model(torch.from_numpy(DATA.search.x)).argmax(dim=1).numpy()
    for at_once in (1000, 7, 1):
        monkeypatch.setattr(training, "SCORED_AT_ONCE", at_once)
        assert error(model, DATA.search) == (found != DATA.search.y).mean()


@pytest.mark.parametrize(("examples", "size"), [(20, 16), (500, 16), (864, 32), (6_400, 256), (10**6, 256)])
def test_a_batch_is_no_larger_than_an_epoch_of_twenty_five_needs(examples: int, size: int) -> None:
    assert batch_size(examples) == size


def test_a_model_of_ones_own_is_trained() -> None:
    name = f"{two_layers.__module__}:two_layers"
    found = [
        TrainedAccuracy(DATA, model=model, sizes=[(8, 8)] * 2).evaluate(dense(8, 8), FIDELITY, Split.SEARCH, 0)
        for model in (name, two_layers)
    ]
    assert found[0] == found[1] and found[0].error < 0.1
    usual = TrainedAccuracy(DATA, [8, 8])
    own = TrainedAccuracy(DATA, model=two_layers, sizes=[(8, 8)] * 2)
    brief = Fidelity(3, 1, (0.003,))
    assert usual.evaluate(dense(8, 8), brief, Split.SEARCH, 0) != own.evaluate(dense(8, 8), brief, Split.SEARCH, 0)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no model": ({}, "either `hidden` or `model` is wanted"),
    "two models": ({"hidden": [8], "model": two_layers}, "either `hidden` or `model` is wanted"),
    "free widths of a model of one's own": (
        {"model": two_layers, "sizes": [(8, 8)] * 2, "free_widths": True},
        "widths are free where `hidden` is given",
    ),
    "no layers": ({"hidden": []}, "at least one width"),
    "a width of nothing": ({"hidden": [0]}, "at least one width"),
    "no size": ({"model": two_layers}, "`sizes` are wanted"),
    "another input": (
        {"model": two_layers, "sizes": [(7, 8)]},
        "the model function fails with 1 cascades of 7 x 8: ValueE",
    ),
    "another output": (
        {"model": of_another_size, "sizes": [(8, 8)]},
        r"answers a batch of 2 with \(2, 4\), where \(2, 3\)",
    ),
    "a cascade ignored": ({"model": without_cascades, "sizes": [(8, 8)] * 2}, "ignores cascade 1 of 2"),
    "a cascade not trained": ({"model": Looks, "sizes": [(8, 8)]}, "ignores cascade 0 of 1"),
    "no module": ({"model": lambda *_: 3, "sizes": [(8, 8)]}, "returned a int, not a torch.nn.Module"),
    "no function": ({"model": "numpy:pi", "sizes": [(8, 8)]}, "is no function"),
    "no such function": (
        {"model": "numpy:magic", "sizes": [(8, 8)]},
        "'numpy:magic': AttributeError: module 'numpy' has no",
    ),
    "no such module": (
        {"model": "no_such:magic", "sizes": [(8, 8)]},
        "model 'no_such:magic': ModuleNotFoundError: No module",
    ),
    "a cascade frozen": (
        {"model": frozen, "sizes": [(8, 8)] * 2},
        "cascade 1 is frozen: its weights have to be trained",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_model_that_cannot_be_searched_for_is_one_line(name: str) -> None:
    arguments, told = WRONG[name]
    with pytest.raises(ValueError, match=told) as caught:
        TrainedAccuracy(DATA, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def model(cascades, outputs)", "SyntaxError: expected ':'"),
        ("names = {}['widths']", "KeyError: 'widths'"),
        ("len(3)", "TypeError: object of type 'int' has no len"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
    ],
    ids=lambda value: value.split(":")[0] if "Error" in value else "",
)
def test_a_module_that_fails_is_one_line(text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing.py").write_text(text + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=f"model 'failing:model': {told}") as caught:
        TrainedAccuracy(DATA, model="failing:model", sizes=[(8, 8)])
    assert "\n" not in str(caught.value)


def test_a_topology_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="the topology is 8 x 5, where the model takes 8 x 8"):
        TrainedAccuracy(DATA, [8]).evaluate(dense(8, 5), FIDELITY, Split.SEARCH, 0)
    assert sizes_of(784, [256, 128]) == ((784, 256), (256, 128))


def test_what_decides_scores_is_in_the_identity() -> None:
    x, y = blobs()
    found = [
        TrainedAccuracy(DATA, [8]),
        TrainedAccuracy(DATA, [8, 8]),
        TrainedAccuracy(DATA, [8], batch=7),
        TrainedAccuracy(Data.of(x, y, x[:30], y[:30]), [8]),
        TrainedAccuracy(DATA, model=two_layers, sizes=[(8, 8)] * 2),
    ]
    assert len({one.identity for one in found}) == len(found)
    assert TrainedAccuracy(easy(), [8]).identity == found[0].identity


def test_a_part_whose_quantities_are_all_at_the_mean_has_an_error_of_one() -> None:
    x, _ = blobs()
    data = Data.of(x, x[:, 0])
    at_the_mean = replace(data, test=Part(data.test.x, np.zeros_like(data.test.y)))
    found = TrainedAccuracy(at_the_mean, [8]).evaluate(dense(8, 8), FIDELITY, Split.TEST, 0)
    assert set(found.errors) == {1.0}


def test_more_edges_learn_more() -> None:
    """A bottleneck of one neuron cannot tell as much apart."""
    task = TrainedAccuracy(Data.of(*blobs(800, classes=6)), [8])
    narrow, wide = (
        task.evaluate(one, Fidelity(2, 8, (0.01, 0.03)), Split.SEARCH, 0).error
        for one in (low_rank(8, 8, 1), dense(8, 8))
    )
    assert wide < narrow - 0.1
    nothing = task.evaluate(Topology.from_masks([np.zeros((8, 8), int)]), FIDELITY, Split.SEARCH, 0).error
    assert nothing > 0.7


def test_a_worker_whose_weights_differ_in_their_last_bit_proves_something_else() -> None:
    """Though its error is the same, as on processors with other instructions."""

    def nudged(topology: Topology) -> SparseCascade:
        layer = cascade(topology)
        with torch.no_grad():
            layer.edge_weight.mul_(1 + 2**-22)
        return layer

    data = Data.of(*blobs())
    usual, other = TrainedAccuracy(data, [8], layer=cascade), TrainedAccuracy(data, [8], layer=nudged)
    task = proof_at(usual.sizes, usual)
    asked = (task.topology, task.fidelity, task.split, task.seed)
    assert usual.evaluate(*asked) == other.evaluate(*asked)
    assert usual.proof(*asked) == usual.proof(*asked) != other.proof(*asked)
    assert canary(usual, task).startswith(usual.proof(*asked))
    wrong = replace(task, topology=dense(3, 3))
    assert canary(usual, wrong).startswith("ValueError by ")


def test_memory_that_is_missing_while_a_worker_proves_itself_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = TrainedAccuracy(Data.of(*blobs()), [8])

    def exhausted(*asked: Any) -> str:
        raise MemoryError

    monkeypatch.setattr(TrainedAccuracy, "proof", exhausted)
    with pytest.raises(MemoryError):
        canary(evaluator, proof_at(evaluator.sizes, evaluator))
