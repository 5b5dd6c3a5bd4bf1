"""A run's report as one HTML page: words and tables made here, charts drawn by the page's own script."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from evo.recipe import as_begun
from evo.report.html.ancestry import ancestry
from evo.report.html.course import course, drawn
from evo.report.html.lines import lines
from evo.report.numbers import significant
from evo.report.palette import family_colour
from evo.report.text import (
    REPORT,
    WORDS,
    about_controls,
    controllability_in_words,
    controllability_of,
    files_of,
    founder_words,
    numbers_in_words,
    retrained_words,
    shape_text,
    unchosen_words,
    unfinished_in_words,
    verdict_in_words,
)
from evo.report.use import lines_of_python, other_words
from evo.report.won import won_in_words
from evo.report.words import words_of
from evo.settings import Settings
from evo.storage.history import History
from evo.storage.results import FinalTable

SHOWN = {
    "controllability.png": "K of every input at every output: the champion, the baseline, and where sizes are equal "
    "the difference",
    "masks.png": "the champion's masks, and how many paths join each input and output",
    "entry_errors.png": "the champion's error entry by entry, beside its K",
}
"""The pictures that the page holds, as far as there are such, and what they are of."""


def report_page(history: History, pictures: Mapping[str, bytes]) -> str:
    """The page of a run, finished or not, as far as it got; equal journals give equal pages.

    ``pictures`` are PNG files by name, of which those in :data:`SHOWN` are put into the page.
    """
    environment = Environment(
        loader=PackageLoader("evo.report", "html"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"words": _marked, "significant": significant}
    settings, table = as_begun(history.settings), history.table
    about: dict[str, Any] = {
        "name": history.folder.name,
        "task": f"{shape_text(history)}, {history.settings['budget']} trainable edges, seed {history.settings['seed']}",
        "status": history.state,
        "course": course(history),
        "settings": json.dumps(history.settings, indent=2, ensure_ascii=False),
        "digest": history.result.digest if history.result else None,
        "folder": str(history.folder),
        "pictures": [(meaning, _inline(pictures[name])) for name, meaning in SHOWN.items() if name in pictures],
        "style": _file("style.css"),
        "script": _file("axes.js") + _file("charts.js"),
        "table": None,
        "unfinished": None if table else unfinished_in_words(history),
    }
    if table is not None:
        about |= _finished(history, settings, table)
    return environment.get_template("page.html.jinja").render(about)


def _finished(history: History, settings: Settings, table: FinalTable) -> dict[str, Any]:
    """What the page says of a finished search."""
    assert history.champion is not None
    champion = table.first.topology
    words = words_of(history.header.evaluator, history.settings)
    found = lines(table)
    return {
        "table": table,
        "lines": found,
        "headline": verdict_in_words(table, history.founder),
        "founder": founder_words(table, history.founder),
        "numbers": f"{numbers_in_words(history, table)} {won_in_words(history, table)}",
        "groups": [
            (WORDS[verdict], [row.name for row in rows], verdict.value)
            for verdict, rows in reversed(table.by_verdict().items())
        ],
        "controls_said": about_controls(history, table),
        "over": f"{len(table.first.errors)} {words.tested}",
        "unchosen": unchosen_words(history),
        "error": words.error,
        "retrained": retrained_words(history),
        "controllability_said": controllability_in_words(history),
        "controllability": controllability_of(history),
        "file": str(history.champion_file),
        "code": "\n".join(lines_of_python(champion, history.champion_file, settings)),
        "others": other_words(table, history.founder, history.row_files, settings),
        "ancestors": ancestry(history, history.champion),
        "colour": family_colour,
        "drawn": drawn(champion),
        "files": {name: meaning for name, meaning in files_of(history).items() if name != REPORT},
    }


def _marked(text: str) -> Markup:
    """Our words, with ``**`` around what is strong and backticks around code, as HTML; all else is escaped."""
    safe = str(escape(text))
    safe = re.sub(r"`([^`]*)`", r"<code>\1</code>", safe)
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe))


def _inline(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def _file(name: str) -> Markup:
    """A file of ours that stands in the page as it is."""
    return Markup((Path(__file__).parent / name).read_text(encoding="utf-8"))
