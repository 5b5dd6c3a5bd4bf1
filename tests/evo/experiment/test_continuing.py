"""Runs that go on: extended, forked, from a checkpoint, after a full disk or damage, with the scores of other runs."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

import evo.experiment.loop
import evo.storage.checkpoint
import evo.storage.header
import evo.storage.journal
import tests.fakes
from cluster.in_process import InProcessPool
from evaluators.proxies.registry import CONTROL, measure
from evaluators.task import Fidelity, Race, Split, Task
from evo.algorithm.individual import Candidate, Individual
from evo.algorithm.nsga2 import Policy, Rules, State
from evo.algorithm.progress import Progress
from evo.experiment.compare import verify
from evo.experiment.search import Result, search
from evo.recipe import validate
from evo.settings import Settings
from evo.storage.checkpoint import cut
from evo.storage.evaluations import Request
from evo.storage.header import JOURNAL, fork, recipe_of
from evo.storage.history import History
from evo.storage.journal import PausedError
from evo.storage.records import ForkRecord, Header, Origin, PhaseStarted, RunEvent, ScoreRecord
from tests.evo.histories import rewritten
from tests.fakes import SEED, HashEvaluator, ShufflingPool, evaluations, recipe
from topologies import Topology, random_regular


def small(generations: int = 4, most: int = 1, **changes: Any) -> Settings:
    """A search of 6 x 6, with at most so many generations under way."""
    loop = {"generations": generations, "max_pending_generations": most}
    return recipe(n_in=6, n_out=6, budget=24, loop=loop, **changes)


def run(folder: Path, settings: Settings) -> tuple[Result, HashEvaluator]:
    """Search, or go on, in a folder."""
    folder.mkdir(exist_ok=True)
    evaluator = HashEvaluator()
    return search(settings, evaluator, folder=folder), evaluator


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every generation."""
    monkeypatch.setattr(evo.storage.checkpoint, "PERIOD", -1.0)


@pytest.fixture
def bred(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the generations that are bred."""
    numbers: list[int] = []
    ask = evo.experiment.loop.ask

    def noting(state: State, rules: Rules, generation: int) -> tuple[State, tuple[Candidate, ...]]:
        numbers.append(generation)
        return ask(state, rules, generation)

    monkeypatch.setattr(evo.experiment.loop, "ask", noting)
    return numbers


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("checkpoints", [True, False])
def test_a_search_that_is_extended_ends_like_one_that_was_as_long_from_the_start(
    tmp_path: Path, most: int, checkpoints: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evo.storage.checkpoint, "PERIOD", -1.0 if checkpoints else 1e9)
    whole, _ = run(tmp_path / "whole", small(6, most))
    first, before = run(tmp_path / "extended", small(3, most))
    assert first.digest != whole.digest
    extended, after = run(tmp_path / "extended", small(6, most))
    assert extended.digest == whole.digest
    assert extended.table == whole.table
    assert not set(before.calls) & set(after.calls)
    history = History.of(tmp_path / "extended")
    assert history.status == "FINISHED" and history.settings["loop"]["generations"] == 6
    assert history.table == whole.table
    with pytest.raises(ValueError, match="--generations 5: the run has 6, and can only be extended"):
        recipe_of(tmp_path / "extended", 5)


def test_the_recipe_of_a_run_is_that_of_its_last_extension(tmp_path: Path) -> None:
    settings = small(3, evaluator="tests.fakes:HashEvaluator", runs=str(tmp_path))
    folder = search(settings, folder=tmp_path / "run").folder
    assert validate(recipe_of(folder)) == settings
    longer = validate(recipe_of(folder, 6))
    assert longer == small(6, evaluator="tests.fakes:HashEvaluator", runs=str(tmp_path))
    assert search(longer, folder=folder).digest == run(tmp_path / "whole", small(6))[0].digest
    assert validate(recipe_of(folder)) == validate(recipe_of(folder, 6)) == longer
    with pytest.raises(ValueError, match="--generations 5: the run has 6, and can only be extended"):
        recipe_of(folder, 5)


def test_a_run_whose_evaluator_was_given_from_python_is_continued_there(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(folder, small(1))
    words = "its evaluator, tests.fakes:HashEvaluator, was given from Python: continue it there"
    with pytest.raises(ValueError, match=words):
        recipe_of(folder)
    with pytest.raises(ValueError, match=words):
        fork(folder)
    assert [one.name for one in tmp_path.iterdir()] == ["run"], "no copy that nothing could continue"


def test_a_finished_run_that_is_entered_again_keeps_its_champion_whatever_stops_it(tmp_path: Path) -> None:
    result, _ = run(tmp_path, small(2))
    before = result.champion_file.read_bytes()

    def stop(event: RunEvent) -> None:
        assert result.champion_file.read_bytes() == before
        if isinstance(event, PhaseStarted) and event.phase == "validation":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(small(2), HashEvaluator(), folder=tmp_path, watcher=stop)
    assert result.champion_file.read_bytes() == before
    assert verify(tmp_path, HashEvaluator()).agrees


def test_a_run_in_the_middle_of_an_extension_is_not_finished(tmp_path: Path) -> None:
    run(tmp_path, small(2))
    lines = (tmp_path / JOURNAL).read_bytes()
    run(tmp_path, small(3))
    more = (tmp_path / JOURNAL).read_bytes()[len(lines) :].splitlines(keepends=True)
    (tmp_path / JOURNAL).write_bytes(lines + b"".join(more[:3]))
    history = History.of(tmp_path)
    assert history.table is None and history.status == "KILLED"


@pytest.mark.parametrize("most", [1, 2])
def test_a_checkpoint_saves_breeding_and_changes_nothing(
    tmp_path: Path, most: int, often: None, bred: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = run(tmp_path / "whole", small(5, most))
    noted = History.of(tmp_path / "whole").generations(Policy.EVOLUTION)
    folder = tmp_path / "resumed"
    folder.mkdir()
    process, count = evo.experiment.loop.process, 0

    def dying(progress: Progress, rules: Rules, generation: Sequence[Individual]) -> Progress:
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        return process(progress, rules, generation)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(evo.experiment.loop, "process", dying)
        search(small(5, most), HashEvaluator(), folder=folder)
    bred.clear()
    resumed, _ = run(folder, small(5, most))
    assert resumed.digest == whole.digest
    evolution, control = bred[: bred.index(0)], bred[bred.index(0) :]
    assert min(evolution) == 3 + most - 1, "generations before the checkpoint are not bred again"
    assert control == list(range(6))
    assert len(noted) == 6


@pytest.mark.parametrize("spoil", [b"", b"no checkpoint", None])
def test_a_checkpoint_that_is_gone_or_damaged_or_of_another_journal_is_not_used(
    tmp_path: Path, often: None, bred: list[int], spoil: bytes | None
) -> None:
    whole, _ = run(tmp_path, small())
    checkpoint = tmp_path / "checkpoint-evolution.json.z"
    assert checkpoint.exists()
    if spoil is None:  # one that knows of more than the journal does
        lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
        (tmp_path / JOURNAL).write_bytes(b"".join(lines[: len(lines) // 3]))
    elif spoil:
        checkpoint.write_bytes(spoil)
    else:
        checkpoint.unlink()
    bred.clear()
    again, _ = run(tmp_path, small())
    assert again.digest == whole.digest
    assert bred[:2] == [0, 1]


class Full:
    """Stands for a disk with room for so many bytes more."""

    def __init__(self, room: int, write: Callable[[FileIO, bytes], None]) -> None:
        self.room, self._write = room, write

    def __call__(self, file: FileIO, data: bytes) -> None:
        """Write what there is room for."""
        self._write(file, data[: self.room])
        if len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(data)


@pytest.mark.parametrize("room", [20_000, 20_001, 60_000])
def test_a_full_disk_pauses_the_run_and_costs_only_what_was_not_written(
    tmp_path: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, everything = run(tmp_path / "whole", small())
    paused = tmp_path / "paused"
    paused.mkdir()
    evaluator = HashEvaluator()
    with monkeypatch.context() as patch:
        patch.setattr(evo.storage.journal, "write", Full(room, evo.storage.journal.write))
        with pytest.raises(PausedError, match=r"No space left on device. The run is paused") as caught:
            search(small(), evaluator, folder=paused)
    assert "\n" not in str(caught.value) and str(paused) in str(caught.value)
    assert History.of(paused).status == "KILLED"
    assert (paused / JOURNAL).stat().st_size <= room
    resumed, rest = run(paused, small())
    assert resumed.digest == whole.digest
    lost = len(evaluator.calls) + len(rest.calls) - len(everything.calls)
    assert lost in (1, 2), "the one evaluation, perhaps with its promotion, whose record did not fit"


def test_a_damaged_record_is_named_and_the_run_goes_on_from_before_it(tmp_path: Path, often: None) -> None:
    whole, _ = run(tmp_path, small())
    assert list(tmp_path.glob("checkpoint-*"))
    path = tmp_path / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    lines[40] = lines[40].replace(b"1", b"2")
    path.write_bytes(b"".join(lines))
    with pytest.raises(ValueError, match=r"record 40 is damaged; .* evofabric resume .* --before-record 40"):
        run(tmp_path, small())
    for wrong in (0, 41, 10**6):
        with pytest.raises(ValueError, match="only intact records after the header can stay"):
            cut(tmp_path, wrong)
    cut(tmp_path, 40)
    assert not list(tmp_path.glob("checkpoint-*")), "they tell of what was cut"
    assert path.read_bytes() == b"".join(lines[:40])
    assert path.with_name("journal.jsonl.damaged").read_bytes() == b"".join(lines)
    again, evaluator = run(tmp_path, small())
    assert again.digest == whole.digest
    assert len(evaluator.calls) <= 1, "what was intact behind the damage is known"


def test_a_copy_knows_what_was_intact_behind_damage(tmp_path: Path) -> None:
    settings = small(evaluator="tests.fakes:HashEvaluator")
    folder = search(settings, folder=tmp_path / "run").folder
    cut(folder, 40)
    copy = fork(folder)
    scored = (folder / f"{JOURNAL}.damaged").read_bytes().count(b'"kind":"score"')
    search(settings, folder=copy)
    devices = [one.device for one in History.of(copy).records if isinstance(one, ScoreRecord)]
    assert len(devices) == scored and devices.count("cache") >= scored - 40


@pytest.mark.parametrize("go_on", [fork, recipe_of, History.of, lambda folder: cut(folder, 1)])
def test_what_is_no_run_is_refused(tmp_path: Path, go_on: Callable[[Path], object]) -> None:
    with pytest.raises(ValueError, match="is not the folder of a run: it has no"):
        go_on(tmp_path)
    (tmp_path / JOURNAL).touch()
    with pytest.raises(ValueError, match=r"no whole record|only intact records"):
        go_on(tmp_path)
    with pytest.raises(ValueError, match=r"reuse_from: .* no whole record"):
        run(tmp_path / "new", small(reuse_from=[str(tmp_path)]))


def test_another_version_goes_on_only_in_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judges: list[HashEvaluator] = []

    class Noted(HashEvaluator):
        def __init__(self) -> None:
            super().__init__()
            judges.append(self)

    monkeypatch.setattr(tests.fakes, "HashEvaluator", Noted)
    folder = tmp_path / "run"
    settings = small(evaluator="tests.fakes:HashEvaluator")
    whole = search(settings, folder=folder)
    before = (folder / JOURNAL).read_bytes()
    real = evo.storage.header.version
    monkeypatch.setattr(evo.storage.header, "version", lambda name: "9.9" if name == "evofabric" else real(name))
    with pytest.raises(ValueError, match=r"begun with evofabric .*, this is 9.9, .*: go on in a copy .* with --fork"):
        search(settings, folder=folder)
    with monkeypatch.context() as patch, pytest.raises(ValueError, match="evaluator does not compute what it did"):
        patch.setattr(evo.storage.header, "version", real)
        patch.setattr(evo.storage.header, "canary", lambda *arguments: "another score")
        search(settings, folder=folder)
    copy = fork(folder)
    assert copy.name == "run-fork"
    assert any(judge.calls for judge in judges)
    judges.clear()
    again = search(settings, folder=copy)
    assert (again.digest, again.table) == (whole.digest, whole.table)
    assert [judge.calls for judge in judges] == [[]]
    assert (folder / JOURNAL).read_bytes() == before
    assert fork(folder).name == "run-fork2"


def test_files_of_the_initial_population_may_go_once_the_run_has_begun(tmp_path: Path) -> None:
    file = random_regular(6, 6, 6, 3, 2, 1).save(tmp_path / "mine.safetensors")
    settings = small(initial_population=[str(file)])
    whole, _ = run(tmp_path / "run", settings)
    lines = (tmp_path / "run" / JOURNAL).read_bytes().splitlines(keepends=True)
    (tmp_path / "run" / JOURNAL).write_bytes(b"".join(lines[:30]))
    file.unlink()
    assert run(tmp_path / "run", settings)[0].digest == whole.digest


def test_scores_of_another_run_are_used_and_change_nothing(tmp_path: Path) -> None:
    first, _ = run(tmp_path / "first", small())
    alone, lonely = run(tmp_path / "alone", small(generations=6))
    settings = small(generations=6, reuse_from=[str(tmp_path / "first")])
    helped, spared = run(tmp_path / "helped", settings)
    assert helped.digest == alone.digest and helped.table == alone.table
    assert len(spared.calls) < len(lonely.calls) / 2
    other = run(tmp_path / "other seed", small(seed=9, reuse_from=[str(tmp_path / "first")]))
    assert other[1].calls and other[0].digest != first.digest
    with pytest.raises(ValueError, match=r"reuse_from: .* is not the folder of a run"):
        run(tmp_path / "wrong", small(reuse_from=[str(tmp_path)]))


def test_scores_of_another_version_or_of_a_fork_that_went_on_by_another_program_are_not_used(tmp_path: Path) -> None:
    first, _ = run(tmp_path / "first", small())
    history = History.of(first.folder)
    header = history.records[0]
    assert isinstance(header, Header)
    older = header.program.model_copy(update={"packages": {**header.program.packages, "evofabric": "0.0.1"}})
    changed = (header.model_copy(update={"program": older}), *history.records[1:])
    forked = (header, ForkRecord(of="first", program=older), *history.records[1:])
    _, lonely = run(tmp_path / "alone", small())
    for name, records in (("older", changed), ("forked", forked)):
        rewritten(history, tmp_path / name, records)
        again, evaluator = run(tmp_path / f"after {name}", small(reuse_from=[str(tmp_path / name)]))
        assert again.digest == first.digest and len(evaluator.calls) == len(lonely.calls)


def test_a_run_goes_on_with_the_evaluator_that_it_was_begun_with_though_another_proves_the_same(tmp_path: Path) -> None:
    class Alike(HashEvaluator):
        """Another evaluator that scores alike."""

    run(tmp_path, small(1))
    with pytest.raises(ValueError, match=r"was begun with the evaluator tests\.fakes:HashEvaluator, given from"):
        search(small(1), Alike(), folder=tmp_path)


def test_a_run_goes_on_though_the_one_whose_scores_it_used_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other, folder = tmp_path / "other", tmp_path / "run"
    run(other, small())
    settings = small(reuse_from=[str(other)])
    whole, _ = run(folder, settings)
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    (folder / JOURNAL).write_bytes(b"".join(lines[:30]))
    other.rename(tmp_path / "elsewhere")
    again, evaluator = run(folder, settings)
    assert again.digest == whole.digest and evaluator.calls
    assert f"reuse_from: {other} is not the folder of a run" in caplog.text


SOME = [random_regular(6, 6, 6, 3, 3, seed) for seed in range(12)]
LOW = Fidelity(2, 5, (0.1, 0.3))


def racing(phase: str, threshold: float, targets: int = 16) -> list[Request]:
    """One request for every topology in SOME, against a threshold."""
    return [asking(phase, number, one, race=Race(threshold, targets)) for number, one in enumerate(SOME)]


def asking(phase: str, number: int, topology: Topology, **more: Any) -> Request:
    """A request for a score on the search targets."""
    task = Task(topology=topology, fidelity=LOW, split=Split.SEARCH, seed=SEED, **more)
    return Request(phase=phase, number=number, task=task, origin=Origin())


def test_a_score_that_is_known_is_judged_by_the_threshold_of_whoever_asks(tmp_path: Path) -> None:
    errors = sorted(HashEvaluator().evaluate(one, LOW, Split.SEARCH, SEED).error for one in SOME)
    thresholds = [errors[3], errors[8], errors[1], errors[8]]
    direct = []
    for number, threshold in enumerate(thresholds):
        (tmp_path / str(number)).mkdir()
        with evaluations(tmp_path / str(number), HashEvaluator()) as asked:
            direct.append(asked.evaluate(racing("phase", threshold)))
    evaluator = HashEvaluator()
    with evaluations(tmp_path, evaluator, ShufflingPool) as asked:
        assert [asked.evaluate(racing(f"phase {n}", threshold)) for n, threshold in enumerate(thresholds)] == direct
    assert sum(len(call[1].rates) == 1 for call in evaluator.calls) == 8, "one promotion of each that ever won"
    judge = HashEvaluator()
    with evaluations(tmp_path, judge, InProcessPool) as asked:
        assert [asked.evaluate(racing(f"again {n}", threshold)) for n, threshold in enumerate(thresholds)] == direct
    assert judge.calls == []


def test_what_a_recipe_wants_small_beside_the_error_is_known_of_every_candidate(tmp_path: Path) -> None:
    found, evaluator = run(tmp_path, small(objectives=["unfairness"]))
    for one in History.of(tmp_path).scores("evolution")[:9]:
        assert one.measures == {name: measure(name, one.topology) for name in CONTROL}
    kept = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    (tmp_path / JOURNAL).write_bytes(b"".join(kept[: len(kept) // 2]))
    again, rest = run(tmp_path, small(objectives=["unfairness"]))
    assert again.digest == found.digest
    assert len(rest.calls) < len(evaluator.calls)
