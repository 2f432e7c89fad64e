# SPDX-License-Identifier: Apache-2.0
"""Small models in BF16 and the GGUF files made of them, their blocks by ggml itself (libgguf)."""

import struct

import numpy as np
from golden_gguf import NUMBERS, U32, put_numbers, split_numbers, text, value, write_gguf
from golden_models import bf16, bf16_values, tensor, weights, write_safetensors

STRING = 8
COLUMNS = 256
HEADS = 2
EXPERTS = 3
COUNTS = (17, 5, 0)  # What sums of importance are of; by expert.
# Layer by layer: the type of its ffn_up.
TYPES = (
    *("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"),
    *("IQ4_NL", "IQ4_XS", "MXFP4", "NVFP4", "TQ1_0", "TQ2_0"),
)
Q_ROWS, K_ROWS, ROWS = 16, 8, 24


def make_model(random):
    """Names of checkpoints and of GGUF, and values that BF16 has."""
    model = {}

    def add(name, short, *shape):
        model[name] = short, bf16_values(bf16(weights(random, *shape)))

    add("model.layers.0.self_attn.q_proj.weight", "blk.0.attn_q.weight", Q_ROWS, COLUMNS)
    add("model.layers.0.self_attn.k_proj.weight", "blk.0.attn_k.weight", K_ROWS, COLUMNS)
    for layer in range(len(TYPES)):
        title = f"model.layers.{layer}.mlp.up_proj.weight"
        add(title, f"blk.{layer}.ffn_up.weight", ROWS, COLUMNS)
    for expert in range(EXPERTS):
        title = f"model.layers.16.mlp.experts.{expert}.up_proj.weight"
        add(title, "blk.16.ffn_up_exps.weight", ROWS // 2, COLUMNS)
    for title, short in (("norm", "output_norm"), ("layers.0.input_layernorm", "blk.0.attn_norm")):
        norm = 1 + weights(random, 1, COLUMNS)[0]
        model[f"model.{title}.weight"] = f"{short}.weight", bf16_values(bf16(norm))
    return model


def gguf_values(model):
    """By GGUF names: heads have their rows in turns, experts lie in one tensor."""
    stacked = {}
    for short, weight in model.values():
        if "attn_q." in short or "attn_k." in short:
            rows = len(weight) // HEADS // 2
            halves = weight.reshape(HEADS, 2, rows, COLUMNS)
            weight = halves.swapaxes(1, 2).reshape(len(weight), COLUMNS)
        stacked.setdefault(short, []).append(weight)
    return {
        short: np.stack(found) if "_exps" in short else found[0] for short, found in stacked.items()
    }


def quantized(name, weight, importance=None):
    """One matrix, or one for each expert."""
    import libgguf  # noqa: PLC0415

    matrices = weight if weight.ndim == 3 else weight[None]
    raw = b""
    for number, matrix in enumerate(matrices):
        options = {} if importance is None else {"imatrix": importance[number]}
        matrix = np.ascontiguousarray(matrix, np.float32)
        raw += libgguf.quantize_rows_raw(NUMBERS[name], matrix, *matrix.shape, **options)
    return NUMBERS[name], list(weight.shape), raw


def write_ladder(path, tensors):
    values = [
        value("general.architecture", STRING, text("llama")),
        value("llama.attention.head_count", U32, struct.pack("<I", HEADS)),
        value("llama.attention.head_count_kv", U32, struct.pack("<I", HEADS)),
    ]
    write_gguf(path, values, tensors)


def plain(kind, weight):
    patterns = {"BF16": bf16, "F16": np.float16, "F32": np.float32}[kind](weight)
    return NUMBERS[kind], list(weight.shape), patterns.tobytes()


def file_of(values, pick, importance=None):
    """Tensors of a file; `pick` names the type of a matrix."""
    tensors = {}
    for short, weight in values.items():
        if weight.ndim == 1:
            # One norm has one added, as Gemma's have.
            tensors[short] = plain("F32", weight + 1 if short == "output_norm.weight" else weight)
            continue
        kind = pick(short)
        given = importance and importance.get(short)
        is_plain = kind in ("BF16", "F16")
        tensors[short] = plain(kind, weight) if is_plain else quantized(kind, weight, given)
    return tensors


def own_type(short):
    layer = int(short.split(".")[1])
    return TYPES[layer] if "ffn_up.weight" in short else "Q4_K" if "_exps" in short else "Q6_K"


def odd_blocks(random, kind, found, moved):
    """Some codes become others, and one block has another scale."""
    number, shape, raw = found
    fields = split_numbers(kind, raw)
    top = {"Q8_0": 255, "Q4_K": 15, "Q6_K": 63}[kind]
    steps = np.where(random.random(fields[-1].shape) < moved, random.choice([-1, 1]), 0)
    signs = (fields[-1] ^ 128) if kind == "Q8_0" else fields[-1]
    signs = np.clip(signs + steps, 0, top)
    fields[-1] = signs ^ 128 if kind == "Q8_0" else signs
    fields[0][3] ^= 5
    return number, shape, put_numbers(kind, fields)


def make_files(folder, random):
    model = make_model(random)
    write_safetensors(
        folder / "hf" / "model.safetensors",
        {title: tensor("BF16", weight) for title, (_, weight) in model.items()},
    )
    return gguf_values(model)


def source_ladder(folder, random):
    """All types beside BF16, floats of 16 bits, and blocks that nobody's search has made."""
    values = make_files(folder, random)
    for kind in ("BF16", "F16", "Q8_0", "Q6_K"):
        write_ladder(
            folder / kind.lower().split("_")[0] / "m.gguf", file_of(values, lambda _, k=kind: k)
        )
    write_ladder(folder / "types" / "m.gguf", file_of(values, own_type))
    odd = {
        f"blk.{layer}.ffn_up.weight": odd_blocks(
            random, kind, quantized(kind, values[f"blk.{layer}.ffn_up.weight"]), moved
        )
        for layer, (kind, moved) in enumerate(
            [("Q8_0", 0.2), ("Q4_K", 0.2), ("Q6_K", 0.2), ("Q8_0", 0.003), ("Q4_K", 0.003)]
        )
    }
    write_ladder(folder / "odd" / "m.gguf", odd)


def source_importance(folder, random):
    """Blocks made with importance, by expert too, a few of them odd, and the file that tells it."""
    values = make_files(folder, random)
    sums, importance = {}, {}
    for short, weight in values.items():
        if weight.ndim == 1:
            continue
        counts = np.array(COUNTS[: EXPERTS if weight.ndim == 3 else 1], np.float32)
        found = (random.lognormal(0, 1, (len(counts), COLUMNS)) * 17).astype(np.float32)
        with np.errstate(all="ignore"):
            mean = np.where(counts[:, None] > 0, found / counts[:, None], np.float32(1))
        importance[short] = mean.astype(np.float32)
        sums[f"{short}.in_sum2"] = plain("F32", found)
        sums[f"{short}.counts"] = plain("F32", counts.reshape(-1, 1))
    kind = value("general.type", STRING, text("imatrix"))
    write_gguf(folder / "imatrix" / "imatrix.gguf", [kind], sums)
    made = file_of(values, own_type, importance)
    raw = bytearray(made["blk.7.ffn_up.weight"][2])
    raw[0] ^= 3
    raw[700] ^= 0x21
    made["blk.7.ffn_up.weight"] = *made["blk.7.ffn_up.weight"][:2], bytes(raw)
    write_ladder(folder / "weighted" / "m.gguf", made)
    write_ladder(folder / "plain" / "m.gguf", file_of(values, own_type))


def write_imatrix(path, entries, end=b""):
    """The older form: `entries` are name to (number of calls, values)."""
    data = struct.pack("<I", len(entries))
    for name, (calls, values) in entries.items():
        data += struct.pack("<I", len(name)) + name.encode()
        data += struct.pack("<iI", calls, values.size) + values.astype("<f4").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data + end)


def source_calls(folder, random):
    """Blocks made with importance of the older form: divided by calls or not, by expert too."""
    model = {
        title: found
        for title, found in make_model(random).items()
        if found[0].endswith(
            ("attn_q.weight", "_exps.weight", "blk.0.ffn_up.weight", ".7.ffn_up.weight")
        )
    }
    write_safetensors(
        folder / "hf" / "model.safetensors",
        {title: tensor("BF16", weight) for title, (_, weight) in model.items()},
    )
    values = gguf_values(model)
    entries, importance = {}, {}
    for (short, weight), calls in zip(values.items(), (17, 17, 0, 5), strict=True):
        parts = EXPERTS if weight.ndim == 3 else 1
        found = (random.lognormal(0, 1, (parts, COLUMNS)) * 17).astype(np.float32)
        entries[short] = calls, found
        importance[short] = found / np.float32(calls) if calls else found
    end = struct.pack("<II", 17, 8) + b"text.txt"
    write_imatrix(folder / "imatrix" / "imatrix.dat", entries, end)
    write_imatrix(folder / "imatrix" / "older.dat", entries)
    (folder / "imatrix" / "other.dat").write_bytes(b"numbers of some other program")
    write_ladder(folder / "weighted" / "m.gguf", file_of(values, own_type, importance))


def source_blocks(folder, random):
    """No weights of 16 bits: blocks follow from larger ones."""
    values = make_files(folder / "unused", random)
    for kind in ("Q8_0", "Q6_K", "Q4_K"):
        write_ladder(
            folder / kind.lower().split("_")[0] / "m.gguf", file_of(values, lambda _, k=kind: k)
        )


def source_transposed(folder, random):
    """Matrices of a GPT-2, transposed in the checkpoint, one of them square; odd blocks in one."""
    shapes = {
        "attn.c_attn": ("attn_qkv", 72, COLUMNS),
        "attn.c_proj": ("attn_output", COLUMNS, COLUMNS),
        "mlp.c_fc": ("ffn_up", 70, COLUMNS),
        "mlp.c_proj": ("ffn_down", 67, 2 * COLUMNS),
    }
    model, values = {}, {}
    for title, (short, rows, columns) in shapes.items():
        value = bf16_values(bf16(weights(random, rows, columns)))
        model[f"transformer.h.0.{title}.weight"] = tensor("BF16", np.ascontiguousarray(value.T))
        values[f"blk.0.{short}.weight"] = value
    write_safetensors(folder / "hf" / "model.safetensors", model)
    for kind in ("BF16", "F16", "Q8_0", "Q6_K"):
        write_ladder(
            folder / kind.lower().split("_")[0] / "m.gguf", file_of(values, lambda _, k=kind: k)
        )
    made = file_of(values, lambda _: "Q4_K")
    odd = "blk.0.ffn_up.weight"
    made[odd] = odd_blocks(random, "Q4_K", made[odd], 0.003)
    write_ladder(folder / "odd" / "m.gguf", made)


def source_minima(folder, random):
    """Blocks with minima by themselves, enough of them for codes by where zero lies."""
    kinds = ("Q4_1", "Q5_1", "Q2_K", "Q4_K", "Q5_K")
    made = {f"{k}.weight": quantized(k, weights(random, 192, 2 * COLUMNS)) for k in kinds}
    write_ladder(folder / "minima" / "m.gguf", made)
