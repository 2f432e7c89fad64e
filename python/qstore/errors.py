# SPDX-License-Identifier: Apache-2.0
"""The errors of the package. Every one is a QStoreError; `code` is the library's name for it."""


class QStoreError(Exception):
    """Base of all errors that this package raises."""

    code: str = "internal"


class InvalidArgumentError(QStoreError, ValueError):
    """The caller asked for something that has no meaning."""

    code = "invalid-argument"


class InvalidSliceError(InvalidArgumentError, IndexError):
    """An index that the tensor does not have, or of a kind that is not supported."""


class ClosedError(InvalidArgumentError):
    """The handle was closed before."""


class NotFoundError(QStoreError):
    """A path, variant or tensor that is not there."""

    code = "not-found"


class PathNotFoundError(NotFoundError, FileNotFoundError):
    """A file or directory that is not there."""


class UnknownNameError(NotFoundError, KeyError):
    """A variant, tensor or file that the archive does not have; the message lists variants."""

    __str__ = Exception.__str__


class AlreadyExistsError(QStoreError, FileExistsError):
    """An output is there already and overwriting was not allowed."""

    code = "already-exists"


class IoError(QStoreError, OSError):
    """The operating system refused or failed a read or write."""

    code = "io"


class CorruptError(QStoreError):
    """Bytes that no writer of this format produces."""

    code = "corrupt"


class MismatchError(QStoreError):
    """Intact data that differs from what it was compared with."""

    code = "mismatch"


class UnsupportedVersionError(QStoreError):
    """An archive of a later format version."""

    code = "unsupported-version"


class UnsupportedFeatureError(QStoreError):
    """An archive that uses a codec, scheme or flag unknown here."""

    code = "unsupported-feature"


class LimitError(QStoreError):
    """A size beyond what this reader accepts, or more memory than there is."""

    code = "limit"


class SourceChangedError(QStoreError):
    """An input file changed while it was being read."""

    code = "source-changed"


class CancelledError(QStoreError):
    """The operation was stopped."""

    code = "cancelled"


class InternalError(QStoreError, RuntimeError):
    """A defect in the library."""


# What the library reports as not found are paths; names are looked up before it is called.
BY_CODE: dict[str, type[QStoreError]] = {
    kind.code: kind
    for kind in (
        InvalidArgumentError,
        PathNotFoundError,
        AlreadyExistsError,
        IoError,
        CorruptError,
        MismatchError,
        UnsupportedVersionError,
        UnsupportedFeatureError,
        LimitError,
        SourceChangedError,
        CancelledError,
        InternalError,
    )
}
