#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes golden archives that do not exist yet; those that do are never touched.

usage: make_golden.py QSTORE_COMMAND

valid/NAME.qstore comes with valid/NAME.sha256: the digest of the archive, then of every file of
every variant. invalid/KIND.RULE.qstore must be refused with the error of that kind; these are made
from valid archives, with every checksum that the damage is not about made right again.
"""

import hashlib
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import xxhash
import zstandard

HERE = Path(__file__).resolve().parent
VALID = HERE / "valid"
INVALID = HERE / "invalid"

NUMPY_OF = {
    "F32": np.float32,
    "F16": np.float16,
    "I8": np.int8,
    "U8": np.uint8,
    "I32": np.int32,
    "I64": np.int64,
}


def bf16(values):
    """Rounded to nearest even, as patterns."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")


def bf16_values(patterns):
    return (patterns.astype(np.uint32) << 16).view(np.float32)


class Tensor:
    """A name's dtype, shape and bytes; an array of values when the dtype has numpy's."""

    def __init__(self, dtype, shape, data):
        self.dtype = dtype
        self.shape = list(shape)
        self.data = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()


def tensor(dtype, values):
    values = np.asarray(values)
    if dtype == "BF16":
        return Tensor(dtype, values.shape, bf16(values))
    return Tensor(dtype, values.shape, values.astype(NUMPY_OF[dtype]))


def write_safetensors(path, tensors, metadata=None, padding=0):
    header = {"__metadata__": metadata} if metadata is not None else {}
    at = 0
    for name, t in tensors.items():
        end = at + len(t.data)
        header[name] = {"dtype": t.dtype, "shape": t.shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode() + b" " * padding
    path.parent.mkdir(parents=True, exist_ok=True)
    body = b"".join(t.data for t in tensors.values())
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def weights(random, *shape):
    """The law of `qstore synth`, rows being all dimensions behind the first."""
    rows = shape[0]
    w = random.standard_normal(shape) * 0.02
    w *= np.exp(0.25 * random.standard_normal(rows)).reshape(-1, *[1] * (len(shape) - 1))
    w *= np.exp(0.1 * random.standard_normal(shape[-1]))
    return w.astype(np.float32)


def int8_twin(values):
    """q and SCB by the rule of bitsandbytes."""
    rows = values.astype(np.float16).astype(np.float32).reshape(values.shape[0], -1)
    absmax = np.abs(rows).max(axis=1)
    q = np.rint(rows * (np.float32(127) / absmax)[:, None])
    return q.astype(np.int8).reshape(values.shape), absmax.astype(np.float32)


def pair_of(dtype, values):
    """A model with these weights in `dtype`, and its LLM.int8 twin; other tensors are shared."""
    high, low = {}, {}
    for name, value in values.items():
        high[name] = tensor(dtype, value)
        stored = bf16_values(bf16(value)) if dtype == "BF16" else value.astype(NUMPY_OF[dtype])
        if name.endswith(".weight"):
            q, absmax = int8_twin(np.asarray(stored, np.float32))
            module = name.removesuffix(".weight")
            low[name] = tensor("I8", q)
            low[f"{module}.SCB"] = tensor("F32", absmax)
            low[f"{module}.weight_format"] = Tensor("U8", [], b"\0")
        else:
            low[name] = high[name]
    return high, low


def write_model(folder, tensors, **files):
    write_safetensors(folder / "model.safetensors", tensors, {"format": "pt"}, padding=5)
    config = {"architectures": ["Golden"], "hidden_size": 64, "torch_dtype": folder.name}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    (folder / "tokenizer" / "deep").mkdir(parents=True)
    (folder / "tokenizer" / "vocab.txt").write_text("\n".join(f"word{i}" for i in range(300)))
    (folder / "tokenizer" / "deep" / "empty").write_bytes(b"")


def source_pair(folder, random):
    """A 16-bit model and its twin, with files around them."""
    values = {
        "layers.0.weight": weights(random, 96, 128),
        "layers.1.weight": weights(random, 33, 77),
        "conv.weight": weights(random, 16, 8, 3, 3),
        "norm.bias": weights(random, 1, 128)[0],
    }
    high, low = pair_of("BF16", values)
    write_model(folder / "bf16", high)
    write_model(folder / "int8", low)


def source_chain(folder, random):
    """F32, its two 16-bit casts, and a twin that explains them; a few q are wrong."""
    values = {"a.weight": weights(random, 64, 160), "b.weight": weights(random, 40, 50)}
    values["a.weight"][3, 5] = 0.0
    half, low = pair_of("F16", values)
    q = bytearray(low["a.weight"].data)
    q[7], q[1000], q[2000] = 0x80, 100, 0
    low["a.weight"].data = bytes(q)
    write_model(folder / "f32", {name: tensor("F32", value) for name, value in values.items()})
    write_model(folder / "f16", half)
    write_model(folder / "bf16", {name: tensor("BF16", value) for name, value in values.items()})
    write_model(folder / "int8", low)


def source_rows(folder, random):
    """Rows whose scales leave no bins, or odd ones: zero, tiny, huge, infinite, NaN, negative."""
    value = weights(random, 12, 64)
    high, low = pair_of("F32", {"a.weight": value})
    scales = np.frombuffer(low["a.SCB"].data, np.float32).copy()
    scales[:7] = [0, 1e-45, 3e38, np.inf, np.nan, -1, 65504]
    low["a.SCB"] = tensor("F32", scales)
    write_model(folder / "f32", high)
    write_model(folder / "int8", low)


def source_dtypes(folder, random):
    """Every dtype, tensors without elements, scalars, and files that are no model."""
    bits = {
        "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8,
        "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16,
        "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64,
        "U64": 64,
    }  # fmt: skip
    tensors = {}
    for dtype, width in bits.items():
        tensors[f"{dtype}.matrix"] = Tensor(dtype, [12, 20], random.bytes(240 * width // 8))
        if width % 8 == 0:
            tensors[f"{dtype}.scalar"] = Tensor(dtype, [], random.bytes(width // 8))
        tensors[f"{dtype}.empty"] = Tensor(dtype, [3, 0, 5], b"")
    tensors["counting"] = tensor("I64", np.arange(700))
    tensors["zeros"] = tensor("F16", np.zeros((30, 40)))
    tensors["sparse"] = tensor("F32", np.eye(40) * 3)
    tensors["nan"] = Tensor("BF16", [600], np.full(600, 0x7FC1, "<u2"))
    folder = folder / "all"
    write_safetensors(folder / "a.safetensors", tensors)
    write_safetensors(folder / "empty.safetensors", {}, {"note": "no tensors"})
    (folder / "broken.safetensors").write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
    (folder / "zero-bytes").write_bytes(b"")
    (folder / "noise.bin").write_bytes(random.bytes(3000))
    (folder / "README.md").write_text("A line of prose, again and again.\n" * 100)


def source_medium(folder, random):
    """Tensors large enough that level max has tables of its own for them."""
    high, low = pair_of("BF16", {"a.weight": weights(random, 60, 900)})
    write_safetensors(folder / "bf16" / "model.safetensors", high)
    write_safetensors(folder / "int8" / "model.safetensors", low)


def source_related(folder, random):
    """Matrices whose columns follow from few others, higher and wider, at level max."""
    values = {}
    for name, shape in {"high": (150, 96), "wide": (40, 180)}.items():
        common = weights(random, shape[0], 6) @ random.standard_normal((6, shape[1]))
        values[f"{name}.weight"] = (common + 0.1 * weights(random, *shape)).astype(np.float32)
        values[f"{name}.embedding"] = values[f"{name}.weight"][:, ::-1] * np.float32(0.5)
    values["high.embedding"][3, 4] = 0
    high, low = pair_of("F16", values)
    low["f32.embedding"] = tensor("F32", values["high.embedding"][:60] + np.float32(1e-4))
    high["bf16.embedding"] = tensor("BF16", values["wide.embedding"] * np.float32(3))
    write_safetensors(folder / "f16" / "model.safetensors", high)
    write_safetensors(folder / "int8" / "model.safetensors", low)


def source_large(folder, random):
    """More than one chunk in a tensor, and planes long enough for every interleaving."""
    value = weights(random, 130, 2100)
    # Weights that were BF16 first: their low bits are zero.
    kept = bf16_values(bf16(value)).astype(np.float16)
    high, low = pair_of("F16", {"a.weight": kept})
    write_safetensors(folder / "f16" / "model.safetensors", high)
    write_safetensors(folder / "int8" / "model.safetensors", low)


def source_file(folder, random):
    """A variant that is one file."""
    write_safetensors(folder / "one.safetensors", {"w": tensor("BF16", weights(random, 64, 64))})


def packed_integers(integers, bits):
    """By input and output, into words along the inputs."""
    stream = (integers.T[:, :, None] >> np.arange(bits) & 1).astype(np.uint8)
    rows = np.packbits(stream.reshape(len(stream), -1), axis=1, bitorder="little").view("<i4")
    return np.ascontiguousarray(rows.T)


def gptq_twin(random, value, bits, group_size, *, less_one=True, order=None, groups=True):
    """qweight, qzeros, scales and g_idx of a matrix, with the noise that error feedback makes."""
    outputs, inputs = value.shape
    group_of = np.arange(inputs) // group_size
    if order is not None:
        group_of = group_of[order]
    most = 2**bits - 1
    scales, zeros = [], []
    integers = np.zeros((inputs, outputs), np.int64)
    for group in range(inputs // group_size):
        columns = value[:, group_of == group]
        low, high = np.minimum(columns.min(1), 0), np.maximum(columns.max(1), 0)
        scale = ((high - low) / most).astype(np.float16)
        zero = np.rint(-low / scale.astype(np.float32))
        noise = 0.3 * random.standard_normal(columns.shape)
        steps = np.rint(columns / scale.astype(np.float32)[:, None] + noise) + zero[:, None]
        integers[group_of == group] = np.clip(steps, 0, most).T.astype(np.int64)
        scales.append(scale)
        zeros.append(zero.astype(np.int64))
    stored = (np.array(zeros) - (1 if less_one else 0)) % 2**bits
    twin = {
        "qweight": tensor("I32", packed_integers(integers, bits)),
        "qzeros": tensor("I32", packed_integers(stored.T, bits).T),
        "scales": tensor("F16", np.array(scales)),
    }
    if groups:
        twin["g_idx"] = tensor("I32", group_of)
    return twin


def source_gptq(folder, random):
    """16 bits, 8 and 4, 3 or 2: groups in any order, both kinds of zero points, odd scales."""
    models = {"f16": {}, "bf16": {}, "q8": {}, "q4": {}}
    for module, (outputs, inputs, bits) in {
        "a": (96, 192, 4), "b": (64, 128, 3), "c": (32, 256, 2), "d": (40, 96, 4),
    }.items():  # fmt: skip
        value = weights(random, outputs, inputs)
        value[1, 3:9] = [0, -0.0, 1e-9, 5, np.inf, np.nan]
        order = random.permutation(inputs) if module in "bd" else None
        models["f16"][f"{module}.weight"] = tensor("F16", value)
        models["bf16"][f"{module}.weight"] = tensor("BF16", value)
        value = np.nan_to_num(value, nan=0, posinf=0)
        kinds = {"order": order, "less_one": module != "c", "groups": module != "a"}
        low = gptq_twin(random, value, bits, 32, **kinds)
        high = gptq_twin(random, value, 8, 64 if module == "a" else 32, **kinds)
        for name, twin in {"q8": high, "q4": low}.items():
            models[name].update({f"{module}.{part}": t for part, t in twin.items()})
    scales = np.frombuffer(models["q4"]["d.scales"].data, np.float16).copy()
    scales[:6] = [0, np.inf, np.nan, -0.001, 6e-8, 60000]
    models["q4"]["d.scales"] = tensor("F16", scales.reshape(3, 40))
    for name, tensors in models.items():
        write_safetensors(folder / name / "model.safetensors", tensors)


ARCHIVES = {
    "pair": (source_pair, ["bf16=bf16", "int8=int8"], []),
    "pair-fast": (source_pair, ["bf16=bf16", "int8=int8"], ["--level", "fast"]),
    "pair-max": (source_pair, ["bf16=bf16", "int8=int8"], ["--level", "max"]),
    "medium-max": (source_medium, ["bf16=bf16", "int8=int8"], ["--level", "max"]),
    "related-max": (source_related, ["f16=f16", "int8=int8"], ["--level", "max"]),
    "chain": (source_chain, ["f32=f32", "f16=f16", "bf16=bf16", "int8=int8"], []),
    "rows": (source_rows, ["f32=f32", "int8=int8"], []),
    "dtypes": (source_dtypes, ["all=all"], []),
    "large": (source_large, ["f16=f16", "int8=int8"], []),
    "file": (source_file, ["one=one.safetensors"], []),
    "gptq": (source_gptq, ["f16=f16", "q8=q8", "q4=q4"], []),
    "gptq-16-4": (source_gptq, ["bf16=bf16", "q4=q4"], ["--level", "max"]),
}


def files_of(path):
    if path.is_file():
        return {path.name: path}
    return {p.relative_to(path).as_posix(): p for p in path.rglob("*") if p.is_file()}


def make_valid(command, name):
    source, variants, options = ARCHIVES[name]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source(folder, np.random.Generator(np.random.PCG64(20)))
        archive = folder / "archive.qstore"
        named = [v.replace("=", f"={folder}/") for v in variants]
        subprocess.run([command, "pack", "-o", archive, *options, *named], check=True)
        lines = [f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {name}.qstore"]
        for variant in variants:
            label, path = variant.split("=")
            for relative, file in sorted(files_of(folder / path).items()):
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                lines.append(f"{digest}  {label}/{relative}")
        (VALID / f"{name}.sha256").write_text("\n".join(lines) + "\n")
        (VALID / f"{name}.qstore").write_bytes(archive.read_bytes())


HEADER_SIZE, FOOTER_SIZE = 24, 56


def checksum(data):
    return struct.pack("<Q", xxhash.xxh3_64_intdigest(bytes(data)))


class Parts:
    """An archive taken apart, put together again with right checksums."""

    def __init__(self, data):
        self.header = bytearray(data[: HEADER_SIZE - 8])
        footer = data[-FOOTER_SIZE:]
        offset, size, raw_size = struct.unpack_from("<3Q", footer)
        self.payloads = bytearray(data[HEADER_SIZE:offset])
        decompressor = zstandard.ZstdDecompressor()
        self.index = bytearray(decompressor.decompress(data[offset : offset + size], raw_size))
        self.footer_magic = footer[40:48]
        self.declared_raw_size = None

    def replace(self, old, new):
        """The first place in the index that reads `old`, without moving anything."""
        assert len(old) == len(new) and old in self.index, old
        self.index[:] = self.index.replace(old, new, 1)

    def varint(self, at):
        """The number at a place of the index, and the place behind it."""
        value = shift = 0
        while True:
            byte = self.index[at]
            value |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                return value, at

    def section(self, kind):
        """Where a section's content begins and ends."""
        at = 0
        while at < len(self.index):
            found = self.index[at]
            size, at = self.varint(at + 1)
            if found == kind:
                return at, at + size
            at += size
        raise KeyError(kind)

    def chunk(self, number):
        """A chunk's codec and payload, as places: index of its codec, payload begin and end."""
        begin, _ = self.section(5)
        count, at = self.varint(begin)
        codec = at + number
        at, end = at + count, 0
        for _ in range(number + 1):
            stored, at = self.varint(at)
            start, end = end, end + stored
        return codec, start, end

    def rechecksum(self, number):
        """Makes a chunk's checksum right for its payload."""
        begin, end = self.section(5)
        count, _ = self.varint(begin)
        _, start, stop = self.chunk(number)
        at = end - 8 * (count - number)
        self.index[at : at + 8] = checksum(self.payloads[start:stop])

    def assemble(self, stored=None):
        """`stored` is what is written for the index, where that is not one frame as usual."""
        if stored is None:
            stored = zstandard.ZstdCompressor(level=12).compress(bytes(self.index))
        offset = HEADER_SIZE + len(self.payloads)
        raw_size = self.declared_raw_size or len(self.index)
        file_size = offset + len(stored) + FOOTER_SIZE
        footer = struct.pack("<3Q", offset, len(stored), raw_size) + checksum(stored)
        footer += struct.pack("<Q", file_size) + self.footer_magic
        header = bytes(self.header)
        return b"".join([header, checksum(header), self.payloads, stored, footer, checksum(footer)])


def set_header(offset, layout, value):
    return lambda parts: struct.pack_into(layout, parts.header, offset, value)


def swap(old, new):
    return lambda parts: parts.replace(old, new)


def first_of_section(kind, skip, value):
    """A byte near the beginning of a section."""

    def change(parts):
        parts.index[parts.section(kind)[0] + skip] = value

    return change


def drop_last_section(parts):
    begin, end = parts.section(5)
    header = 2 if end - begin < 128 else 3
    del parts.index[begin - header :]


def claim_raw_size(size):
    def change(parts):
        parts.declared_raw_size = size

    return change


def number_of_codec(codec, parts):
    """The first chunk of that codec."""
    begin, _ = parts.section(5)
    count, at = parts.varint(begin)
    return parts.index[at : at + count].index(codec)


def damage_payload(codec, offset, value):
    """A chunk made senseless under a right checksum; `offset` counts from its end when negative."""

    def change(parts):
        number = number_of_codec(codec, parts)
        _, start, stop = parts.chunk(number)
        parts.payloads[(start if offset >= 0 else stop) + offset] = value
        parts.rechecksum(number)

    return change


def unknown_codec(parts):
    parts.index[parts.chunk(0)[0]] = 200


RAW, ZSTD, PLANES, INT8, FLOAT, BINS, CAST, GPTQ_FLOATS, GPTQ_INTEGERS = range(9)
ROWS = 40
PATH = b"tokenizer/vocab.txt"

# KIND.RULE: the valid archive it is made from, and what is changed.
DAMAGES = {
    "unsupported-version.future": ("file", set_header(8, "<H", 2)),
    "unsupported-feature.reserved": ("file", set_header(10, "<H", 1)),
    "unsupported-feature.flag": ("file", set_header(12, "<I", 1)),
    "corrupt.version-zero": ("file", set_header(8, "<H", 0)),
    "corrupt.magic": ("file", set_header(0, "<B", ord("P"))),
    "corrupt.absolute-path": ("pair", swap(PATH, b"/okenizer/vocab.txt")),
    "corrupt.parent-path": ("pair", swap(PATH, b"../enizer/vocab.txt")),
    "corrupt.parent-inside-path": ("pair", swap(PATH, b"tokenizer/../ab.txt")),
    "corrupt.empty-component": ("pair", swap(PATH, b"tokenizer//ocab.txt")),
    "corrupt.backslash-in-path": ("pair", swap(PATH, b"tokenizer/vocab\\txt")),
    "corrupt.nul-in-path": ("pair", swap(PATH, b"tokenizer/vocab\0txt")),
    "corrupt.variant-name": ("pair", swap(b"\x04int8", b"\x04in/8")),
    "corrupt.equal-variants": ("pair", swap(b"\x04bf16", b"\x04int8")),
    "corrupt.missing-section": ("pair", drop_last_section),
    "unsupported-feature.section": ("pair", lambda parts: parts.index.extend(b"\x14\0")),
    "unsupported-feature.codec": ("pair", unknown_codec),
    "corrupt.too-many-variants": ("pair", first_of_section(1, 0, 127)),
    "limit.index-size": ("file", claim_raw_size(1 << 40)),
    "corrupt.index-size": ("file", claim_raw_size(7)),
    "corrupt.plane-mode": ("pair", damage_payload(FLOAT, 2, 99)),
    "corrupt.float-shift": ("pair", damage_payload(FLOAT, 0, 30)),
    "corrupt.int8-split": ("pair", damage_payload(INT8, 0, 9)),
    "corrupt.bins-shift": ("pair", damage_payload(BINS, 0, 30)),
    "corrupt.bins-group": ("pair", damage_payload(BINS, 3, 3)),
    "corrupt.bins-floor-count": ("pair", damage_payload(BINS, 4, 1)),
    "corrupt.slack": ("pair", damage_payload(BINS, -1, 1)),
    "corrupt.zstd-frame": ("pair", damage_payload(ZSTD, 0, 0)),
    "corrupt.rows-parameter": ("related-max", damage_payload(ROWS, 0, 99)),
    "corrupt.rows-end": ("related-max", damage_payload(ROWS, -9, 0)),
    "corrupt.cast-planes": ("chain", damage_payload(CAST, 0, 77)),
    "corrupt.gptq-floats-zeros": ("gptq", damage_payload(GPTQ_FLOATS, 0, 3)),
    "corrupt.gptq-floats-width": ("gptq", damage_payload(GPTQ_FLOATS, 1, 12)),
    "corrupt.gptq-floats-low-count": ("gptq", damage_payload(GPTQ_FLOATS, 2, 129)),
    "corrupt.gptq-integers-zeros": ("gptq", damage_payload(GPTQ_INTEGERS, 1, 3)),
    "corrupt.gptq-integers-width": ("gptq", damage_payload(GPTQ_INTEGERS, 2, 5)),
}


def make_invalid(name):
    source, change = DAMAGES[name]
    parts = Parts((VALID / f"{source}.qstore").read_bytes())
    change(parts)
    (INVALID / f"{name}.qstore").write_bytes(parts.assemble())


def main(arguments):
    VALID.mkdir(exist_ok=True)
    INVALID.mkdir(exist_ok=True)
    for name in ARCHIVES:
        if not (VALID / f"{name}.qstore").exists():
            print("making", name)
            make_valid(arguments[0], name)
    for name in DAMAGES:
        if not (INVALID / f"{name}.qstore").exists():
            print("making", name)
            make_invalid(name)


if __name__ == "__main__":
    main(sys.argv[1:])
