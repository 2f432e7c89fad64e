# SPDX-License-Identifier: Apache-2.0
"""Memory for the next run, as BackMemory of cli/bench/measure.h provides it."""

import mmap
import os

MOST = 1 << 30
PAGE = 4096


def back(paths):
    """Touches and frees as much as the files may take in memory."""
    size = min(MOST, 3 * sum(os.path.getsize(path) for path in paths))
    if size == 0:
        return
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        for at in range(0, size, PAGE):
            memory[at] = 1
