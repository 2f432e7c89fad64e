#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that a reader finds a way through src: what a folder is for, and where a file is tested.

Each module has a README.md of at most 20 lines, with the lines "May include" and "Start with". A
file X.cc of src/MODULE is tested by tests/unit/MODULE/X_test.cc, or by what a row of ELSEWHERE
says.

usage: check_folders.py [ROOT]  prints one line per offence, exits 1 when there are any
       check_folders.py --list  prints the files that have no test of their name, and their row
"""

import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path

MOST_LINES = 20
NAMED = re.compile(r"`([\w/.]+\.(?:h|cc|md))`")

# Pattern of files in src, the test in tests/unit (or a path of the tree), and why there.
ELSEWHERE = (
    ("base/byte_source.cc", "io/file_test.cc", "the base class of what is read there"),
    ("base/isa.cc", "codec/kernels_test.cc", "each instruction set is compared with scalar code"),
    ("base/kernels/*", "base/hash_test.cc", "each kernel is compared with the scalar one"),
    ("capi/handle.cc", "tests/capi/threads_test.c", "names made by many threads"),
    ("capi/list.cc", "tests/capi/list_test.c", "from C"),
    ("capi/find.cc", "tests/capi/list_test.c", "from C"),
    ("capi/read.cc", "tests/capi/read_test.c", "from C"),
    ("capi/*", "tests/capi/bad_input_test.c", "from C; memory that is refused in memory_test.cc"),
    ("checkpoint/gguf_contents.cc", "container/gguf_head_test.cc", "the reader of heads below it"),
    ("codec/blocks/block_layout.cc", "codec/blocks_test.cc", "layouts of blocks that are coded"),
    ("codec/kernels/avx512*_residual.cc", "codec/residual_kernels_test.cc", "beside scalar code"),
    ("codec/kernels/round_*", "codec/round_kernels_test.cc", "beside scalar code"),
    ("codec/kernels/row_*", "codec/rows_test.cc", "beside scalar code"),
    ("codec/kernels/*", "codec/kernels_test.cc", "each kernel is compared with the scalar one"),
    ("codec/row_*", "codec/rows_test.cc", "the steps of the codec of rows"),
    ("codec/run_classes.cc", "codec/runs_test.cc", "a step of the plane mode runs"),
    ("codec/nibbles.cc", "codec/residual_kernels_test.cc", "the numbers of residuals"),
    ("codec/*", "codec/codec_test.cc", "one round trip for each codec and plane mode"),
    ("container/gguf/gguf_types.cc", "container/gguf_test.cc", "types of its tensors"),
    ("container/imatrix/*", "container/imatrix_test.cc", "entries of its files"),
    ("container/model_files.cc", "store/list_variants_test.cc", "by the folders it is for"),
    ("container/registry.cc", "container/gguf_test.cc", "found by number and by name there"),
    ("container/safetensors/*", "io/safetensors_test.cc", "the parser below it"),
    ("format/index_*", "format/index_test.cc", "the sections of one index"),
    ("io/file_writer.cc", "io/file_test.cc", "beside the output that has it"),
    ("io/output_file.cc", "io/file_test.cc", "beside the files it writes"),
    ("io/placement.cc", "io/output_tree_test.cc", "the last step of an output"),
    ("io/random_name.cc", "io/staging_test.cc", "names of staging directories"),
    ("io/safetensors_parser.cc", "io/safetensors_test.cc", "beside what calls it"),
    ("remote/http_answer.cc", "remote/url_test.cc", "headers of answers"),
    ("remote/proxy.cc", "remote/url_test.cc", "the proxy of a URL"),
    ("remote/no_http.cc", "remote/location_test.cc", "what a build without HTTP has"),
    ("remote/*", "remote/http_source_test.cc", "over a server on this machine"),
    ("scheme/awq/*", "scheme/near_codes_test.cc", "AWQ is one kind of near codes"),
    ("scheme/bitsandbytes/bitsandbytes.cc", "scheme/grid_formats_test.cc", "a format of grids"),
    ("scheme/cast/*", "scheme/chunk_coder_test.cc", "the simplest scheme codes chunks there"),
    ("scheme/checks.cc", "scheme/schemes_test.cc", "what every scheme refuses"),
    ("scheme/chunk_encoder.cc", "scheme/chunk_coder_test.cc", "the other half of the coder"),
    ("scheme/delta/*", "scheme/delta_test.cc", "the coder and its kernels are tried there"),
    ("scheme/ggml/kernels/*", "scheme/ggml_grid_test.cc", "each is compared with the scalar one"),
    ("scheme/ggml/search/*", "scheme/ggml_search_test.cc", "beside the search of ggml itself"),
    ("scheme/ggml/block_grid.cc", "scheme/ggml_grid_test.cc", "grids of blocks"),
    ("scheme/ggml/block_values.cc", "scheme/dequantize_test.cc", "values as ggml computes them"),
    ("scheme/ggml/tensor_names.cc", "scheme/ggml_names_test.cc", "names of tensors"),
    (
        "scheme/ggml/weight_rows.cc",
        "scheme/ggml_weights_test.cc",
        "weights that blocks are made of",
    ),
    ("scheme/ggml/ggml_*.cc", "scheme/ggml_bindings_test.cc", "what it refuses"),
    ("scheme/ggml/*", "scheme/ggml_scheme_test.cc", "the scheme of blocks"),
    (
        "scheme/gpt_oss/*",
        "scheme/near_bindings_test.cc",
        "what it refuses; golden archives decode it",
    ),
    ("scheme/mxfp4_cast/*", "scheme/near_bindings_test.cc", "likewise"),
    ("scheme/gptq/gptq_weights.cc", "scheme/gptq_tensor_test.cc", "weights of a tensor"),
    ("scheme/gptq/*", "scheme/gptq_coder_test.cc", "round trips of floats and integers"),
    ("scheme/grid/near_*", "scheme/near_codes_test.cc", "codes near those of rounding"),
    ("scheme/grid/grid_near.cc", "scheme/near_codes_test.cc", "the same"),
    ("scheme/grid/predictor*", "scheme/near_codes_test.cc", "factors of inputs and outputs"),
    ("scheme/grid/factors.cc", "scheme/near_codes_test.cc", "the same"),
    ("scheme/grid/turn.cc", "scheme/rounding_grid_test.cc", "codes whose sign bit is turned"),
    ("scheme/grid/rounding*", "scheme/rounding_grid_test.cc", "rules of rounding"),
    ("scheme/grid/nearest.cc", "scheme/rounding_grid_test.cc", "the nearest number"),
    ("scheme/grid/grid_params.cc", "scheme/grid_bindings_test.cc", "parameters it refuses"),
    ("scheme/grid/grid_maker.cc", "checkpoint/rounder_test.cc", "through its public class"),
    ("scheme/grid/named_format.cc", "scheme/grid_formats_test.cc", "names of formats"),
    ("scheme/grid/*", "scheme/grid_schemes_test.cc", "the schemes of grids, rule by rule"),
    ("scheme/llm_int8/*", "scheme/chunk_coder_test.cc", "chunks of a twin"),
    ("scheme/object_spec.cc", "scheme/chunk_coder_test.cc", "how content is cut"),
    ("scheme/quantized_weights.cc", "checkpoint/checkpoint_test.cc", "weights that schemes see"),
    ("scheme/registry.cc", "scheme/schemes_test.cc", "each scheme has a number and a name"),
    ("scheme/*/*", "scheme/grid_formats_test.cc", "a format is found by its names"),
    ("store/add.cc", "store/change_test.cc", "a change of an archive"),
    ("store/drop.cc", "store/change_test.cc", "a change of an archive"),
    ("store/archive_change.cc", "store/change_crash_test.cc", "ended at every call"),
    ("store/assign_stored.cc", "store/change_test.cc", "content that an archive has"),
    ("store/stored_*", "store/change_test.cc", "what an archive has"),
    ("store/ancestor_limits.cc", "store/open_test.cc", "indices that it refuses"),
    ("store/archive_file.cc", "store/open_test.cc", "opening"),
    ("store/object_graph.cc", "store/open_test.cc", "edges of an index"),
    ("store/archive.cc", "store/read_test.cc", "the public class"),
    ("store/load.cc", "store/read_test.cc", "reads into memory of its own"),
    ("store/read_windows.cc", "store/many_tensors_test.cc", "tiny objects"),
    ("store/read_plan*", "store/chain_read_test.cc", "reads of parents and children"),
    ("store/running_read.cc", "store/chain_read_test.cc", "the same"),
    ("store/chunk_batch.cc", "store/chain_read_test.cc", "the same"),
    ("store/memory_needs.cc", "tests/python/test_amplification.py", "budgets, in a process"),
    ("store/estimate_objects.cc", "store/estimate_test.cc", "a step of it"),
    ("store/sample_cache.cc", "store/estimate_test.cc", "samples of several plans"),
    ("store/file_stretches.cc", "store/file_reader_test.cc", "stretches of a file"),
    ("store/file_stream.cc", "store/unpack_test.cc", "files as they are written"),
    ("store/file_items.cc", "store/round_trip_test.cc", "a step of packing"),
    ("store/chunk_samples.cc", "store/measure_edges_test.cc", "samples of a child"),
    ("store/choose_parents.cc", "store/measure_edges_test.cc", "parents of many tensors"),
    ("store/find_edges.cc", "store/match_modules_test.cc", "edges by name, and by trial"),
    ("store/module_names.cc", "store/match_modules_test.cc", "names of modules"),
    ("store/inspect.cc", "store/round_trip_test.cc", "codings of what was packed"),
    ("store/verify.cc", "tests/archive/damage_test.cc", "damage at every byte"),
    ("store/open_source.cc", "remote/location_test.cc", "paths and URLs"),
    ("store/source_checks.cc", "store/failure_test.cc", "inputs that change"),
    ("store/*", "store/round_trip_test.cc", "a step of packing"),
)


def modules(root):
    return sorted(path for path in (root / "src").iterdir() if path.is_dir())


def readme_offences(root):
    for module in modules(root):
        page = module / "README.md"
        name = page.relative_to(root)
        if not page.is_file():
            yield f"{name}: is missing"
            continue
        text = page.read_text(encoding="utf-8")
        if len(text.splitlines()) > MOST_LINES:
            yield f"{name}: has more than {MOST_LINES} lines"
        for want in ("May include", "Start with"):
            if want not in text:
                yield f'{name}: does not say "{want}"'
        for file in NAMED.findall(text):
            if not any((place / file).exists() for place in (module, root, root / "src")):
                yield f"{name}: names {file}, which is not there"


def unmirrored(root):
    """Files of src without a test of their name, relative to src."""
    for module in modules(root):
        for path in sorted(module.rglob("*.cc")):
            if not (root / "tests/unit" / module.name / f"{path.stem}_test.cc").is_file():
                yield path.relative_to(root / "src").as_posix()


def row_of(file):
    return next((row for row in ELSEWHERE if fnmatchcase(file, row[0])), None)


def mirror_offences(root):
    used = set()
    for file in unmirrored(root):
        row = row_of(file)
        used.add(row)
        if row is None:
            yield f"src/{file}: has no {Path(file).stem}_test.cc, and no row of ELSEWHERE"
    for row in ELSEWHERE:
        pattern, test, _ = row
        if row not in used:
            yield f"{pattern}: a row of ELSEWHERE that no file needs"
        if not any((root / place / test).is_file() for place in ("tests/unit", "")):
            yield f"{pattern}: a row of ELSEWHERE with a test that is not there, {test}"


def offences(root):
    root = Path(root)
    yield from readme_offences(root)
    yield from mirror_offences(root)


def main(argv):
    root = Path(__file__).resolve().parent.parent
    if argv[1:] == ["--list"]:
        for file in unmirrored(root):
            print(file, *(row_of(file) or ("?", "?", "?"))[1:], sep="\t")
        return 0
    found = list(offences(argv[1] if len(argv) > 1 else root))
    print("\n".join(found) if found else "folders: each has a README, each file a test")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
