# SPDX-License-Identifier: Apache-2.0
"""How a command of this package ends when it was stopped."""

import os
import signal
import sys
from types import FrameType


def interrupt(number: int, _frame: FrameType | None) -> None:
    """A handler of signals: raises KeyboardInterrupt, which `end_by_signal` takes the number of."""
    raise KeyboardInterrupt(number)


def end_by_signal(stop: KeyboardInterrupt) -> None:
    """Ends the process by the signal that stopped it, so that the shell that started it stops too.

    Returns only where that signal is blocked.
    """
    number = stop.args[0] if stop.args else signal.SIGINT
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
