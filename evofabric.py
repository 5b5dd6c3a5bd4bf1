"""The ``evofabric`` command: see that it can work here, with packages of our own, then hand over to ``evo.cli``.

Below, on the site that `make docs` builds, stand the README, the guide and the reference of settings.

.. include:: README.md
.. include:: GUIDE.md
.. include:: SETTINGS.md
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import suppress

__version__ = "0.2.0"
PACKAGES = ("topologies", "evaluators", "cluster", "evo")

_status = 0
"""What the process ends with, as soon as it is known."""


def check_packages() -> None:
    """Raise ImportError if another project's ``evo`` or ``cluster`` stands before ours on the import path."""
    from importlib.util import find_spec
    from pathlib import Path

    home = Path(__file__).resolve().parent
    for name in PACKAGES:
        spec = find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin is None or origin.parent.parent != home:
            raise ImportError(
                f"the package {name!r} comes from {origin and origin.parent}, not from evofabric in {home}: "
                f"uninstall the other project (`pip uninstall {name}`) or use an environment of evofabric's own"
            )


def leave(*_: object) -> None:
    """End at once with a word, as Ctrl-C and SIGTERM do while libraries are loaded: nothing has begun by then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.write(2, b"evofabric: interrupted; nothing was begun\n")
    os._exit(130)


def end_at_once() -> None:
    """End the process as it would end now, but without taking libraries apart, which takes them seconds.

    To be registered with :mod:`atexit` before anything else is, so that it is called when all others have been.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # there is none, or nobody reads it any more
            stream.flush()
    os._exit(_status)


def command() -> None:
    """The command ``evofabric``: :func:`main` in a process of its own."""
    atexit.register(end_at_once)
    main()


def main() -> None:
    """Run the command line; exits with status 2 and one line on Windows or if another project is in the way."""
    global _status
    _status = 1
    try:
        _main()
        _status = 0
    except SystemExit as end:
        _status = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise


def _main() -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as it is in the background of a shell
        signal.signal(signal.SIGINT, leave)
    signal.signal(signal.SIGTERM, leave)  # last: who sees that it is handled may send either
    try:
        check_packages()
        from topologies.extras import needed_by

        with needed_by("evofabric"):
            from evo.cli import main as command_line
    except ImportError as error:
        print(f"evofabric: {error}", file=sys.stderr)
        sys.exit(2)
    command_line()


if __name__ == "__main__":
    command()
