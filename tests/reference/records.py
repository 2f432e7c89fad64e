# SPDX-License-Identifier: Apache-2.0
"""What the index of an archive says, and its numbers: docs/format.md."""

import math
from dataclasses import dataclass, field

from planes import Corrupt

# By name: bytes of a block, and weights in it.
BLOCKS = {
    "Q4_0": (18, 32),
    "Q4_1": (20, 32),
    "Q5_0": (22, 32),
    "Q5_1": (24, 32),
    "Q8_0": (34, 32),
    "Q8_1": (36, 32),
    "Q2_K": (84, 256),
    "Q3_K": (110, 256),
    "Q4_K": (144, 256),
    "Q5_K": (176, 256),
    "Q6_K": (210, 256),
    "Q8_K": (292, 256),
    "IQ2_XXS": (66, 256),
    "IQ2_XS": (74, 256),
    "IQ2_S": (82, 256),
    "IQ3_XXS": (98, 256),
    "IQ3_S": (110, 256),
    "IQ1_S": (50, 256),
    "IQ1_M": (56, 256),
    "IQ4_NL": (18, 32),
    "IQ4_XS": (136, 256),
    "TQ1_0": (54, 256),
    "TQ2_0": (66, 256),
    "MXFP4": (17, 32),
    "NVFP4": (36, 64),
    "Q1_0": (18, 128),
    "Q2_0": (18, 64),
}
# By number: name and bits of an element, of block types those of a block.
DTYPE_BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
    **{name: 8 * size for name, (size, _) in BLOCKS.items()},
}
DTYPES = list(DTYPE_BITS)
CONTAINERS = ("", "safetensors", "gguf", "imatrix")
CODECS = (
    "kRaw",
    "kZstd",
    "kPlanes",
    "kInt8",
    "kFloat",
    "kScheme",
    "kRows",
    "kBlocks",
    "kBlocksByZero",
)


class Unsupported(Corrupt):
    """A version or feature of later writers."""


@dataclass
class Variant:
    name: str
    files: list = field(default_factory=list)


@dataclass
class File:
    container: str
    flags: int = 0
    path: str = ""
    size: int = 0
    digest: bytes = b""
    sha256: bytes | None = None
    parts: list = field(default_factory=list)
    tensors: list = field(default_factory=list)


@dataclass
class Tensor:
    part: int
    dtype: str = ""
    shape: list = field(default_factory=list)
    name: str = ""


@dataclass
class Chunk:
    codec: str
    stored_size: int = 0
    checksum: int = 0
    offset: int = 0


@dataclass
class Object:
    dtype: str
    byte_size: int = 0
    row_elems: int = 0
    chunk_elems: int = 0
    scheme: int = 0
    params: bytes = b""
    parents: list = field(default_factory=list)
    chunks: list = field(default_factory=list)

    @property
    def elem_bytes(self):
        return DTYPE_BITS[self.dtype] // 8

    @property
    def elem_count(self):
        return self.byte_size // self.elem_bytes


def named(names, number, what):
    if number >= len(names):
        raise Unsupported(f"unknown {what} {number}")
    return names[number]


def tensor_bits(dtype, shape):
    """None where the shape is none of the type."""
    weights = math.prod(shape)
    if dtype not in BLOCKS or weights == 0:
        return weights * DTYPE_BITS[dtype]
    size, block = BLOCKS[dtype]
    return weights // block * 8 * size if shape and shape[-1] % block == 0 else None


def text_of(data):
    """Names are bytes: those that are no UTF-8 become what Python makes of such file names."""
    return bytes(data).decode("utf-8", "surrogateescape")


def bytes_of(text):
    return text.encode("utf-8", "surrogateescape")
