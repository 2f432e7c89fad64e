# SPDX-License-Identifier: Apache-2.0
"""What `qstore quantize` makes of GGUF files, beside what ggml and llama.cpp make."""

import gguf
import libgguf
import numpy as np
import pytest
from command import ok, ok_json, run
from mixture_models import TARGETS, llama_quantize, make_importance, make_model

FLOATS = ("F32", "F16", "BF16")
CHECKED = ("q4_0", "q5_1", "q8_0", "q2_k", "q3_k_m", "q4_k_m", "q6_k", "iq4_xs", "mxfp4_moe")
MODELS = {
    "dense": {"layers": 9},
    "narrow": {"layers": 8, "width": 160, "tied": True},
    "experts": {"layers": 8, "experts": 8},
    "few-experts": {"layers": 3, "experts": 4, "tied": True},
}


def weights_of(tensor):
    """In binary32, with the innermost dimension last."""
    shape = [int(side) for side in reversed(tensor.shape)]
    if tensor.tensor_type.name == "BF16":
        patterns = np.ascontiguousarray(tensor.data).view(np.uint16).astype(np.uint32) << 16
        return patterns.view(np.float32).reshape(shape)
    return np.asarray(tensor.data, np.float32).reshape(shape)


def tensors_of(path):
    return {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}


def assert_blocks_are_those_of_ggml(made, source, means):
    for name, tensor in tensors_of(made).items():
        if tensor.tensor_type.name in FLOATS:
            continue
        weights = weights_of(source[name])
        matrices = weights.reshape(-1, *weights.shape[-2:])
        importance = means.get(name, [None] * len(matrices))
        content = b"".join(
            libgguf.quantize_rows(matrix, int(tensor.tensor_type), imatrix=row).tobytes()
            for matrix, row in zip(matrices, importance, strict=True)
        )
        assert tensor.data.tobytes() == content, name


@pytest.mark.parametrize("experts", [0, 4])
def test_blocks_are_those_of_ggml(space, experts):
    model = make_model(space / "m-bf16.gguf", experts=experts)
    means = make_importance(space / "imatrix.gguf", model)
    source = tensors_of(model)
    ok("quantize", model, "--to", ",".join(CHECKED), "-o", space / "plain")
    options = ("--imatrix", space / "imatrix.gguf")
    ok("quantize", model, "--to", ",".join(CHECKED), "-o", space / "weighed", *options)
    for target in CHECKED:
        name = f"m-{target.upper()}.gguf"
        assert_blocks_are_those_of_ggml(space / "plain" / name, source, {})
        assert_blocks_are_those_of_ggml(space / "weighed" / name, source, means)


def test_the_report_has_the_types_of_the_file(space):
    model = make_model(space / "m-bf16.gguf")
    report = ok_json("quantize", model, "--to", "q4_k", "-o", space, "--list")
    made = tensors_of(report["file"])
    assert report["file"] == str(space / "m-Q4_K_M.gguf")
    assert {row["name"]: row["to"] for row in report["tensors"]} == {
        name: tensor.tensor_type.name for name, tensor in made.items()
    }
    again = run("quantize", model, "--to", "Q4_K_M", "-o", space)
    assert again.returncode == 1
    assert "(already-exists)" in again.stderr
    ok("quantize", model, "--to", "Q4_K_M", "-o", space, "--force")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_files_are_those_of_llama_cpp(space, figure, name):
    pytest.importorskip("llama_cpp")
    model = make_model(space / "m-bf16.gguf", **MODELS[name])
    importance = space / "imatrix.gguf"
    means = make_importance(importance, model)
    for options, given in (((), {}), (("--imatrix", importance), {"means": means})):
        targets = [*TARGETS, "q2_k_s"] if given else TARGETS
        folder = space / ("weighed" if given else "plain")
        ok("quantize", model, "--to", ",".join(targets), "-o", folder, *options)
        for target in targets:
            wanted = llama_quantize(
                model, target, space / "wanted.gguf", importance if given else None, **given
            )
            made = folder / f"m-{target.upper()}.gguf"
            assert made.read_bytes() == wanted.read_bytes(), target
    figure(f"{name}: {2 * len(TARGETS) + 1} files equal those of llama.cpp")
