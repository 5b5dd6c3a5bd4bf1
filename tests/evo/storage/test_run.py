"""Where a run's folder comes from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from evo.storage.folders import new_folder
from tests.fakes import recipe


def test_searches_that_begin_in_the_same_second_have_folders_of_their_own(tmp_path: Path) -> None:
    settings = recipe(runs=str(tmp_path))
    with ThreadPoolExecutor(16) as starts:
        folders = list(starts.map(lambda _: new_folder(settings), range(60)))
    assert len(set(folders)) == 60
    assert all(folder.is_dir() for folder in folders)
