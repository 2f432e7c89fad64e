from collections.abc import Callable
from typing import Any

from qstore._sources import Source

__version__: str

Coding = tuple[int, str, tuple[str, ...], list[int], int | None, bytes]
Progress = Callable[[int, int], object] | None
Sources = list[tuple[str, bytes]]

def instruction_set() -> str: ...
def types() -> dict[str, tuple[int, int]]: ...

class Archive:
    @staticmethod
    def open(path: bytes, max_memory: int) -> Archive: ...
    @staticmethod
    def open_http(
        url: str,
        headers: list[tuple[bytes, bytes]],
        timeout: float,
        retries: int,
        least_rate: float,
        deadline: float,
        unsafe_redirects: bool,
        certificates: str,
        max_memory: int,
    ) -> Archive: ...
    @staticmethod
    def open_source(source: Source, name: str, max_memory: int) -> Archive: ...
    @property
    def path(self) -> str: ...
    @property
    def format_version(self) -> int: ...
    @property
    def stored_bytes(self) -> int: ...
    @property
    def dead_bytes(self) -> int: ...
    @property
    def bytes_read(self) -> int: ...
    def variants(self) -> list[tuple[str, int, int, int, int, int]]: ...
    def files(
        self, variant: int
    ) -> list[tuple[str, int, bytes, str, bool, bool, bytes | None]]: ...
    def tensors(self, variant: int) -> list[tuple[str, str, tuple[int, ...], int, int]]: ...
    def tensor_name(self, variant: int, tensor: int) -> str: ...
    def sizes(self, variant: int) -> tuple[int, int, int, int]: ...
    def codings(self, variant: int) -> list[Coding]: ...
    def read(
        self,
        variant: int,
        tensor: int,
        out: Any,
        begin: int = 0,
        end: int | None = None,
        step: int = 1,
        threads: int = 0,
    ) -> None: ...
    def read_parts(
        self, variant: int, parts: list[tuple[int, Any, int, int | None]], threads: int = 0
    ) -> None: ...
    def read_file(
        self, variant: int, file: int, begin: int = 0, end: int | None = None
    ) -> bytes: ...
    def allocate(self, variant: int, max_bytes: int = ...) -> LoadedTensors: ...
    def load(self, tensors: LoadedTensors, threads: int = 0, progress: Progress = None) -> None: ...

class LoadedTensors:
    def contents(self) -> list[memoryview]: ...

class BackgroundReads:
    def __init__(self, archive: Archive, threads: int) -> None: ...
    def begin(self, variant: int, tensor: int, out: Any) -> int: ...
    def finish(self, number: int) -> bool: ...
    def cancel(self) -> None: ...

class Reading: ...

class FileCache:
    def __init__(self, archive: Archive, memory: int, threads: int) -> None: ...
    def begin(self, variant: int, file: int) -> Reading: ...
    def read(self, reading: Reading, offset: int, size: int) -> bytes: ...

def get(
    archive: Archive,
    variant: str,
    file: bytes,
    cache: bytes,
    cache_size: int,
    threads: int,
    progress: Progress,
) -> tuple[bytes, object]: ...
def pack(
    sources: Sources,
    each: list[bytes],
    output: bytes,
    level: int,
    parents: list[tuple[str, str]],
    direct: list[str],
    sha256: bool,
    threads: int,
    memory: int,
    overwrite: bool,
    sync: bool,
    progress: Progress,
) -> tuple[int, int]: ...
def add(
    archive: bytes,
    sources: Sources,
    each: list[bytes],
    level: int,
    parents: list[tuple[str, str]],
    direct: list[str],
    threads: int,
    memory: int,
    sync: bool,
    progress: Progress,
) -> tuple[int, int, int, int]: ...
def drop(archive: bytes, variants: list[str], sync: bool) -> tuple[int, int]: ...
def compact(
    archive: bytes, output: bytes, overwrite: bool, sync: bool, progress: Progress
) -> tuple[int, int]: ...
def unpack(
    archive: Archive,
    variant: str,
    directory: bytes,
    tensors: str,
    file: bytes,
    threads: int,
    max_bytes: int,
    overwrite: bool,
    sync: bool,
    progress: Progress,
) -> tuple[int, int]: ...
def verify(
    archive: Archive,
    originals: Sources,
    each: list[bytes],
    threads: int,
    max_bytes: int,
    progress: Progress,
) -> tuple[int, int, int]: ...
def can_dequantize(dtype: str) -> bool: ...
def dequantize(dtype: str, blocks: Any, out: Any, threads: int = 0) -> None: ...
def allocate(size: int) -> memoryview: ...
def dlpack(memory: Any, shape: tuple[int, ...], code: int, bits: int) -> Any: ...
def quantize(
    source: bytes,
    output: bytes,
    target: str,
    rest: int,
    include: list[str],
    exclude: list[str],
    overwrite: bool,
    sync: bool,
    threads: int,
    progress: Progress,
) -> tuple[list[str], list[str], int, int]: ...
def quantize_targets() -> list[str]: ...
