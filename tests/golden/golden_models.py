# SPDX-License-Identifier: Apache-2.0
"""Small models from random numbers: tensors, their twins, and the files around them."""

import json
import struct

import numpy as np

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
