"""What Ctrl-C and SIGTERM do once a command has begun its work."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

AGAIN_SECONDS = 0.1
"""How long an interruption that came at a bad moment waits before it is tried again."""


class Interrupts:
    """Handler of signals that raises KeyboardInterrupt: once, and never where that would do harm or be lost.

    A library that is cut off while it is loaded may crash, or take itself for badly installed, and what is raised in a
    function that LLVM calls, while kernels are compiled, is printed and forgotten: then it is tried again. Whoever ends
    a search needs some seconds for it: a second interruption is answered with words, and a third ends the process at
    once, which loses nothing that was evaluated. Once all is ended, :func:`again` has the next one count as a first.
    """

    def __init__(self) -> None:
        self._raised = self._warned = self._told = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take notice of a signal."""
        if self._raised and self._warned:
            os._exit(130)
        if self._raised:
            self._warned = True
            os.write(2, b"evofabric: stopping, in a few seconds; once more ends it at once\n")
        elif _is_bad_moment(frame):
            self._say()
            again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
        else:
            self._say()
            self._raised = True
            raise KeyboardInterrupt

    def _say(self) -> None:
        """Say at once that the stop was noticed; what follows may take some seconds."""
        if not self._told:
            self._told = True
            os.write(2, b"evofabric: stopping\n")


def begin() -> None:
    """From now on a stop is a KeyboardInterrupt: a command calls it when it has loaded what it needs.

    SIGINT stays ignored where it is, as in the background of a shell.
    """
    stop = Interrupts()
    signal.signal(signal.SIGTERM, stop)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, stop)


def again() -> None:
    """Have another stop be a KeyboardInterrupt as well: a command calls it when all that is left is to wait."""
    stop = Interrupts()
    for number in (signal.SIGINT, signal.SIGTERM):
        if isinstance(signal.getsignal(number), Interrupts):
            signal.signal(number, stop)


def _is_bad_moment(frame: FrameType | None) -> bool:
    """Whether an import is under way, or LLVM has called a function of ours."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file == "<frozen importlib._bootstrap>" or "/llvmlite/" in file:
            return True
        frame = frame.f_back
    return False
