# SPDX-License-Identifier: Apache-2.0
"""Takes files out of the page cache, and sees whether they are."""

import ctypes
import mmap
import os

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
_MAP_FAILED = ctypes.c_void_p(-1).value


def drop(paths):
    """Returns the share of the files' pages that is in memory all the same."""
    pages = resident = 0
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            states = _page_states(file, os.fstat(file).st_size)
        finally:
            os.close(file)
        pages += len(states)
        resident += sum(state & 1 for state in states)
    return resident / pages if pages else 0.0


def _page_states(file, size):
    if size == 0:
        return b""
    address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file, 0)
    if address == _MAP_FAILED:
        raise OSError(ctypes.get_errno(), "cannot map")
    states = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
    failed = _libc.mincore(address, size, states)
    error = ctypes.get_errno()
    _libc.munmap(address, size)
    if failed:
        raise OSError(error, "cannot look at pages")
    return states.raw
