"""What Ctrl-C and SIGTERM do once a command has begun its work."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

AGAIN_SECONDS = 0.1
"""How long an interruption that came in the middle of an import waits before it is tried again."""


class Interrupts:
    """Handler of signals that raises KeyboardInterrupt: once, and never in the middle of an import.

    A library that is cut off while it is loaded may crash, or take itself for badly installed. Whoever ends a search
    needs some seconds for it: a second interruption is answered with words, and a third ends the process at once,
    which loses nothing that was evaluated.
    """

    def __init__(self) -> None:
        self._raised = self._warned = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take notice of a signal."""
        if self._raised and self._warned:
            os._exit(130)
        if self._raised:
            self._warned = True
            os.write(2, b"evofabric: stopping, in a few seconds; once more ends it at once\n")
        elif _importing(frame):
            again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
        else:
            self._raised = True
            raise KeyboardInterrupt


def begin() -> None:
    """From now on a stop is a KeyboardInterrupt: a command calls it when it has loaded what it needs.

    SIGINT stays ignored where it is, as in the background of a shell.
    """
    stop = Interrupts()
    signal.signal(signal.SIGTERM, stop)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, stop)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
