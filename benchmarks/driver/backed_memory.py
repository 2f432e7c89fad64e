# SPDX-License-Identifier: Apache-2.0
"""Memory that is there when a load asks the system for it.

A host may take back what its virtual machine has free (free page reporting, in large blocks only).
The first touch then costs up to ten times as much, and depends on what ran before and on the size
of the pages rather than on who loads.
"""

import ctypes
import mmap

SIZE = 256 << 20


def back():
    """Touches more than a load takes, and gives it back to this machine."""
    memory = mmap.mmap(-1, SIZE)
    memory.madvise(mmap.MADV_HUGEPAGE)
    view = ctypes.c_char.from_buffer(memory)
    ctypes.memset(ctypes.addressof(view), 1, SIZE)
    del view
    memory.close()
