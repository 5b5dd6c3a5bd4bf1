"""`make docs`: a site of the README, the guide, the settings and every public name, in `build/site`."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path

import pdoc
import pdoc.render

HOME = Path(__file__).parents[1]
SITE = HOME / "build" / "site"
PACKAGES = ("topologies", "topologies.models", "evaluators", "cluster", "evo")


def main() -> None:
    """Write the pages, and the pictures that they show."""
    for name in PACKAGES:
        package = import_module(name)
        # Names that are imported when they are first used are there for pdoc only once they are.
        vars(package).update({one: getattr(package, one) for one in getattr(package, "__all__", ())})
    pdoc.render.configure(docformat="numpy")
    pdoc.pdoc("evofabric", *PACKAGES, output_directory=SITE)
    (SITE / "runs").mkdir(exist_ok=True)
    for picture in [*HOME.glob("runs/*.png"), *HOME.glob("runs/*.svg")]:
        shutil.copy(picture, SITE / "runs")
    print(f"open {SITE / 'evofabric.html'}")


if __name__ == "__main__":
    main()
