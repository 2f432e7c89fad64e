# SPDX-License-Identifier: Apache-2.0
"""pack, unpack, verify, inspect and quantize."""

import os
import signal
import subprocess
import sys
import time

import models
import pytest
from command import contents, ok_json

pytestmark = pytest.mark.alone


def test_round_trip(qstore, space, pair):
    seen = []
    report = qstore.pack(
        {"bf16": pair.high, "int8": pair.low},
        space / "m.qstore",
        level="max",
        threads=2,
        memory=64 << 20,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert report.stored_bytes == (space / "m.qstore").stat().st_size
    assert seen[-1] == (report.source_bytes, report.source_bytes)
    assert seen == sorted(seen)
    for name, folder in (("bf16", pair.high), ("int8", pair.low)):
        done = qstore.unpack(space / "m.qstore", name, space / name)
        assert contents(space / name) == contents(folder)
        assert done == (len(contents(folder)), sum(f.stat().st_size for f in folder.iterdir()))
    checked = qstore.verify(space / "m.qstore", {"int8": pair.low})
    assert checked.bytes == report.source_bytes
    assert checked.compared_bytes == sum(f.stat().st_size for f in pair.low.iterdir())
    one = qstore.unpack(space / "m.qstore", "int8", space / "one", tensors="0.*")
    assert one.files == 1


def test_choices_of_parents(qstore, space, pair):
    sources = {"bf16": pair.high, "int8": pair.low}
    for direct in ("bf16", ["bf16"]):
        qstore.pack(sources, space / "direct.qstore", direct=direct, overwrite=True)
        bf16 = qstore.Archive.open(space / "direct.qstore").variant("bf16")
        assert {tensor.scheme for tensor in bf16.tensors} == {"none"}
    qstore.pack(sources, space / "given.qstore", parents={"int8": "bf16"})
    told = qstore.Archive.open(space / "given.qstore")
    assert any(tensor.parents for tensor in told.variant("int8").tensors)
    assert not any(tensor.parents for tensor in told.variant("bf16").tensors)
    for wrong in ({"direct": ["fp8"]}, {"parents": {"fp8": "bf16"}}):
        with pytest.raises(qstore.InvalidArgumentError, match="fp8"):
            qstore.pack(sources, space / "wrong.qstore", **wrong)


def test_sha256_of_files(qstore, space, pair):
    qstore.pack({"int8": pair.low}, space / "m.qstore", sha256=True)
    files = qstore.Archive.open(space / "m.qstore").files("int8")
    assert {file.path: file.sha256 for file in files} == contents(pair.low)
    assert {file.sha256 for file in qstore.Archive.open(pair.archive).files("int8")} == {None}


def test_inspect(qstore, pair):
    told = qstore.inspect(pair.archive)
    assert told.path == str(pair.archive)
    assert told.stored_bytes == pair.archive.stat().st_size
    assert [variant.name for variant in told.variants] == ["int8", "bf16"]
    int8, bf16 = told.variants
    assert [file.path for file in bf16.files] == ["a.safetensors", "b.safetensors", "config.json"]
    tensor = next(tensor for tensor in bf16.tensors if tensor.name == "0.weight")
    assert tensor.shape == (2048, 1024) and tensor.dtype == "BF16"
    assert tensor.file == "b.safetensors"
    assert tensor.scheme == "llm-int8"
    assert tensor.parents == (("int8", "0.weight"), ("int8", "0.SCB"))
    assert tensor.params == b""
    assert 0 < tensor.stored_bytes < tensor.byte_size
    norm = next(tensor for tensor in bf16.tensors if tensor.name == "norm")
    assert norm.same_as == ("int8", "norm")


def test_archive(qstore, pair):
    archive = qstore.Archive.open(pair.archive)
    assert archive.variant_names == ["int8", "bf16"]
    assert archive.read_file("bf16", "config.json") == b'{"model_type": "none"}'
    for file in archive.files("bf16"):
        assert archive.read_file("bf16", file.path) == (pair.high / file.path).read_bytes()
    with pytest.raises(qstore.UnknownNameError, match="no file 'x'"):
        archive.read_file("int8", "x")
    assert "int8, bf16" in repr(archive)


@pytest.mark.parametrize("to", ["llm-int8", "fp16"])
def test_quantize(qstore, space, pair, to):
    chosen = {} if to == "fp16" else {"exclude": ["1.*", "3.*"]}
    flags = [f"--exclude={pattern}" for names in chosen.values() for pattern in names]
    done = qstore.quantize(pair.high, space / "ours", to, **chosen, sync=False)
    told = ok_json("quantize", pair.high, "-o", space / "command", "--to", to, "--list", *flags)
    assert len(done.quantized) == (0 if to == "fp16" else 2)
    assert list(done.quantized) == told["quantized_list"]
    assert list(done.cast) == told["cast_list"]
    assert (done.kept, done.bytes) == (told["kept"], told["output_bytes"])
    assert contents(space / "ours") == contents(space / "command")


def test_errors(qstore, space, pair):
    sources = {"int8": pair.low}
    with pytest.raises(ValueError, match="'best' is none of fast, balanced, max"):
        qstore.pack(sources, space / "m.qstore", level="best")
    with pytest.raises(qstore.InvalidArgumentError):
        qstore.pack({"-": pair.low}, space / "m.qstore")
    with pytest.raises(FileNotFoundError):
        qstore.pack({"a": space / "none"}, space / "m.qstore")
    for use in (
        lambda: qstore.pack(sources, f"{space}/a\0b"),
        lambda: qstore.pack({"a": f"{pair.low}\0b"}, space / "m.qstore"),
        lambda: qstore.unpack(pair.archive, "int8", f"{space}/a\0b"),
        lambda: qstore.inspect(f"{pair.archive}\0b"),
    ):
        with pytest.raises(qstore.InvalidArgumentError, match="null"):
            use()
    (space / "m.qstore").write_text("mine")
    with pytest.raises(FileExistsError) as caught:
        qstore.pack(sources, space / "m.qstore")
    assert isinstance(caught.value, qstore.AlreadyExistsError)
    assert (space / "m.qstore").read_text() == "mine"
    qstore.pack(sources, space / "m.qstore", overwrite=True, level="fast")
    with pytest.raises(KeyError, match="there are: int8"):
        qstore.unpack(space / "m.qstore", "bf16", space / "out")
    with pytest.raises(KeyError, match="none.match"):
        qstore.unpack(space / "m.qstore", "int8", space / "out", tensors="none.match")
    with pytest.raises(KeyError, match="there are: int8"):
        qstore.verify(space / "m.qstore", {"bf16": pair.high})
    with pytest.raises(qstore.MismatchError):
        qstore.verify(space / "m.qstore", {"int8": pair.high})
    assert sorted(path.name for path in space.iterdir()) == ["m.qstore"]


def test_a_callback_that_raises(qstore, space, pair):
    def stop(done, total):
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        qstore.pack({"bf16": pair.high}, space / "m.qstore", progress=stop)
    with pytest.raises(LookupError, match="enough"):
        qstore.unpack(pair.archive, "bf16", space / "out", progress=stop)
    with pytest.raises(LookupError, match="enough"):
        qstore.verify(pair.archive, progress=stop)
    with pytest.raises(LookupError, match="enough"):
        qstore.torch.load_file(pair.archive, "bf16", progress=stop)
    assert list(space.iterdir()) == []


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("way", ["all", "one"])
def test_a_load_without_progress_looks_for_signals(qstore, space, way):
    models.save({"weight": models.related_weights(4096, 2048, 1)}, space / "in")
    qstore.pack({"v": space / "in"}, space / "m.qstore", level="max", sync=False)

    def load():
        with qstore.safe_open(space / "m.qstore", framework="np", threads=1) as file:
            return file.get_tensors() if way == "all" else file.get_tensor("weight")

    def interrupt(*_):
        raise Interrupted

    begin = time.monotonic()
    load()
    whole = time.monotonic() - begin
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, whole / 10)
        begin = time.monotonic()
        with pytest.raises(Interrupted):
            load()
        assert time.monotonic() - begin < whole / 2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


INTERRUPTED = """
import sys, time, qstore
operation, source, out = sys.argv[1:]
def tell(done, total):
    print("working", flush=True)
try:
    while True:
        if operation == "pack":
            qstore.pack({"v": source}, out, level="max", threads=1, overwrite=True, progress=tell)
        elif operation == "unpack":
            qstore.unpack(source, "v", out, threads=1, overwrite=False, progress=tell)
        elif operation == "load":
            qstore.numpy.load_file(source, threads=1, progress=tell)
        else:
            qstore.verify(source, threads=1, progress=tell)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("operation", ["pack", "unpack", "verify", "load"])
def test_ctrl_c(qstore, space, installed, operation):
    source, out = space / "in", space / "out" / "result"
    out.parent.mkdir()
    tensors = {f"{i}.weight": models.llm_weights(2048, 4096, i) for i in range(8)}
    models.save(tensors, source)
    if operation != "pack":
        qstore.pack({"v": source}, space / "m.qstore", level="max", sync=False)
        source = space / "m.qstore"
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, operation, source, out],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(installed / "site")},
        # Whoever runs the tests may have had it ignored (a job in the background), as is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    output, errors = process.communicate(timeout=60)
    assert output.endswith("interrupted\n"), errors
    assert time.monotonic() - begin < 3
    assert list(out.parent.iterdir()) == []
