"""A run in words: what was found, how it came about, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from evaluators.controllability.evaluator import Controllability
from evaluators.reconstruction.own_targets import NOTHING_HELD_OUT
from evo.algorithm.individual import SAMPLED
from evo.algorithm.nsga2 import Policy
from evo.report.numbers import difference, difference_and_ends, ratio, significant
from evo.report.words import Words, words_of
from evo.storage.champion import BEST_ROW, UNSEARCHED_ROW
from evo.storage.estimates import paired
from evo.storage.history import History
from evo.storage.names import DENSE, EVOLVED, EVOLVED_LAW, LAW, OWN, RANDOM_SEARCH, ROWS, SHUFFLED
from evo.storage.records import EndRecord
from evo.storage.results import FinalTable, Interval, Verdict
from topologies.stack import AnyTopology, Stack

REPORT = "report.html"
"""The page that tells of a run, in its folder."""

FILES = {
    REPORT: "the report: all that is below, as one page that needs no network",
    "champion.safetensors": "the champion: what a model loads",
    BEST_ROW: "the topology with the least test error, where that is not the champion",
    UNSEARCHED_ROW: "the topology that needs no search, where that is the one to use",
    "masks.npz": "the champion's dense masks, one array a layer: 0 absent, 1 trainable, 2 constant",
    "topology.png": "the champion's layers and edges",
    "masks.png": "the champion's masks as images, and how many paths join each input and output",
    "progress.png": "evolution and random search against the baseline, candidate by candidate",
    "front.png": "error against edges, by family",
    "controllability.png": "how far the champion and the baseline control each input at each output (K), and where "
    "sizes are equal by how much they differ",
    "entry_errors.png": "the champion's error entry by entry beside its K",
    "final_table.png": "every row's difference from the baseline in the test",
    "final_table.csv": "the final table",
    "finalists.csv": "of a search on data, each finalist's error in the search and trained afresh",
    "candidates.csv": "every candidate: parents, operator, family, error, edges, depth, seconds, device",
}
"""What is kept of a finished run beside its journal, and what each file is."""

WORDS = {
    Verdict.BETTER: "better than",
    Verdict.LEVEL: "not told apart from",
    Verdict.WORSE: "worse than",
}
"""A verdict on one topology compared with another."""


def founder_words(table: FinalTable, founder: str | None) -> str | None:
    """What to use where a champion is a founder, the family of which is ``founder``, or not better than what is known.

    None where it is better than every row that needs no search, and where the table is not about a champion.
    """
    if table.first.name != EVOLVED:
        return None
    told = None
    if founder is not None:
        what = {OWN: "one of your own", LAW: EVOLVED_LAW, SAMPLED: "sampled at random", **ROWS}[founder]
        told = f"The champion is of the initial population ({what}): evolution found nothing better."
    best = table.unsearched(founder is not None)
    if best is None:
        return told
    beside = {Verdict.LEVEL: "level with", Verdict.WORSE: "worse than"}[table.verdicts[best.name]]
    is_named = best.label.replace("_", " ").casefold().startswith(best.name.casefold())
    member = best.label if is_named else f"{best.name} {best.label}".strip()
    use = f"The champion is {beside} the best that needs no search, the {member}: use that."
    return f"{told} {use}" if told else use


def best_row_words(table: FinalTable) -> str:
    """Which row has the least error, and how the champion stands to it, where that is not the champion's."""
    best = table.best
    member = f" `{best.label}`" if best.label else ""
    return (
        f"The least error is that of the {best.name}{member}, {significant(best.error.mean)}; "
        f"the {table.first.name} is {WORDS[table.verdicts[best.name]]} it. The test itself chose it among "
        f"{len(table.rows)} rows, so that its error is a little too good."
    )


def headline(table: FinalTable, founder: str | None = None) -> str:
    """What to remember of a finished run; ``founder`` as for :func:`founder_words`."""
    use = founder_words(table, founder)
    return verdict_in_words(table, founder) + (f" {use}" if use else "")


def verdict_in_words(table: FinalTable, founder: str | None = None) -> str:
    """How the champion stands to the baseline, in one sentence; ``founder`` as for :func:`founder_words`."""
    verdict = table.verdicts[table.baseline_name]
    champion = "evolved topology" if founder is None else "best of the initial population"
    if verdict is Verdict.WORSE:
        return f"The {table.baseline_name} is better than the {champion}."
    if verdict is Verdict.LEVEL:
        return f"The {champion} is not told apart from the {table.baseline_name}."
    others = [other for other in table.others if other is not table.baseline and other.name != DENSE]
    unbeaten = [other.name for other in others if table.verdicts[other.name] is not Verdict.BETTER]
    but = f", but not better than {_list(unbeaten)}" if unbeaten else ""
    found = "Evolution found a better topology" if founder is None else f"The {champion} is better"
    return f"{found} than the {table.baseline_name}{but}."


class ControllabilityTotals(NamedTuple):
    """Ratios of inputs that a topology controls, of how many, and how unevenly; of a stack sums, and the greatest."""

    total: float
    ratios: int
    unfairness: float


def retrained_words(history: History) -> str:
    """How much worse the best of a search on data are when they are trained afresh; nothing where they were not."""
    pairs = history.retrained
    if not pairs:
        return ""
    before, after = ([pair[place].error for pair in pairs] for place in (0, 1))
    gap = difference(Interval.of(paired(after, before)))
    finalists = "finalist" if len(pairs) == 1 else f"{len(pairs)} finalists"
    return (
        f"Search error of the {finalists} {significant(float(np.mean(before)))}; trained afresh, "
        f"{plural(len(pairs[0][1].score.errors if pairs[0][1].score else ()), 'new seed')} each, on the validation "
        f"part {significant(float(np.mean(after)))}: {'no gap' if gap == 'equal' else f'a gap of {gap}'}."
    )


def controllability_of(history: History) -> dict[str, ControllabilityTotals]:
    """Uniform K of the champion and of the baseline, by the names of their rows; without a final table none."""
    table = history.table
    rows = (table.first, table.baseline) if table else ()
    return {row.name: _totals(row.topology) for row in rows}


def _totals(topology: AnyTopology) -> ControllabilityTotals:
    found = [Controllability("uniform").analyse(place) for place in topology.places]
    ratios = sum(place.n_out * (place.n_in - 1) for place in topology.places)
    return ControllabilityTotals(sum(one.total for one in found), ratios, max(one.unfairness for one in found))


def numbers_in_words(history: History, table: FinalTable) -> str:
    """The champion's error beside the baseline's, their difference with its interval, and what was measured on."""
    champion, baseline = table.first, table.baseline
    apart = champion.minus(baseline)
    share = ratio(champion.error.mean, baseline.error.mean)
    more = "" if share is None else f"{abs(100 * share - 100):.1f} % {'less' if share < 1 else 'more'}, "
    are_equal = apart.is_deterministic and not apart.mean
    change = "they are equal" if are_equal else f"{more}a difference of {difference_and_ends(apart)}"
    words = words_of(history.header.evaluator, history.settings)
    over = paired_over(table, words)
    uncertain = "" if apart.is_deterministic else f" In parentheses are 95 % intervals, paired over the {over}."
    steps = f"{history.settings['fidelity']['validation_steps']} {words.steps}"
    return (
        f"{_task(history)}: on {len(champion.errors)} {words.tested}, trained for {steps}, "
        f"the evolved champion's {words.explained} is "
        f"**{significant(champion.error.mean)}**, that of the {history.baseline} `{baseline.label}` "
        f"**{significant(baseline.error.mean)}**: {change}.{uncertain}"
    )


def paired_over(table: FinalTable, words: Words) -> str:
    """Over what the differences in a table are paired."""
    over = words.tested.removeprefix("test ")
    return f"{over} and test examples" if table.first.example_errors else over


def about_controls(history: History, table: FinalTable) -> str:
    """What the controls say: random search of evolution itself, the champion shuffled of its wiring, and dense layers
    of sparsity.
    """
    candidates = f"{len(history.scores(Policy.RANDOM.value))} candidates sampled at random"
    earned = (
        "Evolution earned its keep" if history.founder is None else "Random search did not find the champion either"
    )
    moved = "edges, moved at random within their layers,"
    told = {
        RANDOM_SEARCH: {
            Verdict.BETTER: f"{earned}: {candidates} found nothing as good.",
            Verdict.LEVEL: f"Evolution **does not beat random search** here: it is not told apart from {candidates}.",
            Verdict.WORSE: f"Evolution **does not beat random search** here: {candidates} did better.",
        },
        SHUFFLED: {
            Verdict.BETTER: f"How the champion is wired counts: its own {moved} do worse.",
            Verdict.LEVEL: f"The champion does **not show that its wiring counts**: its own {moved} are level with it.",
            Verdict.WORSE: f"How the champion is wired **counts against it**: its own {moved} do better.",
        },
    }
    found = [words[table.verdicts[row]] for row, words in told.items() if row in table.verdicts]
    return " ".join(filter(None, (*found, dense_words(table))))


def dense_words(table: FinalTable) -> str:
    """How the champion stands to the dense layers that it takes the place of; nothing where they were not trained."""
    dense = table.get(DENSE)
    if dense is None:
        return ""
    share = 100 * table.first.topology.n_trainable / dense.topology.n_trainable
    gap = difference(table.first.minus(dense))
    return (
        f"With {share:.3g} % of their weights the champion is {WORDS[table.verdicts[DENSE]]} the dense layers that it "
        f"stands in for ({gap if gap == 'equal' else f'error {gap}'})."
    )


def controllability_in_words(history: History) -> str:
    """How many ratios of inputs the champion and the baseline control, and how evenly (paper, section VI)."""
    told = [
        f"the {name} controls {control.total:.0f} of {control.ratios} ratios of inputs "
        f"(unfairness {control.unfairness:.3f})"
        for name, control in controllability_of(history).items()
    ]
    return f"In the uniform reading of controllability {_list(told)}."


def files_of(history: History) -> dict[str, str]:
    """Those of :data:`FILES` that this finished run has."""
    absent = [*["finalists.csv"] * (not history.retrained), *{BEST_ROW, UNSEARCHED_ROW} - {*history.row_files}]
    is_stack = history.table is not None and isinstance(history.table.first.topology, Stack)
    absent += ["entry_errors.png"] * is_stack  # no one matrix that could be reconstructed
    return {name: meaning for name, meaning in FILES.items() if name not in absent}


def unfinished_in_words(history: History) -> str:
    """How far a search has come that has no final table yet, and how to go on where it was stopped."""
    last = history.records[-1]
    state = {"RUNNING": "is running", "KILLED": "was stopped", "FAILED": "failed"}[history.status]
    why = f": {last.why}" if isinstance(last, EndRecord) and last.why else ""
    told = f"**This search {state}{why}.** {_task(history)}."
    generations = history.generations(Policy.EVOLUTION)
    if generations and generations[-1].best is not None:
        latest = generations[-1]
        words = words_of(history.searched_by, history.settings)
        told += (
            f" After {latest.candidates} candidates the {words.explained} on the search split is "
            f"{significant(latest.best)} for the best topology within the baseline's edges and depth, and for the "
            f"baseline {significant(latest.baseline) or 'none'}. Nothing was confirmed on the test split yet."
        )
    if history.status != "RUNNING":
        told += f'\n\nContinue it with `evofabric resume "{history.folder}"`.'
    return told


def _task(history: History) -> str:
    settings = history.settings
    return f"{shape_text(history)} with {settings['budget']} trainable edges{_source(history)}"


def shape_text(history: History) -> str:
    """Inputs and outputs in words, or of a model with several places those of each."""
    return ", ".join(f"{n_in} × {n_out}" for n_in, n_out in history.sizes)


def _source(history: History) -> str:
    """The data or targets of the user's own, where there are some."""
    found, training = history.settings.get("found"), history.settings.get("training")
    if not found:
        return ""
    return f", {'trained on' if training else 'fitted to'} `{source_of(history.settings)}` ({found['about']})"


def unchosen_words(history: History) -> str:
    """That nothing was chosen on the test targets; nothing where those of the search are fitted again."""
    about = (history.settings.get("found") or {}).get("about", "")
    return "" if NOTHING_HELD_OUT in about else " that nothing was chosen on"


def source_of(settings: Mapping[str, Any]) -> str | None:
    """The name of the data or targets in a recipe's plain values."""
    training = settings.get("training")
    return training["data"] if training else settings.get("targets")


def _list(things: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(things[:-1]), things[-1])))


def plural(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
