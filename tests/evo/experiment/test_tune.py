"""Tuning: all members where they are few, TPE above, and always the same trials for the same scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import optuna
import pytest

from evaluators.task import Fidelity, Score, Split
from evo.experiment.tune import Trial, tune
from tests.fakes import HashEvaluator, doomed
from topologies.canonical import canonical
from topologies.families import Member, members

PARALLEL = members("parallel_butterfly", 16, 16, 256)
CLOS = members("clos", 16, 16, 128)
REGULAR = members("random_regular", 12, 10, 100)


class Recorder:
    """Scores trials and remembers in which batches they came."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def __call__(self, trials: Sequence[Trial]) -> list[Score | None]:
        """By digest; a failure for the doomed."""
        self.batches.append([trial.expression for trial in trials])
        return [self.score(trial) for trial in trials]

    def score(self, trial: Trial) -> Score | None:
        """Of one trial."""
        if doomed(trial.topology):
            return None
        return HashEvaluator().evaluate(trial.topology, Fidelity(2, 1, (0.1,)), Split.SEARCH, 1)

    @property
    def asked(self) -> list[str]:
        """All expressions, in order."""
        return [expression for batch in self.batches for expression in batch]


@pytest.mark.parametrize("candidates", [PARALLEL, REGULAR], ids=["parallel_butterfly", "random_regular"])
def test_where_members_are_few_every_one_is_tried_once(candidates: list[Member]) -> None:
    recorder = Recorder()
    trials = tune(candidates, recorder, len(candidates), 1)
    assert recorder.batches == [[member.expression for member in candidates]]
    assert sorted(trial.expression for trial in trials) == sorted(member.expression for member in candidates)
    for trial in trials:
        member = candidates[trial.number]
        assert trial.expression == member.expression
        assert trial.topology == canonical(member.topology())
        assert trial.score == recorder.score(trial)


@pytest.mark.parametrize("trials", [1, 7, 8, 20])
@pytest.mark.parametrize("candidates", [CLOS, PARALLEL], ids=["clos", "parallel_butterfly"])
def test_above_that_tpe_is_asked_so_many_times_and_no_member_is_tried_twice(
    candidates: list[Member], trials: int
) -> None:
    assert len(candidates) > 20
    recorder = Recorder()
    made = tune(candidates, recorder, trials, 1)
    assert 1 <= len(made) <= trials
    assert len(set(recorder.asked)) == len(recorder.asked) == len(made)
    assert set(recorder.asked) <= {member.expression for member in candidates}
    assert sorted(trial.number for trial in made) == list(range(len(made)))
    assert [trial.expression for trial in sorted(made, key=lambda trial: trial.number)] == recorder.asked
    assert max(len(batch) for batch in recorder.batches) <= 8


@pytest.mark.parametrize("trials", [20, 10**6], ids=["tpe", "all"])
def test_the_best_come_first_and_failures_last(trials: int) -> None:
    errors = [trial.error for trial in tune(CLOS, Recorder(), trials, 1)]
    assert errors == sorted(errors)
    assert np.isinf(errors[-1]) and np.isfinite(errors[0])


def test_equal_scores_and_seed_give_equal_trials_and_another_seed_others() -> None:
    first, again, other = Recorder(), Recorder(), Recorder()
    assert tune(CLOS, first, 30, 1) == tune(CLOS, again, 30, 1)
    assert first.batches == again.batches
    tune(CLOS, other, 30, 2)
    assert other.batches != first.batches


def test_tpe_draws_on_no_shared_generator() -> None:
    first, again = Recorder(), Recorder()
    tune(CLOS, first, 20, 1)
    state = np.random.get_state()[1].tolist()
    np.random.random(5)
    tune(CLOS, again, 20, 1)
    assert first.batches == again.batches
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()
    tune(CLOS, Recorder(), 20, 1)
    assert np.random.get_state()[1].tolist() == before != state


def test_more_trials_begin_like_fewer() -> None:
    few, more = Recorder(), Recorder()
    tune(CLOS, few, 16, 1)
    tune(CLOS, more, 32, 1)
    assert more.asked[: len(few.asked)] == few.asked


def test_tpe_finds_what_it_is_led_to() -> None:
    class Valley(Recorder):
        def score(self, trial: Trial) -> Score | None:
            _, ingress, middle, egress = (float(part) for part in trial.expression[5:-1].split(", "))
            return Score((abs(np.log(ingress / 4)) + abs(np.log(middle / 3)) + abs(np.log(egress / 4)),))

    every = np.array([trial.error for trial in tune(CLOS, Valley(), len(CLOS), 1)])
    for seed in (1, 2, 3):
        led = Valley()
        best = tune(CLOS, led, 40, seed)[0]
        assert len(led.asked) < len(CLOS) / 2
        assert (every < best.error).mean() < 0.02


@pytest.mark.parametrize("candidates", [CLOS, CLOS[:-3]], ids=["among the candidates", "beside them"])
def test_a_first_member_is_tried_before_what_tpe_chooses(candidates: list[Member]) -> None:
    for first in (CLOS[-1], CLOS[-3]):
        recorder = Recorder()
        tune(candidates, recorder, 3, 1, first)
        assert recorder.asked[0] == first.expression
        assert len(recorder.asked) > 1


def test_any_seed_will_do() -> None:
    assert tune(CLOS, Recorder(), 4, 2**40)


def test_a_family_without_members_has_no_trials() -> None:
    assert tune([], Recorder(), 8, 1) == ()


def test_optunas_own_messages_stay_out_of_the_way() -> None:
    tune(CLOS, Recorder(), 2, 1)
    assert optuna.logging.get_verbosity() >= optuna.logging.WARNING
