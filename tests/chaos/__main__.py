"""`make chaos`: a search among faults, round after round, and whether it came out the same."""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.chaos.ray_rounds import actors_killed, driver_and_actors_killed, in_ray, node_dies, poison, troubles
from tests.chaos.rounds import (
    Fault,
    checkpoint_lost,
    disk_fills,
    evaluator_fails,
    interrupted_again,
    interrupted_in_a_write,
    journal_damaged,
    killed_at_random,
    killed_before_telling,
    killed_before_the_journal,
    killed_in_a_checkpoint,
    killed_in_a_record,
    killed_in_the_champion,
    killed_while_resuming,
    small_disk_fills,
    stopped,
)
from tests.chaos.stage import Home, Stage, calm
from tests.chaos.tracking_rounds import database_locked, server_goes_away, stopped_while_tracked

IN_PROCESS: dict[str, Fault] = {
    "SIGKILL at random moments": killed_at_random,
    "SIGKILL before answers are on disk": killed_before_the_journal,
    "SIGKILL in the middle of a record": killed_in_a_record,
    "SIGKILL between disk and telling": killed_before_telling,
    "SIGKILL in a checkpoint": killed_in_a_checkpoint,
    "SIGKILL in the champion's file": killed_in_the_champion,
    "SIGKILL while resuming": killed_while_resuming,
    "SIGTERM": stopped("terminate"),
    "Ctrl-C": stopped("interrupt"),
    "Ctrl-C in the middle of a write": interrupted_in_a_write,
    "Ctrl-C twice": interrupted_again,
    "no room for the journal": disk_fills,
    "no room on a small disk": small_disk_fills,
    "checkpoint deleted": checkpoint_lost("deleted"),
    "checkpoint damaged": checkpoint_lost("damaged"),
    "checkpoint older than the journal": checkpoint_lost("old"),
    "journal damaged": journal_damaged,
    "evaluator raises, returns NaN": evaluator_fails,
}

FAULTS: dict[str, Fault] = {
    **IN_PROCESS,
    "tracking server goes away": server_goes_away,
    "tracking database locked": database_locked,
    "Ctrl-C while tracked": stopped_while_tracked,
    "Ray: actors killed": in_ray(actors_killed),
    "Ray: one hangs, dies, exhausts memory": in_ray(troubles),
    "Ray: what kills every actor": in_ray(poison),
    "Ray: actor and driver killed": in_ray(driver_and_actors_killed),
    "Ray: Ctrl-C": in_ray(stopped("interrupt")),
    "Ray: Ctrl-C twice": in_ray(interrupted_again),
    "Ray: a node dies": node_dies,
}


def main() -> None:
    """Run rounds, every kind of fault in turn, and print a table; exit code 1 unless all went well."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=len(FAULTS) + len(IN_PROCESS), help="every fault, some twice")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="of the moments of the faults")
    parser.add_argument("--only", default="", help="faults whose names hold this")
    asked = parser.parse_args()
    logging.getLogger("evo.storage.journal").setLevel(logging.ERROR)
    order = [*FAULTS, *list(IN_PROCESS) * asked.rounds][: asked.rounds]
    console, folder, home = Console(), Path(tempfile.mkdtemp(prefix="chaos-")), Home()
    console.print(f"{asked.rounds} rounds with --seed {asked.seed} in {folder}", highlight=False)
    table = Table("round", "fault", "where it fell", "resumes", "repeated", "digest", title="A search among faults")
    undisturbed, failed = calm(folder / "undisturbed", home), False
    for number, name in enumerate(order):
        if asked.only in name:
            stage = Stage(folder / str(number), home, undisturbed, checkpoints=bool(number % 2))
            where, verdict = attempt(FAULTS[name], stage, np.random.default_rng([asked.seed, number]))
            failed |= verdict != "equal"
            repeated = str(sum(stage.repeated.values()))
            table.add_row(str(number), name, where, str(len(stage.codes) - 1), repeated, verdict)
            console.print(f"{number:3}  {verdict:8}{name}: {where}", markup=False, highlight=False, soft_wrap=True)
    home.close()
    console.print(table)
    if not failed:
        shutil.rmtree(folder)
    sys.exit(failed)


def attempt(fault: Fault, stage: Stage, dice: np.random.Generator) -> tuple[str, str]:
    """Where a fault fell, and "equal" if that did no harm."""
    try:
        where = fault(stage, dice)
        stage.finish()
    except Exception as error:
        said = stage.folder / "failed.txt"
        said.write_text(f"{traceback.format_exc()}\n{stage.story()}")
        return f"{type(error).__name__} {str(error).partition(chr(10))[0][:200]}: see {said}", "FAILED"
    return where, "equal"


if __name__ == "__main__":
    main()
