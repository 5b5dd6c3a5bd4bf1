"""The commands about single topologies: families, show, score, verify, generalise, export."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

import typer

from evo.cli.options import Address, Json, Names, Overrides, Workers, placed, two_sides
from evo.cli.terminal import begin, console, keep_stdout_for_results, progress_console, status, tell

_AGAIN = "training the champion again"


def families(
    law: Annotated[
        Path | None, typer.Option(help="Instead say the law of the evolved family, and draw it to this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the families of topologies, their parameters and an example of each."""
    if law is not None and as_json:
        raise ValueError("--json lists families, and --law says a law in words: leave one of them out")
    keep_stdout_for_results(as_json)
    from evo.report.tables import families_table
    from topologies.families import FAMILIES

    begin("listing")
    if law is not None:
        from evo.studies.rules.law import picture, words
        from topologies.families.evolved import LAW

        picture(LAW).savefig(law)
        console.print(words(LAW), soft_wrap=True, highlight=False)
    elif as_json:
        told = ("name", "summary", "parameters", "example")
        print(json.dumps([{key: getattr(family, key) for key in told} for family in FAMILIES.values()], default=dict))
    else:
        console.print(families_table())


def show(
    names: Names,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the pictures of layers and masks; by default this one.")
    ] = None,
    controllability: Annotated[
        Path | None, typer.Option(help="Draw K, control of each input at each output, side by side to this file.")
    ] = None,
    errors: Annotated[
        Path | None, typer.Option(help="Draw the error of every entry beside K to this file; trains for seconds.")
    ] = None,
    spectrum: Annotated[Path | None, typer.Option(help="Draw the tangent spaces' Gram spectra to this file.")] = None,
    requirements: Annotated[
        bool, typer.Option("--requirements", help="Print how it stands to the paper's requirements (VII-E).")
    ] = False,
    reading: Annotated[
        Literal["uniform", "trained", "fair"], typer.Option(help="How K is read; the last two are trained.")
    ] = "uniform",
) -> None:
    """Print what topologies are, and draw their layers and masks to PNG, or what else is asked for.

    Where something else is asked for, layers and masks are drawn beside it if --out names a folder.
    """
    from evo.console.show import draw_each, draw_together
    from evo.report.tables import requirements_table, summary_table
    from evo.tracking.registry import resolve
    from topologies.stack import by_place

    begin("measuring and drawing")
    if reading != "uniform" and controllability is None:
        raise ValueError(f"--reading {reading} goes with --controllability: it says how the K is read that is drawn")
    topologies = {name: resolve(name) for name in names}
    for name, topology in by_place(topologies).items():
        console.print(summary_table(name, topology))
        if requirements:
            console.print(requirements_table(name, topology))
    together = draw_together(topologies, controllability, errors, spectrum, reading, tell)
    each = draw_each(topologies, out or Path()) if out or not any((controllability, errors, spectrum)) else ()
    for path in chain(together, each):
        console.print(f"drawn to {path}", soft_wrap=True, markup=False)


def score(
    names: Names,
    overrides: Overrides = None,
    ray_address: Address = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Compare topologies with the tuned baseline on test targets."""
    keep_stdout_for_results(as_json)
    from evo.console.progress import ProgressDisplay
    from evo.experiment.compare import for_scores, scores
    from evo.experiment.plan import plan_of_comparison
    from evo.experiment.weight_sharing import shared_weights
    from evo.report.final_table import comparison_table, plain, plain_weight_sharing, weight_sharing_words
    from evo.report.words import words_of
    from evo.tracking.registry import resolve

    begin("starting workers", say=True)
    found = [resolve(name) for name in names]
    settings = placed(for_scores(dict(zip(names, found, strict=True)), overrides or ()), ray_address, workers)
    topologies = dict(zip(names, found, strict=True))
    phases = plan_of_comparison(settings, len(topologies))
    status.stop()
    with ProgressDisplay(settings, progress_console(), phases) as progress:
        table = scores(settings, topologies, progress)
    instead = shared_weights(settings)
    if as_json:
        print(json.dumps(plain(table) | {"weight_sharing": plain_weight_sharing(instead)}))
        return
    console.print(
        comparison_table(table, words_of(settings.evaluator, settings.model_dump()), console.width), soft_wrap=True
    )
    if instead:
        console.print(f"[dim]{weight_sharing_words(instead)}[/dim]")


def verify(
    file: Annotated[Path, typer.Argument(help="A run's folder or champion file.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Train a champion again on its test targets and compare with what its file says; exit code 1 if it differs."""
    keep_stdout_for_results(as_json)
    from evo.console.progress import ExpectedTime
    from evo.experiment.compare import expected_seconds
    from evo.experiment.compare import verify as verified

    begin(_AGAIN, say=True)
    expected = expected_seconds(file)
    if expected is None:
        found = verified(file)
    else:
        status.stop()
        with ExpectedTime(_AGAIN, expected, progress_console()):
            found = verified(file)
    stated = found.stated_interval
    if as_json:
        interval = [stated.low, stated.high]
        values = {"stated": found.stated, "stated_interval": interval, "found": found.found.mean}
        print(json.dumps(values | {"agrees": found.agrees}))
        raise typer.Exit(0 if found.agrees else 1)
    console.print(f"stated    {found.stated:.6f}  (95 % interval {stated.low:.6f} to {stated.high:.6f})")
    console.print(f"found     {found.found.mean:.6f}")
    if not found.agrees:
        console.print("[red]The error found lies outside the stated interval.[/red]")
        raise typer.Exit(1)
    exact = "to the last bit" if found.found.mean == found.stated else "within the stated interval"
    console.print(f"[green]They agree {exact}.[/green]")


def generalise(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder or champion file.", show_default=False)],
    size: Annotated[str, typer.Option(help="Inputs and outputs wanted, as 48x48.", show_default=False)],
    edges: Annotated[int, typer.Option(help="Trainable edges wanted.", show_default=False)],
    seed: Annotated[int, typer.Option(min=0, help="Names one wiring for good.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Where to write the topology; by default here, named by size and edges.")
    ] = None,
) -> None:
    """Say a champion's law (depth, widths, shares of edges), and write what it makes of another size."""
    from evo.studies.rules.generalise import generalised
    from evo.tracking.registry import resolve
    from topologies.files import save

    begin("wiring")
    n_in, n_out = two_sides(size)
    said, topology = generalised(resolve(name), n_in, n_out, edges, seed)
    console.print(said, soft_wrap=True, highlight=False)
    widths = "-".join(map(str, topology.widths))
    console.print(
        f"At {n_in} x {n_out}: widths {widths}, {topology.n_trainable} trainable and "
        f"{topology.n_constant} constant edges.",
        soft_wrap=True,
        highlight=False,
    )
    file = save(topology, out or Path(f"generalised-{n_in}x{n_out}-b{edges}.safetensors"))
    console.print(f"written to {file}; compare it: evofabric score {file}", soft_wrap=True, markup=False)


def export(
    name: Annotated[str, typer.Argument(metavar="X", help="A file, run's folder or expression.", show_default=False)],
    file: Annotated[
        Path, typer.Argument(help="Where to write: .npz (dense masks) or .safetensors.", show_default=False)
    ],
) -> None:
    """Write a topology as dense masks (0 absent, 1 trainable, 2 constant) or as a topology file."""
    from evo.tracking.registry import resolve
    from topologies.files import save
    from topologies.masks import save_masks

    begin("writing")
    writers = {".npz": save_masks, ".safetensors": save}
    if file.suffix not in writers:
        raise ValueError(f"{file}: the name ends in .npz (dense masks) or .safetensors (a topology file)")
    console.print(f"written to {writers[file.suffix](resolve(name), file)}", soft_wrap=True, markup=False)
