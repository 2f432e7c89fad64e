# SPDX-License-Identifier: Apache-2.0
"""Bad input: one clear error, the documented exit code, and nothing left behind."""

import ctypes
import json
import resource
import shutil
import signal
import struct
import subprocess
import threading
import time

import models
import pytest
import xxhash
from command import BINARY, EXIT_CODES, contents, ok, ok_json, pack, run, unpack


def small_model(folder, seed=1, rows=256):
    return models.save({"a.weight": models.llm_weights(rows, 256, seed)}, folder)


@pytest.fixture
def model(space):
    return small_model(space / "model")


@pytest.fixture
def archive(space, model):
    pack(space / "m.qstore", bf16=model)
    return space / "m.qstore"


@pytest.fixture(scope="module")
def large_model(tmp_path_factory):
    """Large enough that a command works on it for a while."""
    folder = tmp_path_factory.mktemp("large") / "model"
    tensor = models.llm_weights(4096, 4096, 1)
    yield models.save({f"{i}.weight": tensor.roll(i, 0).contiguous() for i in range(4)}, folder)
    shutil.rmtree(folder)


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def check_refusal(done, kind, mentions=()):
    """The kind's exit code, nothing on stdout, one line on stderr that says what is wrong."""
    assert done.returncode == EXIT_CODES[kind], (done.returncode, done.stderr)
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert kind in lines[0], lines[0]
    for text in mentions:
        assert str(text) in lines[0], lines[0]


def refused(kind, space, *arguments, mentions=(), **options):
    """The command is refused, and `space` holds exactly what it held before."""
    before = listing(space)
    check_refusal(run(*arguments, **options), kind, mentions)
    assert listing(space) == before


def without_override():
    """Takes from root, in the child, the right to pass over file permissions."""
    prctl = ctypes.CDLL(None).prctl
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


def limited_files(size):
    """Writing beyond `size` bytes of a file fails, as on a full disk."""

    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_pack_a_missing_path(space):
    refused(
        "not-found",
        space,
        "pack",
        "-o",
        space / "m.qstore",
        f"a={space}/nowhere",
        mentions=["nowhere"],
    )


def test_pack_an_empty_directory(space):
    (space / "empty").mkdir()
    refused(
        "invalid-argument",
        space,
        "pack",
        "-o",
        space / "m.qstore",
        f"a={space}/empty",
        mentions=["empty"],
    )


def test_pack_an_unreadable_file(space, model):
    (model / "model.safetensors").chmod(0)
    refused(
        "io",
        space,
        "pack",
        "-o",
        space / "m.qstore",
        f"a={model}",
        mentions=["model.safetensors"],
        preexec_fn=without_override,
    )


def test_pack_into_a_read_only_directory(space, model):
    (space / "locked").mkdir()
    (space / "locked").chmod(0o555)
    refused(
        "io",
        space,
        "pack",
        "-o",
        space / "locked" / "m.qstore",
        f"a={model}",
        mentions=["locked"],
        preexec_fn=without_override,
    )


def test_unpack_into_a_read_only_directory(space, archive):
    (space / "locked").mkdir()
    (space / "locked").chmod(0o555)
    refused(
        "io",
        space,
        "unpack",
        archive,
        "bf16",
        "-o",
        space / "locked" / "out",
        mentions=["locked"],
        preexec_fn=without_override,
    )


def test_pack_with_absent_shards(space, model):
    index = {"metadata": {}, "weight_map": {"a.weight": "model-00001-of-00002.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(
        "not-found",
        space,
        "pack",
        "-o",
        space / "m.qstore",
        f"a={model}",
        mentions=["model-00001-of-00002.safetensors"],
    )


def test_pack_two_variants_of_one_name(space, model):
    other = small_model(space / "other", seed=2)
    refused(
        "invalid-argument",
        space,
        "pack",
        "-o",
        space / "m.qstore",
        f"a={model}",
        f"a={other}",
        mentions=["a"],
    )


def test_pack_one_path_twice(space, model):
    refused(
        "invalid-argument",
        space,
        "pack",
        "-o",
        space / "m.qstore",
        f"a={model}",
        f"b={model}",
        mentions=["model"],
    )


@pytest.mark.parametrize("name", ("a b", "a/b", "..", "+a/", "a" * 256, "ä"))
def test_pack_a_bad_variant_name(space, model, name):
    refused("invalid-argument", space, "pack", "-o", space / "m.qstore", f"{name}={model}")


def test_pack_over_an_archive(space, model, archive):
    refused("already-exists", space, "pack", "-o", archive, f"a={model}", mentions=["m.qstore"])
    ok("pack", "--force", "-o", archive, f"again={model}")
    assert contents(unpack(archive, "again", space / "back")) == contents(model)


def test_pack_a_device(space):
    (space / "model").mkdir()
    (space / "model" / "weights.bin").symlink_to("/dev/zero")
    refused(
        "invalid-argument",
        space,
        "pack",
        "-o",
        space / "m.qstore",
        f"a={space}/model",
        mentions=["weights.bin"],
    )


def test_pack_a_cycle_of_links(space, model):
    (model / "loop").symlink_to(model)
    refused("invalid-argument", space, "pack", "-o", space / "m.qstore", f"a={model}")


def test_pack_a_dangling_link(space, model):
    (model / "gone.json").symlink_to(space / "nowhere")
    refused(
        "not-found", space, "pack", "-o", space / "m.qstore", f"a={model}", mentions=["gone.json"]
    )


def test_pack_on_a_full_disk(space):
    model = small_model(space / "model", rows=4096)
    refused(
        "io",
        space,
        "pack",
        "-o",
        space / "m.qstore",
        f"a={model}",
        mentions=["m.qstore"],
        preexec_fn=limited_files(100_000),
    )


def test_unpack_on_a_full_disk(space):
    model = small_model(space / "model", rows=4096)
    pack(space / "m.qstore", a=model)
    refused(
        "io",
        space,
        "unpack",
        space / "m.qstore",
        "a",
        "-o",
        space / "out",
        mentions=["model.safetensors"],
        preexec_fn=limited_files(100_000),
    )


def test_pack_a_file_that_changes(space, large_model):
    model = shutil.copytree(large_model, space / "model")
    before = listing(space)
    process = subprocess.Popen(
        [BINARY, "pack", "-o", space / "m.qstore", f"a={model}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with open(model / "model.safetensors", "r+b") as file:
        while process.poll() is None:
            file.seek(1_000_000)
            file.write(struct.pack("<d", time.time()))
            file.flush()
            time.sleep(0.001)
    done = subprocess.CompletedProcess(process.args, process.returncode, *process.communicate())
    check_refusal(done, "source-changed", ["model.safetensors"])
    assert listing(space) == before


def interrupt(space, sign, *arguments):
    """Sends the signal as soon as the command has begun to write; it must leave nothing."""
    before = listing(space)
    process = subprocess.Popen(
        [BINARY, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Whoever runs the tests may have had the signal ignored (nohup), which is inherited.
        preexec_fn=lambda: signal.signal(sign, signal.SIG_DFL),
    )
    written = 0
    while written < 1_000_000 and process.poll() is None:
        time.sleep(0.001)
        written = sum(
            path.stat().st_blocks * 512
            for path in space.rglob("*")
            if path.is_file() and str(path.relative_to(space)) not in before
        )
    assert process.poll() is None, "ended before it was interrupted"
    process.send_signal(sign)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert listing(space) == before


signals = pytest.mark.parametrize("sign", (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))


@signals
def test_interrupted_pack(space, large_model, sign):
    interrupt(space, sign, "pack", "-o", space / "m.qstore", f"a={large_model}")


@signals
def test_interrupted_unpack(space, large_model, sign):
    pack(space / "m.qstore", a=large_model)
    interrupt(space, sign, "unpack", space / "m.qstore", "a", "-o", space / "out")


def test_unpack_a_missing_archive(space):
    refused(
        "not-found",
        space,
        "unpack",
        space / "m.qstore",
        "a",
        "-o",
        space / "out",
        mentions=["m.qstore"],
    )


def test_unpack_a_missing_variant(space, archive):
    refused("not-found", space, "unpack", archive, "int8", "-o", space / "out", mentions=["int8"])


def test_unpack_into_a_full_directory(space, model, archive):
    (space / "out").mkdir()
    (space / "out" / "mine.txt").write_text("keep me")
    refused(
        "already-exists", space, "unpack", archive, "bf16", "-o", space / "out", mentions=["out"]
    )
    ok("unpack", "--force", archive, "bf16", "-o", space / "out")
    kept = contents(space / "out")
    assert kept.pop("mine.txt")
    assert kept == contents(model)


def test_unpack_into_an_empty_directory(space, model, archive):
    (space / "out").mkdir()
    assert contents(unpack(archive, "bf16", space / "out")) == contents(model)


@pytest.mark.parametrize(
    "damage",
    {
        "empty": lambda data: b"",
        "another file": lambda data: b"PK\3\4" + data[4:],
        "cut short": lambda data: data[:-1],
        "cut in half": lambda data: data[: len(data) // 2],
        "longer": lambda data: data + b"\0",
        "bit of the content": lambda data: data[:5000] + bytes([data[5000] ^ 4]) + data[5001:],
        "bit of the index": lambda data: data[:-70] + bytes([data[-70] ^ 4]) + data[-69:],
    }.items(),
    ids=lambda item: item[0],
)
def test_damaged_archive(space, archive, damage):
    archive.write_bytes(damage[1](archive.read_bytes()))
    refused("corrupt", space, "verify", archive, mentions=["m.qstore"])
    refused("corrupt", space, "unpack", archive, "bf16", "-o", space / "out")


def test_archive_of_the_future(space, archive):
    data = bytearray(archive.read_bytes())
    struct.pack_into("<H", data, 8, struct.unpack_from("<H", data, 8)[0] + 1)
    struct.pack_into("<Q", data, 16, xxhash.xxh3_64_intdigest(data[:16]))
    archive.write_bytes(data)
    refused("unsupported-version", space, "verify", archive, mentions=["m.qstore", "version"])
    refused("unsupported-version", space, "unpack", archive, "bf16", "-o", space / "out")


def test_verify_against_directories(space, model, archive):
    ok("verify", archive, f"bf16={model}")
    other = shutil.copytree(model, space / "other")
    (other / "model.safetensors").write_bytes(
        (model / "model.safetensors").read_bytes()[:-1] + b"!"
    )
    refused("mismatch", space, "verify", archive, f"bf16={other}", mentions=["model.safetensors"])
    (other / "extra.json").write_text("{}")
    refused("mismatch", space, "verify", archive, f"bf16={other}")
    shutil.rmtree(other)
    other.mkdir()
    (other / "config.json").write_text("{}")
    refused("mismatch", space, "verify", archive, f"bf16={other}", mentions=["config.json"])


@pytest.mark.parametrize("arguments", ([], ["frobnicate"], ["pack"], ["unpack", "x"], ["inspect"]))
def test_wrong_usage(arguments):
    done = run(*arguments)
    assert done.returncode == EXIT_CODES["usage"]
    assert done.stdout == ""
    assert done.stderr


def test_help_and_version():
    assert "pack" in ok("--help").stdout
    assert ok("--version").stdout.strip()


def test_output_is_machine_readable(space, model, archive):
    """stdout carries the result and nothing else; JSON is one document."""
    for arguments in (["inspect", archive], ["verify", archive]):
        assert ok_json(*arguments)
    done = ok("pack", "-o", space / "n.qstore", f"a={model}", "--json")
    assert json.loads(done.stdout)
    done = ok("unpack", archive, "bf16", "-o", space / "out", "--json")
    assert json.loads(done.stdout)


def test_odd_files_come_back(space, model):
    """Files that are no weights, or only look like them, are kept as they are."""
    files = {
        "empty": b"",
        "sub/empty": b"",
        "sub/deep er/ünïcode – name.json": b"{}",
        "not.safetensors": b"this is no header",
        "short.safetensors": b"\1",
        "huge_header.safetensors": struct.pack("<Q", 1 << 62) + b"{}",
        "trailing.safetensors": (model / "model.safetensors").read_bytes() + b"x",
        "cut.safetensors": (model / "model.safetensors").read_bytes()[:-100],
        "vocab.txt": b"word\n" * 20000,
        ".hidden": b"x" * 1000,
    }
    for name, data in files.items():
        path = model / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    pack(space / "m.qstore", a=model)
    assert contents(unpack(space / "m.qstore", "a", space / "back")) == contents(model)


def test_sha256_of_files(space):
    """They are those of the originals, and what verify tells depends on them."""
    folder = small_model(space / "model")
    (folder / "none").mkdir()
    (folder / "empty").write_bytes(b"")
    archive = space / "m.qstore"
    pack(archive, "--sha256", a=folder)
    told = ok_json("inspect", "--files", archive)["variants"][0]["file_list"]
    assert {file["path"]: file["sha256"] for file in told} == {
        "none": None,
        **contents(folder),
    }
    for file in told:
        assert file["directory"] == (file["path"] == "none")
        assert ok("inspect", "--files", archive).stdout.count(file["path"]) >= 1
    ok("verify", archive, f"a={folder}")
    estimate = ok_json("pack", "--estimate", "--sha256", f"a={folder}")
    assert abs(estimate["arrangements"][0]["stored_bytes"] - archive.stat().st_size) < 100
    pack(space / "plain.qstore", a=folder)
    plain = ok_json("inspect", "--files", space / "plain.qstore")["variants"][0]["file_list"]
    assert {file["sha256"] for file in plain} == {None}
    assert [file["digest"] for file in plain] == [file["digest"] for file in told]


def test_concurrent_unpacks(space, model, archive):
    """Two at once do not get in each other's way."""
    threads = [
        threading.Thread(target=unpack, args=(archive, "bf16", space / f"out{i}")) for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        assert contents(space / f"out{i}") == contents(model)


def test_same_bytes_every_time(space, large_model):
    """The archive does not depend on time, threads or paths."""
    first = pack(space / "a.qstore", a=large_model)
    copy = shutil.copytree(large_model, space / "elsewhere")
    assert pack(space / "b.qstore", "--threads", "1", a=copy) == first
    assert (space / "a.qstore").read_bytes() == (space / "b.qstore").read_bytes()
