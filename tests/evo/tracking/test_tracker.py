"""Tracking while a search runs: servers that cannot be reached, and one that dies and comes back."""

from __future__ import annotations

import io
import logging
import os
import random
import signal
import socket
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from evo.console import search as console_search
from evo.console.interrupts import Interrupts
from evo.experiment.search import search
from evo.storage.history import History
from evo.storage.records import RunEvent, RunOpened
from evo.tracking import background as tracker_module
from evo.tracking.background import Tracker
from evo.tracking.client import local_uri
from evo.tracking.store import Store, track
from tests.evo.histories import Formula, rewritten, small
from tests.evo.tracking.databases import contents, rows


def test_a_search_is_tracked_while_it_runs_and_random_numbers_stay_the_same(runs: Path) -> None:
    settings = small(runs)
    before = random.getstate()
    with Tracker(settings) as tracker:
        result = search(settings, Formula(), watcher=tracker)
    assert random.getstate() == before
    shown = contents(runs)
    assert rows(runs, "select status from runs where name = ?", result.folder.name) == [("FINISHED",)]
    track(result.folder)
    assert contents(runs) == shown  # what was filed live is what the journal gives afterwards


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def watched(history: History) -> list[RunEvent]:
    """What a watcher of the run was shown."""
    return [RunOpened(history.header, history.folder, workers=1), *history.records[1:]]


def test_a_server_that_cannot_be_reached_is_one_warning_and_no_delay(
    finished: History, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module, "PAUSES", (0.05, 0.05))
    uri = f"http://127.0.0.1:{free_port()}"
    tracker, clock = Tracker(small(tmp_path, tracking={"uri": uri})), Clock()
    for event in watched(finished)[:-1]:
        tracker(event)
    assert clock.seconds < 0.5
    time.sleep(0.5)  # several attempts
    tracker.close(timeout=20)
    assert clock.seconds < 15
    first, last = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert "the search goes on" in first and uri in first and "refused" in first
    assert f'evofabric track "{finished.folder}"' in last


def test_ctrl_c_leaves_the_last_records_for_later_shows_the_result_and_begins_nothing_more(
    runs: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()

    def hang(store: Store, history: History) -> str:
        if history.result and not answers.is_set():
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
            answers.wait(60)
        return ""

    monkeypatch.setattr(console_search, "Tracker", partial(Tracker, show=hang))
    settings, console = small(runs, evaluator="tests.fakes:HashEvaluator"), Console(record=True, file=io.StringIO())
    before = signal.signal(signal.SIGINT, Interrupts())
    try:
        with pytest.raises(SystemExit) as ended:
            console_search.search_and_show(settings, None, console)
    finally:
        signal.signal(signal.SIGINT, before)
        answers.set()
    (folder,) = (path.parent for path in runs.glob("*/journal.jsonl"))
    assert ended.value.code == 130 and History.of(folder).status == "FINISHED"
    assert f'catch up with: evofabric track "{folder}"' in caplog.text
    assert "evolved champion" in console.export_text()


def test_a_stop_says_how_to_go_on_before_mlflow_is_waited_for_and_another_ends_the_waiting(
    runs: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, console, clock = threading.Event(), Console(record=True, file=(said := io.StringIO())), Clock()

    def hang(store: Store, history: History) -> str:
        for said_before in ("", "Continue with"):
            while said_before not in said.getvalue():
                time.sleep(0.1)
            if not answers.wait(0.5):
                os.kill(os.getpid(), signal.SIGINT)
        answers.wait(60)
        return ""

    monkeypatch.setattr(console_search, "Tracker", partial(Tracker, show=hang))
    settings = small(runs, evaluator="tests.fakes:HashEvaluator", loop={"generations": 10**6})
    before = signal.signal(signal.SIGINT, Interrupts())
    try:
        with pytest.raises(console_search.Stopped) as ended:
            console_search.search_and_show(settings, None, console)
    finally:
        signal.signal(signal.SIGINT, before)
        answers.set()
    (folder,) = (path.parent for path in runs.glob("*/journal.jsonl"))
    assert ended.value.code == 130 and ended.value.folder == folder and clock.seconds < 50
    assert f'Continue with: evofabric resume "{folder}"' in console.export_text()
    assert f'catch up with: evofabric track "{folder}"' in caplog.text


def test_tracking_with_an_unreachable_server_is_a_clear_error(finished: History) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ValueError, match="refused") as caught:
        track(finished.folder, uri)
    assert "\n" not in str(caught.value) and uri in str(caught.value)


class Server:
    """MLflow's own server, in a thread; its artifacts travel through it.

    It leaves its stores in MLflow's global state, so tests of folders that no server knows come before: in
    ``test_store.py``, which pytest takes first.
    """

    def __init__(self, port: int) -> None:
        from mlflow.server import app
        from werkzeug.serving import make_server

        self._server = make_server("127.0.0.1", port, app, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def served(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder whose database a :class:`Server` serves."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    for name, value in (
        ("FILE_STORE", local_uri(runs)),
        ("REGISTRY_STORE", local_uri(runs)),
        ("ARTIFACT_ROOT", "mlflow-artifacts:/"),
        ("SERVE_ARTIFACTS", "true"),
        ("ARTIFACT_DESTINATION", (runs / "served").as_uri()),
    ):
        monkeypatch.setenv(f"_MLFLOW_SERVER_{name}", value)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, local_uri(runs))  # as the server sets them itself, for the rest of the process
    return runs


def test_a_server_that_dies_and_comes_back_gets_everything(
    finished: History, served: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module, "PERIOD", 0.05)
    monkeypatch.setattr(tracker_module, "PAUSES", (0.05, 0.05))
    port = free_port()
    history = rewritten(finished, served / "run")
    server = Server(port)
    events = watched(history)
    tracker = Tracker(small(served, tracking={"uri": f"http://127.0.0.1:{port}"}))
    for event in events[:60]:
        tracker(event)
    wait_until(lambda: rows(served, "select count(*) from metrics")[0][0] > 0)
    server.stop()
    for event in events[60:120]:
        tracker(event)
    wait_until(lambda: "the search goes on" in caplog.text)
    server = Server(port)
    for event in events[120:]:
        tracker(event)
    tracker.close()
    try:
        assert caplog.text.count("the search goes on") == 1 and "caught up" in caplog.text
        assert "catch up with" not in caplog.text
        shown = contents(served)
        assert len(rows(served, "select * from runs where status = 'FINISHED'")) == len(shown["runs"])
        track(history.folder, f"http://127.0.0.1:{port}")
        assert contents(served) == shown
        assert list(served.glob("served/*/*/artifacts/champion.safetensors"))
    finally:
        server.stop()


def wait_until(condition: Any) -> None:
    clock = Clock()
    while not condition():
        assert clock.seconds < 30, "waited too long"
        time.sleep(0.05)
