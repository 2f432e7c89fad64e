# SPDX-License-Identifier: Apache-2.0
"""What golden archives are made of. A source is never changed: an archive of it exists."""

import struct

import golden_grids as grids
import numpy as np
from golden_gguf import source_gguf
from golden_ladder import (
    source_blocks,
    source_calls,
    source_importance,
    source_ladder,
    source_minima,
    source_transposed,
)
from golden_models import (
    Tensor,
    bf16,
    bf16_values,
    gptq_twin,
    pair_of,
    tensor,
    weights,
    write_model,
    write_safetensors,
)


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


def source_runs(folder, random):
    """Rows of other spreads, long enough for classes of runs; small int8."""
    value = weights(random, 70, 1024) * np.exp(random.standard_normal((70, 1))).astype(np.float32)
    _, low = pair_of("F16", {"b.weight": value[:64, :600]})
    tensors = {"a.weight": tensor("BF16", value), "b.weight": low["b.weight"]}
    write_safetensors(folder / "one.safetensors", tensors)


def source_file(folder, random):
    """A variant that is one file."""
    write_safetensors(folder / "one.safetensors", {"w": tensor("BF16", weights(random, 64, 64))})


def source_digests(folder, random):
    """Two files of equal content, one that is empty, a program, and a folder without files."""
    model = {"w": tensor("BF16", weights(random, 64, 64))}
    write_safetensors(folder / "all" / "a.safetensors", model)
    write_safetensors(folder / "all" / "b.safetensors", model)
    (folder / "all" / "nothing").write_bytes(b"")
    (folder / "all" / "run").write_text("#!/bin/sh\n")
    (folder / "all" / "run").chmod(0o755)
    (folder / "all" / "empty").mkdir()


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


def write_grids(folder, **variants):
    for name, tensors in variants.items():
        write_safetensors(folder / name / "model.safetensors", tensors)


def put(tensors, module, twin):
    tensors.update({f"{module}.{part}": t for part, t in twin.items()})


def odd_bytes(t, **changes):
    """Bytes at these places become others: exceptions."""
    data = bytearray(t.data)
    for place, value in changes.items():
        data[int(place.removeprefix("at"))] = value
    t.data = bytes(data)


def source_fp8(folder, random):
    """BF16 and FP8, a scale a row, a matrix and a block; some codes, weights, scales are odd."""
    high, low = {}, {}
    for name, rows in {"a": 40, "b": 40, "c": 130}.items():
        value = weights(random, rows, 64)
        twin = {
            "a": lambda v: grids.fp8(v, grids.by_rows(v), [len(v), 1]),
            "b": lambda v: grids.fp8(v, grids.of_all(v), [1]),
            "c": lambda v: grids.fp8(v, grids.in_blocks(v), [2, 1]),
        }[name](value)
        value[1, 3:9] = [0, -0.0, 1e-39, 5, np.inf, np.nan]
        odd_bytes(twin["weight"], at7=0x80, at1000=0x7F, at2000=0xFE)
        high[f"{name}.weight"] = tensor("BF16", value)
        put(low, name, twin)
    scales = np.frombuffer(low["a.weight_scale"].data, "<u2").copy()
    scales[30:34] = [0, 0x7F80, 0x7FC0, 0x8001]
    low["a.weight_scale"].data = scales.tobytes()
    write_grids(folder, bf16=high, fp8=low)


def source_grids(folder, random):
    """BF16 and what follows from it; in each copy two bytes of codes and one of scales are odd."""
    value = weights(random, 136, 192)
    value[4, :16], value[5] = 0, 0
    copies = {
        "inv": grids.fine_grained(value),
        "int8": grids.int8(value),
        "int4": grids.int4(value, 32, False),
        "int4z": grids.int4(value, 64, True),
        "nf4": grids.four_bits(value, "nf4"),
        "fp4": grids.four_bits(value, "fp4"),
        "nested": grids.nested(value),
        "nvfp4": grids.nvfp4(value),
        "mxfp4": grids.mxfp4(value),
    }
    write_copies(folder, value, random, copies)


def source_more_grids(folder, random):
    """The same in further formats."""
    value = weights(random, 136, 192)
    value[4, :64], value[5] = 0, 0
    copies = {
        "single": grids.fp8_f32(value, 15),
        "reciprocal": grids.fp8_f32(value, 16),
        "wide": grids.fp8_f32(value, 14),
        "torchao": grids.torchao_int8(value),
        "quanto": grids.quanto_int8(value),
        "modelopt": grids.modelopt_nvfp4(value),
        "mxfp8": grids.mxfp8(value),
    } | {f"mlx{bits}": grids.mlx(value, bits) for bits in (2, 3, 4, 5, 6, 8)}
    write_copies(folder, value, random, copies)


def source_mixed(folder, random):
    """FP8 with scales of 32 bits and steps of the weights' type, by row."""
    value = weights(random, 136, 192)
    value[4, :64], value[5] = 0, 0
    write_copies(folder, value, random, {"mixed": grids.fp8_f32(value, 27)})


def write_copies(folder, value, random, copies):
    """Beside BF16, and with a tensor that all have."""
    for twin in copies.values():
        codes, scales, *_ = twin.values()
        odd_bytes(codes, at900=0x31, at6000=0xF7)
        odd_bytes(scales, at1=scales.data[1] ^ 1)
    plain = tensor("BF16", weights(random, 1, 64)[0])
    write_grids(folder, bf16={"a.weight": tensor("BF16", value), "norm.weight": plain})
    for name, twin in copies.items():
        tensors = {"norm.weight": plain}
        put(tensors, "a", twin)
        write_grids(folder, **{name: tensors})


def source_near(folder, random):
    """BF16 and copies of tools that calibrate: moved codes, factors of inputs and outputs."""
    value = weights(random, 136, 192)
    value[4, :64] = 0
    inputs = np.exp(0.5 * random.standard_normal(192)).astype(np.float16).astype(np.float32)
    outputs = np.exp(0.3 * random.standard_normal(136)).astype(np.float16).astype(np.float32)
    order = random.permutation(192)
    copies = {
        "awq": grids.awq(value * inputs, 64),
        "awq-both": grids.awq(value * inputs / outputs[:, None], 32),
        "int4": grids.near_int4(random, value, 32, False),
        "int4z": grids.near_int4(random, value * inputs, 64, True),
        "order": grids.near_int4(random, value, 64, False, order),
        "int8": grids.near_int8(random, value * inputs),
    }
    write_copies(folder, value, random, copies)


def source_native(folder, random):
    """FP8 and MXFP4 as models are released, and BF16 that has their values."""
    high, low = {}, {}
    for name, native in {"a": grids.native_fp8, "b": grids.native_mxfp4}.items():
        twin, values = native(weights(random, 130, 96))
        odd_bytes(values, at300=values.data[300] ^ 1)
        high[f"{name}.weight"] = values
        put(low, name, twin)
    write_grids(folder, bf16=high, native=low)


def source_zeros(folder, random):
    """int8 with zero points, in bytes and in words."""
    value = weights(random, 136, 192)
    value[4, :64], value[5] = 0, 0
    copies = {"bytes": grids.int8_with_zeros(value), "words": grids.int8_with_zeros(value, 64)}
    write_copies(folder, value, random, copies)


def source_experts(folder, random):
    """Experts in MXFP4, and BF16 of them in two chunks; one weight is odd, one scale ends them."""
    native, plain = grids.experts(random, 3, 320, 300)
    scales = bytearray(native["experts_scales"].data)
    scales[:4] = [0, 255, 254, 1]
    native["experts_scales"].data = bytes(scales)
    odd_bytes(plain, at300=plain.data[300] ^ 1)
    write_grids(folder, native=native, bf16={"experts": plain})


def source_cast(folder, random):
    """NVFP4 cast from MXFP4: zeros with a sign, scales beyond E4M3 on both sides, an odd unit."""
    native, cast = {}, {}
    for name, (rows, unit) in {"a": (40, 2.0**-9), "b": (24, 3.0)}.items():
        codes = random.integers(0, 256, (rows, 96)).astype(np.uint8)
        scales = random.integers(108, 128, (rows, 6)).astype(np.uint8)
        scales[0] = [0, 255, 254, 1, 127, 110]
        native[f"{name}.weight_packed"] = Tensor("U8", codes.shape, codes)
        native[f"{name}.weight_scale"] = Tensor("U8", scales.shape, scales)
        low, high = codes & 15, codes >> 4
        kept = np.where(low == 8, 0, low) | np.where(high == 8, 0, high) << 4
        kept[3, 7] ^= 1
        powers = np.clip(scales.astype(np.int64) - 127 + 9, -9, 9).repeat(2, axis=1)
        patterns = {-9: 1, -8: 2, -7: 4, 9: 0x7E} | {p: (p + 7) << 3 for p in range(-6, 9)}
        units = np.vectorize(patterns.get)(powers)
        units[2, 5] ^= 3
        cast[f"{name}.weight"] = Tensor("U8", kept.shape, kept.astype(np.uint8))
        cast[f"{name}.weight_scale"] = Tensor("F8_E4M3", units.shape, units.astype(np.uint8))
        cast[f"{name}.weight_scale_2"] = tensor("F32", np.float32(unit))
    write_grids(folder, native=native, cast=cast)


GRIDS = ("inv", "int8", "int4", "int4z", "nf4", "fp4", "nested", "nvfp4", "mxfp4")
NEAR = ("awq", "awq-both", "int4", "int4z", "order", "int8")
LADDER = ("bf16", "f16", "q8", "q6", "types", "odd")
MORE_GRIDS = (
    *("single", "reciprocal", "wide", "torchao", "quanto", "modelopt", "mxfp8"),
    *(f"mlx{bits}" for bits in (2, 3, 4, 5, 6, 8)),
)


# NAME: the source, the variants and the options of pack.
def source_tuned(folder, random):
    """A base and two tunes of it: weights that moved little or much, rows that did not or that are
    new, a tensor that is the same, one in two chunks, odd values."""
    shapes = {"a": (96, 128), "b": (64, 1024), "c": (300, 1024), "d": (60, 256), "embed": (70, 96)}
    base = {name: weights(random, *shape) for name, shape in shapes.items()}
    base["a"][3, :5] = [0, -0.0, np.inf, np.nan, 1e-39]
    tuned, more = dict(base), dict(base)
    for name, rate in {"a": 1e-3, "b": 3e-5, "c": 1e-4, "embed": 1e-4}.items():
        step = random.standard_normal((2, *shapes[name])).astype(np.float32)
        tuned[name] = base[name] + np.float32(rate) * step[0]
        more[name] = base[name] + np.float32(3 * rate) * step[1] if name != "c" else base[name]
    tuned["a"][3, 3:7] = [np.nan, -1e-39, 0, 5]
    tuned["b"][20:40] = base["b"][20:40]
    tuned["embed"] = np.concatenate([tuned["embed"], weights(random, 9, 96)])
    more["embed"] = more["embed"][:50]
    kinds = {"a": "BF16", "b": "BF16", "c": "BF16", "d": "F32", "embed": "F16"}
    more["d"] = base["d"] + np.float32(1e-5) * random.standard_normal(shapes["d"])
    for label, values in {"base": base, "tuned": tuned, "more": more}.items():
        model = {f"{name}.weight": tensor(kinds[name], value) for name, value in values.items()}
        (folder / label).mkdir()
        write_safetensors(folder / label / "model.safetensors", model)


def source_generations(folder, random):
    """The pair, and a model with one tensor of it."""
    source_pair(folder, random)
    norm = weights(random, 1, 40)[0]
    for name in ("bf16", "more"):
        values = {"shared.weight": norm, f"{name}.weight": weights(random, 20, 40)}
        high, _ = pair_of("BF16", values)
        (folder / name).mkdir(exist_ok=True)
        write_safetensors(folder / name / "more.safetensors", high)


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
    "runs": (source_runs, ["one=one.safetensors"], []),
    "file": (source_file, ["one=one.safetensors"], []),
    "sha256": (source_digests, ["all=all"], ["--sha256"]),
    "gptq": (source_gptq, ["f16=f16", "q8=q8", "q4=q4"], []),
    "gptq-16-4": (source_gptq, ["bf16=bf16", "q4=q4"], ["--level", "max"]),
    "gptq-direct": (source_gptq, ["bf16=bf16", "q4=q4"], ["--direct", "bf16"]),
    "fp8": (source_fp8, ["bf16=bf16", "fp8=fp8"], []),
    "grids": (source_grids, ["bf16=bf16", *(f"{n}={n}" for n in GRIDS)], ["--direct", "bf16"]),
    "more-grids": (
        source_more_grids,
        ["bf16=bf16", *(f"{n}={n}" for n in MORE_GRIDS)],
        ["--direct", "bf16"],
    ),
    "near": (source_near, ["bf16=bf16", *(f"{n}={n}" for n in NEAR)], ["--direct", "bf16"]),
    "zeros": (source_zeros, ["bf16=bf16", "bytes=bytes", "words=words"], ["--direct", "bf16"]),
    "experts": (source_experts, ["native=native", "bf16=bf16"], []),
    "mixed": (source_mixed, ["bf16=bf16", "mixed=mixed"], ["--direct", "bf16"]),
    "mixed-base": (source_mixed, ["bf16=bf16", "mixed=mixed"], ["--direct", "mixed"]),
    "cast": (source_cast, ["native=native", "cast=cast"], []),
    "native": (source_native, ["bf16=bf16", "native=native"], []),
    "gguf": (source_gguf, ["all=all", "some=some"], []),
    "gguf-max": (source_gguf, ["all=all", "some=some"], ["--level", "max"]),
    "gguf-fast": (source_gguf, ["all=all", "some=some"], ["--level", "fast"]),
    "ladder": (source_ladder, ["hf=hf", *(f"{n}={n}" for n in LADDER)], []),
    "ladder-max": (source_ladder, ["hf=hf", *(f"{n}={n}" for n in LADDER)], ["--level", "max"]),
    "importance": (
        source_importance,
        ["hf=hf", "imatrix=imatrix", "weighted=weighted", "plain=plain"],
        ["--level", "max"],
    ),
    "calls": (
        source_calls,
        ["hf=hf", "imatrix=imatrix", "weighted=weighted"],
        ["--level", "max"],
    ),
    "transposed": (
        source_transposed,
        ["hf=hf", *(f"{n}={n}" for n in ("bf16", "f16", "q8", "q6", "odd"))],
        [],
    ),
    "minima": (source_minima, ["minima=minima"], ["--level", "max"]),
    "ladder-of-blocks": (source_blocks, ["q8=q8", "q6=q6", "q4=q4"], ["--level", "max"]),
    "tuned": (source_tuned, ["base=base", "tuned=tuned", "more=more"], ["--direct", "base"]),
    "generations": (source_generations, ["bf16=bf16", "int8=int8"], []),
}
# What becomes of an archive behind its packing: commands, and what they are given.
CHANGES = {
    "generations": [("drop", "int8"), ("add", "more=more")],
}


def make(run, name, folder, archive):
    """Makes an archive of the sources in a folder; `run` runs the command with some arguments."""
    _, variants, options = ARCHIVES[name]
    named = [variant.replace("=", f"={folder}/") for variant in variants]
    run("pack", "-o", archive, *options, *named)
    for command, given in CHANGES.get(name, []):
        run(command, archive, given.replace("=", f"={folder}/"))


def variants_of(name):
    """Those that it has in the end: their names and paths."""
    variants = dict(variant.split("=") for variant in ARCHIVES[name][1])
    for command, given in CHANGES.get(name, []):
        if command == "drop":
            del variants[given]
        else:
            variants.update([given.split("=")])
    return variants
