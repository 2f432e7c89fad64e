#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads archives by ctypes from the shared library, with nothing but Python's standard library.

How other languages may bind qstore.h. Python programs have the package `qstore`, which does more.

usage: qstore_ctypes.py LIBRARY ARCHIVE|URL VARIANT    lists the tensors of the variant
"""

import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p


class Tensor(ctypes.Structure):
    """qstore_tensor_info."""

    _fields_ = [
        ("size", c_size_t),
        ("name_", c_char_p),
        ("name_length", c_size_t),
        ("dtype", c_uint32),
        ("rank", c_uint32),
        ("shape_", POINTER(c_uint64)),
        ("byte_size", c_uint64),
        ("file", c_size_t),
    ]

    @property
    def name(self):
        return self.name_.decode()

    @property
    def shape(self):
        return tuple(self.shape_[: self.rank])


class Variant(ctypes.Structure):
    """qstore_variant_info."""

    _fields_ = [
        ("size", c_size_t),
        ("name_", c_char_p),
        ("source_bytes", c_uint64),
        ("first_file", c_size_t),
        ("file_count", c_size_t),
        ("first_tensor", c_size_t),
        ("tensor_count", c_size_t),
    ]

    @property
    def name(self):
        return self.name_.decode()


class File(ctypes.Structure):
    """qstore_file_info."""

    _fields_ = [
        ("size", c_size_t),
        ("path_", c_char_p),
        ("byte_size", c_uint64),
        ("container", c_char_p),
        ("digest", c_uint8 * 16),
        ("is_directory", c_uint8),
        ("is_executable", c_uint8),
    ]

    @property
    def path(self):
        return self.path_.decode()


class QStoreError(Exception):
    """With `code`, a name such as "corrupt"."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Library:
    """The functions of qstore.h that this example uses; failures raise QStoreError."""

    def __init__(self, path):
        self.c = ctypes.CDLL(path)
        for name in ("qstore_version", "qstore_code_name", "qstore_dtype_name"):
            getattr(self.c, name).restype = c_char_p
        self.c.qstore_error_message.restype = c_char_p
        self.c.qstore_error_message.argtypes = [c_void_p]
        self.c.qstore_error_free.argtypes = [c_void_p]
        self.c.qstore_error_free.restype = None
        self.c.qstore_close.argtypes = [c_void_p]
        self.c.qstore_close.restype = None
        self.c.qstore_variant_count.argtypes = [c_void_p]
        self.c.qstore_variant_count.restype = c_size_t

    def call(self, name, *arguments):
        error = c_void_p()
        code = getattr(self.c, name)(*arguments, byref(error))
        if code == 0:
            return
        try:
            message = self.c.qstore_error_message(error).decode(errors="replace")
            raise QStoreError(self.c.qstore_code_name(c_uint32(code)).decode(), message)
        finally:
            self.c.qstore_error_free(error)

    def dtype_name(self, dtype):
        return self.c.qstore_dtype_name(c_uint32(dtype)).decode()


class Archive:
    """An open archive; a context manager."""

    def __init__(self, library, location):
        self.library = library
        self.handle = c_void_p()
        library.call("qstore_open", location.encode(), None, byref(self.handle))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.library.c.qstore_close(self.handle)
        self.handle = c_void_p()

    def _info(self, kind, function, number):
        info = kind(size=ctypes.sizeof(kind))
        self.library.call(function, self.handle, c_size_t(number), byref(info))
        return info

    def variants(self):
        count = self.library.c.qstore_variant_count(self.handle)
        return [self._info(Variant, "qstore_get_variant", i) for i in range(count)]

    def variant(self, name):
        number = c_size_t()
        self.library.call("qstore_find_variant", self.handle, name.encode(), byref(number))
        return self._info(Variant, "qstore_get_variant", number.value)

    def tensor(self, number):
        return self._info(Tensor, "qstore_get_tensor", number)

    def file(self, number):
        return self._info(File, "qstore_get_file", number)

    def read_tensor(self, number):
        out = bytearray(self.tensor(number).byte_size)
        self.library.call("qstore_read_tensor", self.handle, c_size_t(number), *_room(out), 0)
        return out

    def read_rows(self, number, begin, end):
        size = c_uint64()
        rows = c_size_t(number), c_uint64(begin), c_uint64(end)
        self.library.call("qstore_rows_byte_size", self.handle, *rows, byref(size))
        out = bytearray(size.value)
        self.library.call("qstore_read_rows", self.handle, *rows, *_room(out), 0)
        return out

    def read_file(self, number, begin, size):
        out = bytearray(size)
        where = c_size_t(number), c_uint64(begin)
        self.library.call("qstore_read_file", self.handle, *where, *_room(out), 0)
        return out

    def verify(self):
        self.library.call("qstore_verify", self.handle, None)


def _room(out):
    """A buffer as the two arguments that the functions take."""
    return (ctypes.c_char * len(out)).from_buffer(out), c_size_t(len(out))


def main(path, location, name):
    library = Library(path)
    with Archive(library, location) as archive:
        variant = archive.variant(name)
        for i in range(variant.first_tensor, variant.first_tensor + variant.tensor_count):
            tensor = archive.tensor(i)
            print(library.dtype_name(tensor.dtype), tensor.byte_size, tensor.name, tensor.shape)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except QStoreError as error:
        sys.exit(f"{error} ({error.code})")
