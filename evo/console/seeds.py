"""A search that is repeated over seeds, and the spread of what was found, also where it was stopped on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from evo.console.search import RECIPE, Stopped
from evo.experiment.search import Result
from evo.report.tables import seed_spreads, spread_table
from evo.settings import Settings
from evo.storage.results import FinalTable


def search_seeds(
    settings: Settings, seeds: int, search: Callable[[Settings], Result], console: Console, as_json: bool
) -> None:
    """Search with so many seeds, from the recipe's on, and print the spread of the test errors over those that ended.

    Raises
    ------
    Stopped
        When a search was stopped, once the spread so far is printed, and how the other seeds are had.
    """
    tables: dict[int, FinalTable] = {}
    wanted = range(settings.seed, settings.seed + seeds)
    left, folder = range(0), None
    try:
        for seed in wanted:
            found = search(settings.model_copy(update={"seed": seed}))
            tables[seed], folder = found.table, found.folder
    except Stopped as stop:
        folder = stop.folder or folder
        if stop.result is not None:
            tables[seed] = stop.result.table
        left = range(seed + (stop.folder is not None), wanted.stop)
        raise
    except KeyboardInterrupt:  # while a search began or its result was shown
        left = range(seed + 1, wanted.stop)
        raise
    finally:
        if seeds > 1:
            _show(tables, left, folder, console, as_json)


def _show(
    tables: Mapping[int, FinalTable], left: Sequence[int], folder: Path | None, console: Console, as_json: bool
) -> None:
    """Print the spread over the seeds that ended, if any did, and how those are had that were not begun.

    A recipe that was made for data lies in the ``folder`` of any of the searches; made again it could be another.
    """
    if tables and as_json:
        print(json.dumps({"spread": [asdict(row) for row in seed_spreads(tables)]}))
    elif tables:
        console.print(spread_table(tables))
    if left:
        told = ", ".join(map(str, left))
        made = folder is not None and (folder / RECIPE).is_file()
        command = f'evofabric search "{folder}/{RECIPE}"' if made else "the same command with"
        how = escape(f"{command} --set seed={left[0]} --seeds {len(left)}")
        console.print(f"Seeds that were not begun: {told}. Search with them: {how}", soft_wrap=True)
