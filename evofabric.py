"""The ``evofabric`` command: see that it can work here, with packages of our own, then hand over to ``evo.cli``."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

__version__ = "0.2.0"
PACKAGES = ("topologies", "evaluators", "cluster", "evo")


def check_platform() -> None:
    """Raise ImportError on Windows, where Python cannot lock files as a run and its records are locked."""
    if sys.platform == "win32":
        raise ImportError("Windows is not supported: use Linux or macOS, or the Windows Subsystem for Linux")


def check_packages() -> None:
    """Raise ImportError if another project's ``evo`` or ``cluster`` stands before ours on the import path."""
    home = Path(__file__).resolve().parent
    for name in PACKAGES:
        spec = find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None or origin.parent.parent != home:
            raise ImportError(
                f"the package {name!r} comes from {origin and origin.parent}, not from evofabric in {home}: "
                f"uninstall the other project (`pip uninstall {name}`) or use an environment of evofabric's own"
            )


def main() -> None:
    """Run the command line; exits with status 2 and one line on Windows, or if another project is in the way."""
    try:
        check_platform()
        check_packages()
    except ImportError as error:
        print(f"evofabric: {error}", file=sys.stderr)
        sys.exit(2)
    from evo.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
