"""A run in words and in tables of plain text: what was found, how it came about, and every birth."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from evaluators.controllability.evaluator import Controllability
from evaluators.controllability.model import Control
from evo.algorithm.nsga2 import Policy
from evo.storage.history import History, error
from evo.storage.journal import Record
from evo.storage.results import BASELINE, KINDS, RANDOM, Interval, Row, interval

FILES = {
    "champion.safetensors": "the champion: what a model loads",
    "masks.npz": "its dense masks, one array a layer: 0 absent, 1 trainable, 2 constant",
    "topology.png": "its layers and edges",
    "masks.png": "its masks as images",
    "progress.png": "evolution and random search against the baseline, birth by birth",
    "front.png": "error against edges, by founder family",
    "controllability.png": "how far the champion and the baseline control each input at each output (K)",
    "entry_errors.png": "the champion's error entry by entry beside its K",
    "held_out.png": "every row's difference from the baseline on held-out targets",
    "held_out.csv": "the final table",
    "candidates.csv": "every birth: parents, operator, founder family, error, edges, depth, seconds, device",
}
"""What is kept of a finished run beside its journal, and what each file is."""

_BIRTH = ("phase", "number", "brood", "parents", "operator", "founder_family", "error", "rate")
_TRIAL = ("number", "member", "error", "rate")
_ABOUT = ("n_trainable", "n_edges", "depth", "seconds", "device", "digest", "failure")
_BETTER, _LEVEL, _WORSE = "better than", "not told apart from", "worse than"
_STEPS = 8
"""Steps of a long lineage that are told one by one: the last ones."""


def candidates_csv(history: History) -> str:
    """Every birth of evolution and of random search, in order of birth; errors are those told to the search."""
    rows = []
    for policy in Policy:
        for record in history.scores(policy.value):
            parents = " ".join(map(str, record["parents"]))
            rows.append({**record, "parents": parents, "founder_family": record["family"], "error": _score(record)})
    return _csv((*_BIRTH, *_ABOUT), rows)


def trials_csv(history: History, family: str) -> str:
    """Every member of a family that was tried while tuning it."""
    trials = history.scores(f"tune {family}")
    return _csv((*_TRIAL, *_ABOUT), [{**one, "member": one["label"], "error": _score(one)} for one in trials])


def held_out_csv(history: History) -> str:
    """The final table with 95 % intervals; differences are from the baseline, paired over the targets."""
    names = ("topology", "member", "n_trainable", "n_edges", "depth", "rate", "error", "error_low", "error_high")
    rows: list[dict[str, Any]] = []
    for row in history.rows:
        cells = (row.kind, row.label, row.topology.n_trainable, row.topology.n_edges, row.topology.depth, row.rate)
        values = dict(zip(names, (*cells, row.error.mean, row.error.low, row.error.high), strict=True))
        if row.difference:
            difference = row.difference
            values |= {"difference": difference.mean, "low": difference.low, "high": difference.high}
        rows.append(values)
    return _csv((*names, "difference", "low", "high"), rows)


def held_out_markdown(history: History) -> str:
    """The final table for people."""
    headings = ("topology", "member", "trainable", "edges", "depth", "error", "difference from the baseline, 95 %")
    lines = [headings, ("---",) * len(headings)]
    for row in history.rows:
        topology = row.topology
        kind = f"**{row.kind}**" if row is history.rows[0] else row.kind
        counts = (topology.n_trainable, topology.n_edges, topology.depth)
        difference = _interval(row.difference) if row.difference else "the baseline"
        unconnected = "" if topology.is_connected else " (some pairs unconnected)"
        lines.append((kind, f"`{row.label}`{unconnected}", *map(str, counts), f"{row.error.mean:.4f}", difference))
    return "\n".join("| " + " &emsp;| ".join(cells) + " |" for cells in lines).replace("--- &emsp;", "---")


def description(history: History, pictures: str | None = None) -> str:
    """What was found, in markdown. ``pictures`` is an address of the files in :data:`FILES`, ``{}`` for the name."""
    if not history.rows:
        return _unfinished(history)
    image = f"![progress]({pictures.format('progress.png')})" if pictures else ""
    parts = (f"**{headline(history)}** {_numbers(history)}", image, _comparisons(history), held_out_markdown(history))
    about = (_control(history), _origin(history), _use(history), _files(history))
    return "\n\n".join(part for part in (*parts, *about) if part)


def about_family(history: History, family: str) -> str:
    """What the tuning of a family was for, and found."""
    tried = _plural(len(history.scores(f"tune {family}")), "member")
    role = "the baseline, the hand-derived topology to beat" if family == BASELINE else "a hand-derived rival"
    best = history.chosen(KINDS[family])
    if best is None:
        return f"Tuning {role}: {tried} of `{family}` tried so far."
    told = f"`{best['label']}`, {role}: the best of {tried} of `{family}` tried, chosen on the choice stream"
    held_out = next((row for row in history.rows if row.kind == KINDS[family]), None)
    if held_out is None:
        return f"{told}."
    return f"{told}. Held-out error **{held_out.error.mean:.4f}**, the champion's {history.rows[0].error.mean:.4f}."


def headline(history: History) -> str:
    """The one sentence to remember of a finished run."""
    champion, baseline, *others = history.rows
    verdict = _verdict(compare(champion, baseline))
    if verdict == _WORSE:
        return "The hand-derived topology is better than the evolved one."
    if verdict == _LEVEL:
        return "The evolved topology is not told apart from the hand-derived one."
    unbeaten = [other.kind for other in others if _verdict(compare(champion, other)) != _BETTER]
    but = f", but not better than {_list(unbeaten)}" if unbeaten else ""
    return f"Evolution found a better topology than the hand-derived one{but}."


def controls(history: History) -> dict[str, Control]:
    """Uniform K of the champion and of the baseline, by what their rows are called; without a final table none."""
    return {row.kind: Controllability("uniform").analyse(row.topology) for row in history.rows[:2]}


def compare(first: Row, second: Row) -> Interval:
    """The mean of (first - second) over the same targets; the first is better where the whole interval is negative."""
    return interval(np.subtract(first.errors, second.errors))


def _numbers(history: History) -> str:
    champion, baseline = history.rows[:2]
    difference = compare(champion, baseline)
    change = 100 * difference.mean / baseline.error.mean
    return (
        f"{_task(history)}: on {len(champion.errors)} held-out targets, trained for "
        f"{history.settings['fidelity']['full_steps']} steps, the evolved champion's relative error is "
        f"**{champion.error.mean:.4f}**, that of the {history.baseline} `{baseline.label}` "
        f"**{baseline.error.mean:.4f}**: {abs(change):.1f} % {'less' if change < 0 else 'more'}, a difference of "
        f"{_interval(difference)}. In parentheses are 95 % intervals, paired over the targets."
    )


def _comparisons(history: History) -> str:
    champion, others = history.rows[0], history.rows[1:]
    found: dict[str, list[str]] = {_BETTER: [], _LEVEL: [], _WORSE: []}
    for other in others:
        difference = compare(champion, other)
        found[_verdict(difference)].append(f"{other.kind} {_interval(difference)}")
    lines = [f"- **{verdict}** {', '.join(kinds)}" for verdict, kinds in found.items() if kinds]
    control = next((other for other in others if other.kind == RANDOM), None)
    return "The evolved champion is\n\n" + "\n".join(lines) + (f"\n\n{_about(history, control)}" if control else "")


def _about(history: History, control: Row) -> str:
    """What random search, the control for evolution itself, says of evolution."""
    births = f"{len(history.scores(Policy.RANDOM.value))} births sampled at random"
    return {
        _BETTER: f"Evolution earned its keep: {births} found nothing as good.",
        _LEVEL: f"Evolution **does not beat random search** here: {births} did as well.",
        _WORSE: f"Evolution **does not beat random search** here: {births} did better.",
    }[_verdict(compare(history.rows[0], control))]


def _control(history: History) -> str:
    """How many ratios of inputs the champion and the baseline control, and how evenly (paper, section VI)."""
    told = [
        f"the {kind} controls {control.total:.0f} ratios of inputs (unfairness {control.unfairness:.3f})"
        for kind, control in controls(history).items()
    ]
    n_in, n_out = history.settings["n_in"], history.settings["n_out"]
    return f"Of the {n_out * (n_in - 1)} there are, {_list(told)}, in the uniform reading of controllability."


def _origin(history: History) -> str:
    birth = history.champion
    assert birth is not None
    line = history.lineage(birth)
    steps = line[1:]
    operators = ", ".join(f"{count} {name}" for name, count in Counter(one["operator"] for one in steps).most_common())
    first = line[0]
    births = history.scores(Policy.EVOLUTION.value)
    where = f"birth {birth['number']} of {len(births)} (brood {birth['brood']})"
    told = f"#### How it came about\n\nThe champion is {where}, "
    if not steps:
        return told + ("sampled afresh." if first["operator"] == "sample" else f"a founder, of `{first['family']}`.")
    told += f"descended from {_ancestor(first)} "
    told += f"in {_plural(len(steps), 'step')} ({operators}). Errors as told to the search:\n\n"
    shown = steps[-_STEPS:]
    chain = [f"`{first['operator']}` {first['number']}: {error(first):.4f}"]
    chain += ["…"] if len(shown) < len(steps) else []
    chain += [f"`{one['operator']}` {one['number']}{_mate(one, births)}: {error(one):.4f}" for one in shown]
    return told + " → ".join(chain)


def _ancestor(first: Record) -> str:
    if first["operator"] == "sample":
        return f"a random sample (birth {first['number']})"
    return f"a founder of the family `{first['family']}` (birth {first['number']})"


def _mate(birth: Record, births: Sequence[Record]) -> str:
    """The second parent, where there is one."""
    if len(birth["parents"]) < 2:
        return ""
    other = next(one for one in births if one["number"] == birth["parents"][1])
    return f" (with {other['number']}, from `{other['family']}`)"


def _use(history: History) -> str:
    n_in, n_out = history.settings["n_in"], history.settings["n_out"]
    return (
        "#### Use it in place of a dense layer\n\n```python\nfrom topologies import SparseCascade\n"
        f'layer = SparseCascade("{history.champion_file}")\n'
        f"y = layer(x)  # as with torch.nn.Linear({n_in}, {n_out})\n```"
    )


def _files(history: History) -> str:
    table = history.table
    assert table is not None
    files = "\n".join(f"- `{name}`: {meaning}" for name, meaning in FILES.items())
    return (
        f"#### Files, under Artifacts\n\n{files}\n\nThe run's folder is `{history.folder}`. "
        f"Result digest `{table['digest']}`: the same recipe and seed give the same."
    )


def _unfinished(history: History) -> str:
    last = history.records[-1]
    state = {"RUNNING": "is running", "KILLED": "was stopped", "FAILED": "failed"}[history.status]
    why = f": {last['why']}" if history.status != "RUNNING" and last["why"] else ""
    told = f"**This search {state}{why}.** {_task(history)}."
    broods = history.broods(Policy.EVOLUTION)
    if broods and broods[-1]["best"] is not None:
        told += (
            f" After {broods[-1]['births']} births the best topology within the baseline's edges and depth has a "
            f"relative error of {broods[-1]['best']:.4f} on the search's own targets, the baseline "
            f"{broods[-1]['baseline']:.4f}. Nothing was confirmed on held-out targets yet."
        )
    if history.status != "RUNNING":
        told += f'\n\nContinue it with `evofabric resume "{history.folder}"`.'
    return told


def _task(history: History) -> str:
    settings = history.settings
    return f"{settings['n_in']} × {settings['n_out']} with {settings['budget']} trainable edges"


def _verdict(difference: Interval) -> str:
    """What an interval of (champion - other) says of the champion."""
    if difference.high < 0:
        return _BETTER
    return _WORSE if difference.low > 0 else _LEVEL


def _interval(value: Interval) -> str:
    return f"{value.mean:+.4f} ({value.low:+.4f} to {value.high:+.4f})"


def _list(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _plural(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _score(record: Record) -> float | None:
    return None if record["failure"] else error(record)


def _csv(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
