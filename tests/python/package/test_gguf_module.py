# SPDX-License-Identifier: Apache-2.0
"""qstore.gguf beside the package gguf, on files that this one wrote."""

import struct
import threading
from types import SimpleNamespace

import folder_models
import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from range_server import RangeServer

QUANTS = {"q8": Type.Q8_0, "q4": Type.Q4_0}


@pytest.fixture(scope="module")
def ladder(qstore, tmp_path_factory):
    """A model in BF16, Q8_0, and Q4_0 in three files: .folder, .archive, .written by variant."""
    folder = tmp_path_factory.mktemp("ladder") / "tiny"
    tensors = folder_models.weights()
    written = {"bf16": folder_models.write(folder / "bf16.gguf", tensors, Type.BF16)}
    written["q8"] = folder_models.write(folder / "q8.gguf", tensors, Type.Q8_0)
    written["q4"] = folder_models.write(folder / "q4.gguf", tensors, Type.Q4_0, split_max_tensors=3)
    archive = folder.parent / "m.qstore"
    report = qstore.pack({}, archive, each=folder, direct="bf16", sync=False)
    return SimpleNamespace(folder=folder, archive=archive, written=written, report=report)


def test_a_folder_becomes_variants(qstore, ladder, figure):
    sizes = {variant.name: variant for variant in qstore.inspect(ladder.archive).variants}
    assert sorted(sizes) == ["bf16", "q4", "q8"]
    assert [file.path for file in sizes["q4"].files] == [
        f"q4-0000{i}-of-00003.gguf" for i in (1, 2, 3)
    ]
    assert {t.name for t in sizes["q4"].tensors} == set(ladder.written["q4"])
    for name in QUANTS:
        share = sizes[name].own_bytes / sizes[name].source_bytes
        figure(f"{name} of GGUF next to BF16: {share:.2%} of its files stored")
        assert share < 0.02
    assert qstore.verify(ladder.archive, each=ladder.folder).compared_bytes == sum(
        path.stat().st_size for path in ladder.folder.iterdir()
    )


def test_metadata(qstore, ladder):
    for name, path in (("bf16", "bf16.gguf"), ("q4", "q4-00001-of-00003.gguf")):
        fields = qstore.gguf.open(ladder.archive, name).fields
        reader = gguf.GGUFReader(ladder.folder / path)
        expected = {
            key: field.contents()
            for key, field in reader.fields.items()
            if not key.startswith("GGUF.")
        }
        assert fields == expected
        assert list(fields) == list(expected)
        assert fields["tokenizer.ggml.tokens"] == folder_models.VOCABULARY
        assert fields["tokenizer.ggml.add_bos_token"] is True
        assert fields["test.negative"] == -5


def test_tensors(qstore, ladder):
    for variant, written in ladder.written.items():
        model = qstore.gguf.open(ladder.archive, variant)
        assert set(model.tensors) == set(written)
        for name, (kind, blocks) in written.items():
            tensor = model.tensors[name]
            assert (tensor.name, tensor.type, tensor.byte_size) == (name, kind.name, blocks.nbytes)
            assert tensor.shape == gguf.quants.dequantize(blocks, kind).shape
            assert tensor.ggml_shape == tensor.shape[::-1]
            rows = blocks.reshape(-1, blocks.shape[-1])
            assert (tensor.rows, tensor.row_bytes) == rows.shape
            raw = model.raw(name)
            assert raw.dtype == np.uint8 and np.array_equal(raw, rows)
            assert raw.flags.writeable


def test_weights(qstore, ladder):
    for variant, written in ladder.written.items():
        model = qstore.gguf.open(ladder.archive, variant)
        for name, (kind, blocks) in written.items():
            expected = gguf.quants.dequantize(blocks, kind)
            weights = model.dequantize(name)
            assert weights.dtype == np.float32 and weights.shape == expected.shape
            assert weights.tobytes() == expected.tobytes()


def test_rows(qstore, ladder):
    for variant, written in ladder.written.items():
        model = qstore.gguf.open(ladder.archive, variant)
        for name, (kind, blocks) in written.items():
            rows = blocks.reshape(-1, blocks.shape[-1])
            count = len(rows)
            parts = [(0, count), (0, 0), (count, count), (count // 2, count)]
            parts += [(5, 9), (510, 515)] if count > 600 else []
            for begin, end in parts:
                assert np.array_equal(model.rows(name, begin, end), rows[begin:end])
                weights = model.dequantize(name, begin, end)
                expected = gguf.quants.dequantize(rows, kind)[begin:end]
                assert np.array_equal(weights, expected) and weights.shape == expected.shape
            for begin, end in ((0, count + 1), (-1, 1), (count + 1, None), (1, 0)):
                with pytest.raises(qstore.InvalidArgumentError, match="rows"):
                    model.rows(name, begin, end)


def test_saving(qstore, ladder, space):
    for name in ("bf16", "q8"):
        model = qstore.gguf.open(ladder.archive, name)
        model.save(space / "m.gguf", overwrite=name == "q8")
        original = ladder.folder / f"{name}.gguf"
        assert (space / "m.gguf").read_bytes() == original.read_bytes()
    with pytest.raises(qstore.AlreadyExistsError):
        model.save(space / "m.gguf")
    split = qstore.gguf.open(ladder.archive, "q4")
    split.save(space / "q4")
    with pytest.raises(qstore.AlreadyExistsError):
        split.save(space / "q4")
    assert sorted(path.name for path in (space / "q4").iterdir()) == list(split.files)
    for path in split.files:
        assert (space / "q4" / path).read_bytes() == (ladder.folder / path).read_bytes()
    assert {path.name for path in space.iterdir()} == {"m.gguf", "q4"}


def test_one_of_several_models(qstore, ladder, space):
    qstore.pack({"all": ladder.folder, "none": __file__}, space / "m.qstore", sync=False)
    archive = qstore.Archive(space / "m.qstore")
    with pytest.raises(qstore.InvalidArgumentError, match=r"bf16\.gguf"):
        qstore.gguf.open(archive, "all")
    with pytest.raises(qstore.InvalidArgumentError, match="no GGUF file"):
        qstore.gguf.open(archive, "none")
    with pytest.raises(qstore.UnknownNameError, match="absent"):
        qstore.gguf.open(archive, "all", file="absent.gguf")
    with pytest.raises(qstore.UnknownNameError, match="bf16"):
        qstore.gguf.open(ladder.archive, "other")
    for file in ("q4-00002-of-00003.gguf", "q8.gguf"):
        model = qstore.gguf.open(archive, "all", file=file)
        assert file in model.files
        kind, blocks = ladder.written[file[:2]]["token_embd.weight"]
        assert np.array_equal(model.raw("token_embd.weight"), blocks)
        with pytest.raises(qstore.UnknownNameError, match="nothing"):
            model.raw("nothing")


def random_blocks(kind, seed):
    columns, size = gguf.GGML_QUANT_SIZES[kind]
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (500, 3 * size), np.uint8), 3 * columns


@pytest.mark.parametrize("kind", list(Type), ids=lambda kind: kind.name)
def test_every_type(qstore, kind):
    blocks, columns = random_blocks(kind, 1)
    if not qstore.gguf.can_dequantize(kind.name):
        assert kind.name[:3] in {"IQ1", "IQ2", "IQ3", "TQ1", "Q1_", "Q8_", "F64"} | {
            f"I{bits}" for bits in (8, 16, 32, 64)
        }
        with pytest.raises(qstore.InvalidArgumentError, match=kind.name):
            qstore.gguf.dequantize(blocks, kind.name)
        return
    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(blocks, kind)
    weights = qstore.gguf.dequantize(blocks, kind.name, threads=2)
    assert weights.shape == expected.shape == (500, columns)
    both = ~(np.isnan(weights) & np.isnan(expected))
    assert np.array_equal(weights.view(np.uint32)[both], expected.view(np.uint32)[both])
    assert both.mean() > 0.5


def test_what_is_no_blocks(qstore):
    blocks, _ = random_blocks(Type.Q4_0, 1)
    for wrong, kind in (
        (blocks[:, :-1], "Q4_0"),
        (blocks.astype(np.int8), "Q4_0"),
        (np.uint8(1), "F32"),
        (blocks, "Q4_9"),
        (blocks, ""),
    ):
        with pytest.raises(qstore.InvalidArgumentError):
            qstore.gguf.dequantize(wrong, kind)
    assert qstore.gguf.dequantize(blocks[::2, :18], "Q4_0").shape == (250, 32)
    assert qstore.gguf.dequantize(blocks[:0], "Q4_0").shape == (0, 96)


def read_head(content, max_memory=1 << 19):
    from qstore._gguf_head import read_head  # noqa: PLC0415

    return read_head(lambda *at: content[slice(*at)], len(content), 100, max_memory, "here")


def test_heads_cut_short(qstore, ladder):
    content = (ladder.folder / "q4-00001-of-00003.gguf").read_bytes()
    whole = read_head(content, 1 << 30)
    reader = gguf.GGUFReader(ladder.folder / "q4-00001-of-00003.gguf")
    assert whole.offsets == {tensor.name: tensor.data_offset for tensor in reader.tensors}
    end = reader.data_offset
    assert read_head(content[:end], 1 << 30) == whole
    for size in (*range(200), *range(200, end - 32, 997)):
        with pytest.raises(qstore.CorruptError, match="here"):
            read_head(content[:size], 1 << 30)
    with pytest.raises(qstore.LimitError, match="max_memory"):
        read_head(content)


@pytest.mark.parametrize("count", (2**20, 2**40, 2**61, 2**64 - 1))
def test_heads_that_promise_too_much(qstore, count):
    start = b"GGUF" + struct.pack("<I", 3)
    key = struct.pack("<Q", 1) + b"k"
    many = struct.pack("<Q", count)
    for head in (
        start + struct.pack("<QQ", count, 0),
        start + struct.pack("<QQ", 0, count),
        start + struct.pack("<QQ", 0, 1) + many + b"key",
        start + struct.pack("<QQ", 0, 1) + key + struct.pack("<I", 8) + many + b"text",
        *(
            start + struct.pack("<QQ", 0, 1) + key + struct.pack("<II", 9, kind) + many
            for kind in (0, 6, 7, 8, 9, 10, 12, 13)
        ),
    ):
        for memory in (1 << 20, 1 << 80):
            with pytest.raises((qstore.CorruptError, qstore.LimitError)):
                read_head(head + bytes(100), memory)


def test_threads_may_share_a_model(qstore, ladder):
    model = qstore.gguf.open(ladder.archive, "q8")
    failed = []

    def read(name):
        kind, blocks = ladder.written["q8"][name]
        if not np.array_equal(model.dequantize(name), gguf.quants.dequantize(blocks, kind)):
            failed.append(name)

    threads = [threading.Thread(target=read, args=(name,)) for name in model.tensors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


# Weights that the archive codes at a time.
CHUNK = 1 << 18


@pytest.mark.parametrize("variant", ("bf16", "q8", "q4"))
def test_only_what_is_asked_for_travels(qstore, ladder, figure, variant):
    """A range of a quant takes its chunks of the 16-bit weights, and what it has itself of them."""
    stored = dict.fromkeys(ladder.written["bf16"], 0)
    for name in {variant, "bf16"}:
        for tensor in qstore.Archive(ladder.archive).variant(name).tensors:
            stored[tensor.name] += tensor.stored_bytes
    total = ladder.archive.stat().st_size
    with RangeServer(ladder.archive.read_bytes()) as server:

        def travelled(read):
            before = server.bytes_sent
            read()
            return server.bytes_sent - before

        model = qstore.gguf.open(server.url, variant)
        assert server.bytes_sent < 70_000, "the index, and what may lie before it"
        assert model.tensors and travelled(lambda: repr(model)) == 0
        fields = travelled(lambda: model.fields)
        figure(f"{variant} of GGUF by HTTP: {fields:,} of {total:,} bytes for metadata")
        assert 0 < fields < 100_000
        model.raw("output_norm.weight")  # With it the head is checked, once.
        for name in ("token_embd.weight", "blk.1.ffn_down_exps.weight"):
            shape = model.tensors[name].shape
            rows = CHUNK // shape[-1]
            chunk = stored[name] / (model.tensors[name].rows // rows)
            for count, chunks in ((1, 1), (rows, 1), (3 * rows, 3)):
                sent = travelled(lambda n=name, r=rows, c=count: model.dequantize(n, r, r + c))
                assert 0.95 * chunks * chunk <= sent <= 1.05 * chunks * chunk
        figure(f"{variant} of GGUF by HTTP: {sent:,} bytes for 3 of 8 chunks")
