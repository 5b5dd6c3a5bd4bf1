"""Runs that go on: extended, forked, from a checkpoint, after a full disk or damage, with the scores of other runs."""

from __future__ import annotations

import errno
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import pytest

import evo.experiment.search
import evo.storage.checkpoint
import evo.storage.header
import evo.storage.journal
from cluster.in_process import InProcessPool
from evaluators.proxies.registry import measure
from evaluators.task import Fidelity, Race, Score, Split
from evo.experiment.search import Result, search
from evo.settings import Settings, validate
from evo.storage.checkpoint import cut
from evo.storage.evaluations import Request, topology_of
from evo.storage.header import JOURNAL, fork, recipe_of
from evo.storage.history import History
from evo.storage.journal import PausedError, Record, read
from tests.fakes import HashEvaluator, ShufflingPool, evaluations, recipe
from topologies import Topology, random_regular


def small(generations: int = 4, lag: int = 1, **changes: object) -> Settings:
    """A search of 6 x 6."""
    return recipe(n_in=6, n_out=6, budget=24, loop={"generations": generations, "lag": lag}, **changes)


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
    breed = evo.experiment.search.breed
    monkeypatch.setattr(
        evo.experiment.search, "breed", lambda state, rules, k: numbers.append(k) or breed(state, rules, k)
    )
    return numbers


@pytest.mark.parametrize("lag", [1, 3])
@pytest.mark.parametrize("checkpoints", [True, False])
def test_a_search_that_is_extended_ends_like_one_that_was_as_long_from_the_start(
    tmp_path: Path, lag: int, checkpoints: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evo.storage.checkpoint, "PERIOD", -1.0 if checkpoints else 1e9)
    whole, _ = run(tmp_path / "whole", small(6, lag))
    first, before = run(tmp_path / "extended", small(3, lag))
    assert first.digest != whole.digest
    extended, after = run(tmp_path / "extended", small(6, lag))
    assert extended.digest == whole.digest
    assert extended.rows == whole.rows
    assert not set(before.calls) & set(after.calls)
    history = History.of(tmp_path / "extended")
    assert history.status == "FINISHED" and history.settings["loop"]["generations"] == 6
    assert history.rows == whole.rows
    assert validate(recipe_of(tmp_path / "extended")).loop.generations == 6
    with pytest.raises(ValueError, match="--generations 5: the run has 6, and can only be extended"):
        recipe_of(tmp_path / "extended", 5)


def test_a_run_in_the_middle_of_an_extension_is_not_finished(tmp_path: Path) -> None:
    run(tmp_path, small(2))
    lines = (tmp_path / JOURNAL).read_bytes()
    run(tmp_path, small(3))
    more = (tmp_path / JOURNAL).read_bytes()[len(lines) :].splitlines(keepends=True)
    (tmp_path / JOURNAL).write_bytes(lines + b"".join(more[:3]))
    history = History.of(tmp_path)
    assert history.table is None and history.status == "KILLED"


@pytest.mark.parametrize("lag", [1, 2])
def test_a_checkpoint_saves_breeding_and_changes_nothing(
    tmp_path: Path, lag: int, often: None, bred: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = run(tmp_path / "whole", small(5, lag))
    lines = (tmp_path / "whole" / JOURNAL).read_bytes().splitlines(keepends=True)
    told = [n for n, line in enumerate(lines) if b'"kind":"generation","phase":"evolution"' in line]
    folder = tmp_path / "resumed"
    folder.mkdir()
    tell, count = evo.experiment.search.told, 0

    def dying(*args: object) -> object:
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        return tell(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(evo.experiment.search, "told", dying)
        search(small(5, lag), HashEvaluator(), folder=folder)
    bred.clear()
    resumed, _ = run(folder, small(5, lag))
    assert resumed.digest == whole.digest
    evolution, control = bred[: bred.index(0)], bred[bred.index(0) :]
    assert min(evolution) == 3 + lag - 1, "generations before the checkpoint are not bred again"
    assert control == list(range(6))
    assert len(told) == 6


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
        with pytest.raises(PausedError, match=r"No space left on device. The run is paused") as told:
            search(small(), evaluator, folder=paused)
    assert "\n" not in str(told.value) and str(paused) in str(told.value)
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
    assert run(tmp_path, small())[0].digest == whole.digest


@pytest.mark.parametrize("go_on", [fork, recipe_of, History.of, lambda folder: cut(folder, 1)])
def test_what_is_no_run_is_refused(tmp_path: Path, go_on: Callable[[Path], object]) -> None:
    with pytest.raises(ValueError, match="is not the folder of a run: it has no"):
        go_on(tmp_path)
    (tmp_path / JOURNAL).touch()
    with pytest.raises(ValueError, match=r"no whole record|only intact records"):
        go_on(tmp_path)
    with pytest.raises(ValueError, match=r"known: .* no whole record"):
        run(tmp_path / "new", small(known=[str(tmp_path)]))


def test_another_version_goes_on_only_in_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    whole, _ = run(folder, small(evaluator="tests.fakes:HashEvaluator"))
    before = (folder / JOURNAL).read_bytes()
    settings = small(evaluator="tests.fakes:HashEvaluator")
    known = evo.storage.header.version
    monkeypatch.setattr(evo.storage.header, "version", lambda name: "9.9" if name == "evofabric" else known(name))
    with pytest.raises(ValueError, match=r"begun with evofabric .*, this is 9.9, .*: go on in a copy .* with --fork"):
        run(folder, settings)
    with monkeypatch.context() as patch, pytest.raises(ValueError, match="evaluator does not compute what it did"):
        patch.setattr(evo.storage.header, "version", known)
        patch.setattr(evo.storage.header, "canary", lambda evaluator: "another score")
        run(folder, settings)
    copy = fork(folder)
    assert copy.name == "run-fork"
    again, evaluator = run(copy, settings)
    assert (again.digest, evaluator.calls) == (whole.digest, [])
    assert (folder / JOURNAL).read_bytes() == before
    assert fork(folder).name == "run-fork2"


def test_founders_may_go_once_the_run_has_begun(tmp_path: Path) -> None:
    file = random_regular(6, 6, 6, 3, 2, 1).save(tmp_path / "mine.safetensors")
    settings = small(founders=[str(file)])
    whole, _ = run(tmp_path / "run", settings)
    lines = (tmp_path / "run" / JOURNAL).read_bytes().splitlines(keepends=True)
    (tmp_path / "run" / JOURNAL).write_bytes(b"".join(lines[:30]))
    file.unlink()
    assert run(tmp_path / "run", settings)[0].digest == whole.digest


def test_scores_of_another_run_are_used_and_change_nothing(tmp_path: Path) -> None:
    first, _ = run(tmp_path / "first", small())
    alone, lonely = run(tmp_path / "alone", small(generations=6))
    settings = small(generations=6, known=[str(tmp_path / "first")])
    helped, spared = run(tmp_path / "helped", settings)
    assert helped.digest == alone.digest and helped.rows == alone.rows
    assert len(spared.calls) < len(lonely.calls) / 2
    other = run(tmp_path / "other seed", small(seed=9, known=[str(tmp_path / "first")]))
    assert other[1].calls and other[0].digest != first.digest
    with pytest.raises(ValueError, match=r"known: .* is not the folder of a run"):
        run(tmp_path / "wrong", small(known=[str(tmp_path)]))


SOME = [random_regular(6, 6, 6, 3, 3, seed) for seed in range(12)]
LOW = Fidelity(2, 5, (0.1, 0.3))


def racing(phase: str, bar: float, targets: int = 16) -> list[Request]:
    """One request for every topology in SOME, against a bar."""
    return [Request(phase, n, one, LOW, Split.SEARCH, {}, Race(bar, targets)) for n, one in enumerate(SOME)]


def test_a_score_that_is_known_is_judged_by_the_bar_of_whoever_asks(tmp_path: Path) -> None:
    errors = sorted(HashEvaluator().evaluate(one, LOW, Split.SEARCH, 3).error for one in SOME)
    bars = [errors[3], errors[8], errors[1], errors[8]]
    direct = []
    for number, bar in enumerate(bars):
        (tmp_path / str(number)).mkdir()
        with evaluations(tmp_path / str(number), HashEvaluator()) as asked:
            direct.append(asked.evaluate(racing("phase", bar)))
    evaluator = HashEvaluator()
    with evaluations(tmp_path, evaluator, ShufflingPool) as asked:
        assert [asked.evaluate(racing(f"phase {n}", bar)) for n, bar in enumerate(bars)] == direct
    assert sum(len(call[1].rates) == 1 for call in evaluator.calls) == 8, "one promotion at each that ever won"
    judge = HashEvaluator()
    with evaluations(tmp_path, judge, InProcessPool) as asked:
        assert [asked.evaluate(racing(f"again {n}", bar)) for n, bar in enumerate(bars)] == direct
    assert judge.calls == []


def test_of_siblings_the_one_that_the_screen_prefers_is_evaluated(tmp_path: Path) -> None:
    settings = small(screen="synflow", siblings=3, objectives=["unfairness"])
    found, evaluator = run(tmp_path, settings)
    records = [one for one in read(tmp_path / JOURNAL)[0] if one.get("phase") == "evolution" and one["kind"] == "score"]
    bred = [one for one in records if one["generation"] > 0]
    assert all(len(one["candidates"]) == 3 and one["digest"] == one["candidates"][one["chosen"]] for one in bred)
    assert len({one["chosen"] for one in bred}) == 3
    assert {call[0] for call in evaluator.calls} >= {one["digest"] for one in bred}
    digests = [digest for one in records for digest in one["candidates"]]
    assert len(set(digests)) == len(digests), "what was screened out is not bred again"
    for one in bred[:5]:
        topology: Topology = topology_of(one)
        assert one["measures"] == {name: measure(name, topology) for name in ("synflow", "unfairness")}
    kept = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    (tmp_path / JOURNAL).write_bytes(b"".join(kept[: len(kept) // 2]))
    again, rest = run(tmp_path, settings)
    assert again.digest == found.digest
    assert len(rest.calls) < len(evaluator.calls)


def test_a_screen_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"screen = 'sinflow': .* did you mean 'synflow'\?"):
        small(screen="sinflow")


def test_a_screen_that_fails_is_a_failure_of_the_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import evaluators.proxies.registry

    def broken(topology: Topology) -> float:
        raise ArithmeticError("no score for this one")

    monkeypatch.setitem(evaluators.proxies.registry.MEASURES, "synflow", broken)
    asked_for = [Request("phase", 0, SOME[0], LOW, Split.SEARCH, siblings=(SOME[1],), screen="synflow")]
    seen: list[Record] = []
    with evaluations(tmp_path, HashEvaluator(), arrived=seen.append) as asked:
        scores: list[Score | None] = asked.evaluate(asked_for)
    assert scores == [None]
    assert seen[0]["failure"] == "ArithmeticError: no score for this one"
