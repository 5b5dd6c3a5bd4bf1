"""A search for a rule for people: its table, files, and what tracking should hold of it."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

from rich import box
from rich.table import Table

from evo.report.numbers import significant
from evo.storage.history import History
from evo.storage.records import GenerationRecord, RuleRecord
from evo.studies.rules.law import picture, words
from evo.studies.rules.study import BASELINE, CHAMPION, RULES, test_phase
from evo.tracking.records import Point, RunRecord, run_record
from evo.tracking.store import Store
from evo.tracking.store import track as tracked
from topologies.families.rule import Rule, Wiring

FILES = {
    "rule.json": "the law's numbers, as `topologies.families.rule.Rule` takes them",
    "rules.csv": "every rule that was bred, its parents, numbers and fitness",
    "test.csv": "the champion and the baseline at every case, on the test targets",
    "law.png": "depth, width and fan-in against size and budget",
}
"""What is kept of a search, and what each file is."""


def champion(history: History) -> RuleRecord | None:
    """The rule that was found; None until the search has ended."""
    found = [one for one in history.records if isinstance(one, RuleRecord)]
    last = [one for one in found if one.phase == CHAMPION]
    return last[-1] if last else None


def rule_of(record: RuleRecord) -> Rule:
    """The rule that a record is about."""
    return Rule(**record.law, wiring=Wiring(record.wiring))


def result_table(history: History) -> Table:
    """The champion against the baseline at every case, on the test targets."""
    table = Table(title="Error on the test targets", box=box.SIMPLE_HEAD, title_justify="left", padding=0)
    for heading in ("size", "edges", "rule", history.settings["baseline"], "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    ratios = []
    for n_in, n_out, budget, own, other in _tested(history):
        told = ""  # where an error is 0, or was not to be had, there is no ratio
        if 0 < own < math.inf and 0 < other < math.inf:
            ratios.append(math.log(own / other))
            told = f"{own / other:.3f}"
        table.add_row(f"{n_in} x {n_out}", str(budget), significant(own), significant(other), told)
    if ratios:
        table.caption = f"geometric mean of the ratios: {math.exp(sum(ratios) / len(ratios)):.3f}"
    return table


def _tested(history: History) -> list[tuple[int, int, int, float, float]]:
    found = []
    for place, case in enumerate(history.settings["cases"]):
        pair = [history.scores(test_phase(row, place)) for row in (CHAMPION, BASELINE)]
        if all(pair):
            found.append((*case, pair[0][0].error, pair[1][0].error))
    return found


def write(history: History, folder: Path) -> None:
    """Write the files that :data:`FILES` names, as far as the search got."""
    rules = [one for one in history.records if isinstance(one, RuleRecord) and one.phase == RULES]
    names = list(rules[0].law) if rules else []
    about = ["number", "generation", "parents", "operator", "wiring", "fitness"]
    bred: list[list[object]] = [
        [one.number, one.generation, " ".join(map(str, one.parents)), one.operator, one.wiring, one.fitness]
        + [one.law[name] for name in names]
        for one in sorted(rules, key=lambda one: one.number)
    ]
    (folder / "rules.csv").write_text(_csv([*about, *names], bred), encoding="utf-8")
    best = champion(history)
    if best is not None:
        (folder / "rule.json").write_text(json.dumps(best.law | {"wiring": best.wiring}, indent=2), encoding="utf-8")
        rows: list[list[object]] = [list(row) for row in _tested(history)]
        (folder / "test.csv").write_text(_csv(["n_in", "n_out", "budget", "rule", "baseline"], rows), encoding="utf-8")
        picture(rule_of(best), f"The law of {folder.name}").savefig(folder / "law.png")


def show(store: Store, history: History) -> str:
    """File a search for a rule in a store; its files when it has ended."""
    ended = history.status != "RUNNING"
    return store.file(record(history), lambda folder: write(history, folder) if ended else None)


def track(folder: Path, uri: str | None = None) -> str:
    """File a search for a rule in MLflow; for arguments and errors see :func:`evo.tracking.store.track`."""
    return tracked(folder, uri, show)


def record(history: History) -> RunRecord:
    """The search as one record: the best fitness by rules bred, and at the end the law in words."""
    found = [one for one in history.records if isinstance(one, GenerationRecord)]
    points = [Point("rules/best", one.best, one.candidates, one.time) for one in found if one.best is not None]
    best = champion(history)
    told = f"A search for a rule over {len(history.settings['cases'])} sizes and budgets."
    if best is not None:
        points += [Point("test/ratio", math.exp(value), place, best.time) for place, value in enumerate(best.ratios)]
        files = "\n".join(f"- `{name}`: {meaning}" for name, meaning in FILES.items())
        told += f"\n\n{words(rule_of(best))}\n\n#### Files, under Artifacts\n\n{files}"
    return run_record(history, tuple(points), {"mlflow.note.content": told, "role": "search for a rule"})


def _csv(heading: list[str], rows: list[list[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([heading, *rows])
    return text.getvalue()
