"""A run's description in Markdown, as MLflow shows it: what was found, how it came about, and what is kept of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from evo.algorithm.individual import SAMPLED
from evo.algorithm.nsga2 import Policy
from evo.report.numbers import difference_and_ends, significant
from evo.report.text import (
    WORDS,
    about_controls,
    controllability_in_words,
    files_of,
    headline,
    numbers_in_words,
    plural,
    retrained_words,
    unfinished_in_words,
)
from evo.report.won import won_in_words
from evo.storage import names
from evo.storage.history import History
from evo.storage.names import ROWS
from evo.storage.records import ScoreRecord
from evo.storage.results import FinalTable, Row
from topologies.stack import Stack, each_size

_STEPS = 8
"""Steps of a long lineage that are told one by one: the last ones."""


def final_table_markdown(table: FinalTable) -> str:
    """The final table for people."""
    uncertain = "" if table.is_deterministic else ", 95 %"
    headings = (
        "topology",
        "member",
        "trainable",
        "edges",
        "depth",
        "error",
        f"difference from the baseline{uncertain}",
        *["error in the search"] * table.is_staged,
    )
    lines = [headings, ("---",) * len(headings)]
    for row in table.rows:
        topology = row.topology
        name = f"**{row.name}**" if row is table.first else row.name
        counts = (topology.n_trainable, topology.n_edges, topology.depth)
        apart = difference_and_ends(row.difference) if row.difference else "the baseline"
        unconnected = "" if topology.is_connected else " (some pairs unconnected)"
        member = f"`{row.label}`{unconnected}"
        errors = (significant(row.error.mean), apart, *[significant(row.search_error)] * table.is_staged)
        lines.append((name, member, *map(str, counts), *errors))
    return "\n".join("| " + " &emsp;| ".join(cells) + " |" for cells in lines).replace("--- &emsp;", "---")


def description(history: History, pictures: str | None = None) -> str:
    """What was found, in markdown. ``pictures`` is an address of the files in :data:`FILES`, ``{}`` for the name."""
    table = history.table
    if table is None:
        return unfinished_in_words(history)
    image = f"![progress]({pictures.format('progress.png')})" if pictures else ""
    parts = (
        f"**{headline(table, history.founder)}** {numbers_in_words(history, table)} {won_in_words(history, table)}",
        image,
        _comparisons(history, table),
        final_table_markdown(table),
        retrained_words(history),
        controllability_in_words(history),
        _origin(history),
        _use(history),
        _files(history),
    )
    return "\n\n".join(part for part in parts if part)


def about_family(history: History, family: str) -> str:
    """What the tuning of a family was for, and found."""
    row = ROWS[family]
    tried = plural(len(history.scores(names.tuning(family))), "member")
    is_baseline = history.table is not None and history.table.baseline_name == row
    role = "the baseline, the topology to beat" if is_baseline else "a hand-derived family, tuned for comparison"
    best = history.chosen(row)
    if best is None:
        return f"Tuning {role}: {tried} of `{family}` tried so far."
    told = f"`{best.origin.label}`, {role}: the best of {tried} of `{family}` tried, chosen on the validation split"
    found = history.table and history.table.get(row)
    if not found or not history.table:
        return f"{told}."
    champion = significant(history.table.first.error.mean)
    return f"{told}. Test error **{significant(found.error.mean)}**, the champion's {champion}."


def _comparisons(history: History, table: FinalTable) -> str:
    def told(rows: Sequence[Row]) -> str:
        return ", ".join(f"{row.name} {difference_and_ends(table.first.minus(row))}" for row in rows)

    lines = [f"- **{WORDS[verdict]}** {told(rows)}" for verdict, rows in table.by_verdict().items()]
    about = f"\n\n{about_controls(history, table)}"
    how = "" if table.is_deterministic else " (Holm's correction over all of these comparisons)"
    return f"The evolved champion is{how}\n\n" + "\n".join(lines) + about


def _origin(history: History) -> str:
    champion = history.champion
    assert champion is not None
    line = history.lineage(champion)
    first, *steps = line
    operators = Counter(one.origin.operator for one in steps).most_common()
    candidates = history.scores(Policy.EVOLUTION.value)
    where = f"candidate {champion.number} of {len(candidates)} (generation {champion.origin.generation})"
    told = f"#### How it came about\n\nThe champion is {where}, "
    if not steps:
        sampled = first.origin.operator == SAMPLED
        return told + ("sampled afresh." if sampled else f"of the initial population, a `{first.origin.family}`.")
    told += f"descended from {_ancestor(first)} in {plural(len(steps), 'step')} "
    told += f"({', '.join(f'{count} {name}' for name, count in operators)}). Errors on the search split:\n\n"
    shown = steps[-_STEPS:]
    chain = [f"`{first.origin.operator}` {first.number}: {significant(first.error)}"]
    chain += ["…"] if len(shown) < len(steps) else []
    chain += [
        f"`{one.origin.operator}` {one.number}{_mate(one, candidates)}: {significant(one.error)}" for one in shown
    ]
    return told + " → ".join(chain)


def _ancestor(first: ScoreRecord) -> str:
    if first.origin.operator == SAMPLED:
        return f"a random sample (candidate {first.number})"
    return f"a `{first.origin.family}` of the initial population (candidate {first.number})"


def _mate(candidate: ScoreRecord, candidates: Sequence[ScoreRecord]) -> str:
    """The second parent, where there is one."""
    if len(candidate.origin.parents) < 2:
        return ""
    other = next(one for one in candidates if one.number == candidate.origin.parents[1])
    return f" (with {other.number}, from `{other.origin.family}`)"


def how_to_convert(file: Path, champion: Stack) -> str:
    """The lines of Python that put all places of a stack into a model."""
    sizes = each_size(champion.sizes)
    return f'import topologies.models as tm\nmodel = tm.convert(model, "{file}")  # with linear layers of {sizes}'


def _use(history: History) -> str:
    champion = history.table and history.table.first.topology
    if isinstance(champion, Stack):
        lines = how_to_convert(history.champion_file, champion)
        return f"#### Use it in place of dense layers\n\n```python\n{lines}\n```"
    n_in, n_out = history.settings["n_in"], history.settings["n_out"]
    return (
        "#### Use it in place of a dense layer\n\n```python\nfrom topologies import SparseCascade\n"
        f'layer = SparseCascade("{history.champion_file}")\n'
        f"y = layer(x)  # as with torch.nn.Linear({n_in}, {n_out})\n```"
    )


def _files(history: History) -> str:
    result = history.result
    assert result is not None
    files = "\n".join(f"- `{name}`: {meaning}" for name, meaning in files_of(history).items())
    return (
        f"#### Files, under Artifacts\n\n{files}\n\nThe run's folder is `{history.folder}`. "
        f"Result digest `{result.digest}`: the same recipe and seed give the same."
    )
