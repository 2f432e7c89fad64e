# SPDX-License-Identifier: Apache-2.0
"""Memory that is there when a load asks the system for it.

A host may take back what its virtual machine has free (free page reporting, in large blocks only).
The first touch then costs up to ten times as much, and depends on what ran before and on the size
of the pages rather than on who loads.
"""

import ctypes
import mmap
import os

MOST = 1 << 30


def back(size):
    """Touches `size` bytes, more than a load takes, and gives them back to this machine."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    view = ctypes.c_char.from_buffer(memory)
    ctypes.memset(ctypes.addressof(view), 1, size)
    del view
    memory.close()


def back_for(paths):
    """As much as loading or saving these files may take; as `qstore bench` does for itself."""
    size = min(MOST, 3 * sum(os.path.getsize(path) for path in paths))
    if size > 0:
        back(size)
