"""Pictures of topologies by name, written where a person asks for them (``evofabric show``)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from matplotlib.figure import Figure

from evaluators.controllability.evaluator import Reading
from topologies.expression import is_expression
from topologies.stack import AnyTopology, by_place


def draw_each(topologies: Mapping[str, AnyTopology], out: Path) -> Iterator[Path]:
    """Draw every topology's layers and masks into a folder; yields the files.

    Raises
    ------
    ValueError
        Where the folder cannot be written.
    """
    from topologies.draw import draw_masks, draw_topology

    for (name, topology), stem in zip(topologies.items(), _file_stems(tuple(topologies)), strict=True):
        title = name if is_expression(name) else Path(name).name
        for suffix, draw in (("", draw_topology), ("-masks", draw_masks)):
            path = out / f"{stem}{suffix}.png"
            with _writing(out):
                out.mkdir(parents=True, exist_ok=True)
                draw(topology, title).savefig(path)
            yield path


def draw_together(
    topologies: Mapping[str, AnyTopology],
    controllability: Path | None,
    errors: Path | None,
    spectrum: Path | None,
    reading: Reading = "uniform",
    tell: Callable[[str], None] = lambda words: None,
) -> Iterator[Path]:
    """Draw all topologies side by side into those files that are named; yields the files.

    What is computed for a picture is told before, for it may take a while.

    Raises
    ------
    ValueError
        Where a file cannot be written, or its name ends in no format that pictures have.
    """
    from evo.report.pictures import control_maps, errors_beside_control, spectra

    named = by_place({_label(name): topology for name, topology in topologies.items()})
    wanted: tuple[tuple[Path | None, str, Callable[[], Figure]], ...] = (
        (controllability, f"computing K by its {reading} reading", lambda: control_maps(named, reading)),
        (errors, "training for the error of every entry", lambda: errors_beside_control(named)),
        (spectrum, "computing the spectra of tangent spaces", lambda: spectra(named)),
    )
    for path, words, draw in wanted:
        if path is not None:
            tell(words)
            with _writing(path):
                draw().savefig(path)
            yield path


def _label(name: str) -> str:
    """An expression, or a file with the folder that it is in: most champions are called the same."""
    return name if is_expression(name) else "/".join(Path(name).parts[-2:])


def _file_stem(name: str) -> str:
    """A file's own name, or an expression without what file names should not hold."""
    return Path(name).stem if Path(name).suffix in (".safetensors", ".npz") else _without_signs(name)


def _file_stems(names: Sequence[str]) -> list[str]:
    """What the pictures of each are called: with folders where several have one name, and if need be with numbers."""
    of_one, found = Counter(map(_file_stem, names)), list[str]()
    for name in names:
        stem = _file_stem(name)
        if of_one[stem] > 1:
            stem = _without_signs(str(Path(name).with_suffix("")))
        numbered = (f"{stem}-{number}" for number in range(2, len(names) + 1))
        found.append(next(one for one in (stem, *numbered) if one not in found))
    return found


def _without_signs(name: str) -> str:
    return re.sub(r"[^\w.=]+", "-", name).strip("-.")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ValueError(f"cannot write to {path}: {error.strerror}") from None
