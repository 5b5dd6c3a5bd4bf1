"""The folders that runs live in, and how new ones are named."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cluster.ray_session import in_ray_job
from evo.run_settings import RunSettings


@contextmanager
def made_folder(folder: Path | None, settings: RunSettings) -> Iterator[Path]:
    """The folder, or a new one; what was made goes again if the run never came to have a journal."""
    if folder is None:
        folder = new_folder(settings)
        made = [folder]
    else:
        made = [one for one in (folder, *folder.parents) if not one.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"the folder {folder} cannot be made: {error.strerror}") from None
    try:
        yield folder.resolve()
    finally:
        for one in made:
            if not any(one.iterdir()):
                one.rmdir()


def new_folder(settings: RunSettings) -> Path:
    """A new folder for a run of this recipe; names sort by recipe, then by time."""
    if in_ray_job() and not settings.runs.is_absolute():
        raise ValueError(
            f"inside a Ray job {settings.runs} is a folder that Ray deletes with the job's files: "
            "give an absolute one that stays, for example --set runs=/shared/runs"
        )
    stem = f"{settings.label}-{time.strftime('%Y%m%d-%H%M%S')}"
    try:
        settings.runs.mkdir(parents=True, exist_ok=True)
        for name in (stem, *(f"{stem}-{count}" for count in range(2, 100))):
            with suppress(FileExistsError):  # another search that began in the same second
                (settings.runs / name).mkdir()
                return settings.runs.resolve() / name
    except OSError as error:
        raise ValueError(f"the runs folder {settings.runs} cannot be written: {error.strerror}") from None
    raise ValueError(f"{settings.runs} has a hundred runs called {stem}")
