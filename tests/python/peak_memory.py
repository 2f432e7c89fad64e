# SPDX-License-Identifier: Apache-2.0
"""Peak resident memory of the command."""

import subprocess
import sys
import time

from command import BINARY

# A small process of its own, since a child counts what its parent had in memory when it started.
LAUNCHER = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(done.returncode)
"""


def peak_and_result(*arguments):
    """The finished command, peak resident bytes as /usr/bin/time counts them, and wall time."""
    start = time.monotonic()
    launcher = [sys.executable, "-S", "-c", LAUNCHER]
    done = subprocess.run(
        [*launcher, BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=3600
    )
    return done, int(done.stdout), time.monotonic() - start


def peak_and_seconds(*arguments):
    """Of a command that succeeds."""
    done, peak, seconds = peak_and_result(*arguments)
    assert done.returncode == 0, done.stderr
    return peak, seconds
