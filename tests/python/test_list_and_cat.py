# SPDX-License-Identifier: Apache-2.0
"""What an archive holds, listed, and the bytes of one file or tensor."""

import os
import pty
import subprocess

import models
import pytest
import torch
from command import BINARY, EXIT_CODES, ok, ok_json, pack, run
from peak_memory import peak_and_seconds
from safetensors.torch import load_file

MIB = 1 << 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """m.qstore, and its variants high/ and low/."""
    folder = tmp_path_factory.mktemp("cat")
    tensors = {"a.weight": models.llm_weights(1500, 1024, 1), "scalar": torch.ones(())}
    tensors["config.json"] = torch.arange(4)  # A tensor that has the name of a file.
    high, low = models.save_pair(tensors, folder)
    for model in (high, low):
        (model / "config.json").write_text('{"of": "' + model.name + '"}\n')
        (model / "sub").mkdir()
        (model / "sub" / "vocab.txt").write_bytes(b"word\n" * 1000)
        (model / "empty").write_bytes(b"")
    pack(folder / "m.qstore", high=high, low=low)
    return folder


def cat(folder, *arguments):
    command = list(map(str, [BINARY, "cat", folder / "m.qstore", *arguments]))
    return subprocess.run(command, capture_output=True, timeout=60)


def test_cat_of_every_file(folder):
    for variant in ("high", "low"):
        for path in ok("ls", folder / "m.qstore", variant).stdout.splitlines():
            done = cat(folder, variant, path)
            assert (done.returncode, done.stderr) == (0, b"")
            assert done.stdout == (folder / variant / path).read_bytes(), path


def test_cat_of_every_tensor(folder):
    for variant in ("high", "low"):
        tensors = load_file(folder / variant / "model.safetensors")
        assert ok("ls", "--tensors", folder / "m.qstore", variant).stdout.split() == sorted(tensors)
        for name, tensor in tensors.items():
            done = cat(folder, variant, name, "--tensor")
            assert (done.returncode, done.stderr) == (0, b"")
            assert done.stdout == tensor.reshape(-1).view(torch.uint8).numpy().tobytes(), name


def test_a_file_comes_before_a_tensor(folder):
    assert cat(folder, "high", "config.json").stdout == b'{"of": "high"}\n'
    assert len(cat(folder, "high", "config.json", "--tensor").stdout) == 32
    assert cat(folder, "high", "scalar").stdout == b"\0\0\x80\x3f"


def test_cat_of_what_is_not_there(folder):
    for arguments, kind, words in (
        (("high", "none.json"), "not-found", ("none.json", "high", "qstore ls")),
        (("high", "config.jso", "--tensor"), "not-found", ("config.jso",)),
        (("medium", "config.json"), "not-found", ("medium",)),
    ):
        done = run("cat", folder / "m.qstore", *arguments)
        assert (done.returncode, done.stdout) == (EXIT_CODES[kind], "")
        (line,) = done.stderr.splitlines()
        assert all(word in line for word in words), line


def on_a_terminal(*arguments):
    """The exit code of a command and what a terminal showed of it."""
    outer, inner = pty.openpty()
    try:
        command = list(map(str, [BINARY, *arguments]))
        done = subprocess.run(command, stdout=inner, stderr=subprocess.PIPE, timeout=60)
        os.close(inner)
        shown = b""
        try:
            while part := os.read(outer, 65536):
                shown += part
        except OSError:  # Linux says so when nobody has the other end.
            pass
        return done.returncode, shown, done.stderr
    finally:
        os.close(outer)


def test_a_terminal_gets_text_only(folder):
    archive = folder / "m.qstore"
    code, shown, _ = on_a_terminal("cat", archive, "high", "config.json")
    assert (code, shown) == (0, b'{"of": "high"}\r\n')
    code, shown, said = on_a_terminal("cat", archive, "high", "scalar")
    assert (code, shown) == (1, b"")
    assert b"--force" in said
    code, shown, _ = on_a_terminal("cat", archive, "high", "scalar", "--force")
    assert (code, shown) == (0, b"\0\0\x80\x3f")


def test_cat_to_who_reads_no_further(folder):
    """As `head` does."""
    command = f"'{BINARY}' cat '{folder / 'm.qstore'}' high model.safetensors | head -c 100 | wc -c"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("100", "")


def test_cat_to_a_full_disk(folder):
    with open("/dev/full", "wb") as full:
        command = list(map(str, [BINARY, "cat", folder / "m.qstore", "high", "model.safetensors"]))
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert "standard output" in done.stderr


def test_cat_of_what_is_damaged(folder, tmp_path):
    data = bytearray((folder / "m.qstore").read_bytes())
    for at in range(len(data) // 2, len(data) - 4096, 100):
        data[at] ^= 1
    (tmp_path / "m.qstore").write_bytes(data)
    failed = [cat(tmp_path, variant, "a.weight") for variant in ("high", "low")]
    assert EXIT_CODES["corrupt"] in {done.returncode for done in failed}
    assert any(b"tensor 'a.weight'" in done.stderr for done in failed)


def test_ls(folder):
    archive = folder / "m.qstore"
    assert sorted(ok("ls", archive).stdout.split()) == ["high", "low"]
    assert {entry["name"]: entry["files"] for entry in ok_json("ls", archive)} == {
        "high": 4,
        "low": 4,
    }
    files = {str(path.relative_to(folder / "high")): path.stat().st_size for path in
             (folder / "high").rglob("*") if path.is_file()}  # fmt: skip
    assert {entry["path"]: entry["bytes"] for entry in ok_json("ls", archive, "high")} == files
    long = [line.split() for line in ok("ls", "-l", archive, "high").stdout.splitlines()]
    assert {path: int(size) for size, path in long} == files
    tensors = {entry["name"]: entry for entry in ok_json("ls", "--tensors", archive, "high")}
    assert tensors["a.weight"] == {
        "name": "a.weight",
        "file": "model.safetensors",
        "dtype": "BF16",
        "shape": [1500, 1024],
        "bytes": 1500 * 1024 * 2,
    }
    assert "[1500,1024]" in ok("ls", "-l", "--tensors", archive, "high").stdout
    assert len(ok("ls", "-l", archive).stdout.splitlines()) == 2


def test_ls_of_what_is_not_there(folder):
    done = run("ls", folder / "m.qstore", "medium")
    assert done.returncode == EXIT_CODES["not-found"]
    assert "medium" in done.stderr
    done = run("ls", "--tensors", folder / "m.qstore")
    assert done.returncode == EXIT_CODES["invalid-argument"]


@pytest.mark.alone
def test_cat_streams(tmp_path, figure):
    """A file that is larger than what the command may take."""
    high = models.save({"a.weight": models.llm_weights(8192, 16384, 1)}, tmp_path / "high")
    pack(tmp_path / "m.qstore", high=high)
    peak, _ = peak_and_seconds(
        "cat", tmp_path / "m.qstore", "high", "a.weight", "--max-memory", "128MiB"
    )
    figure(f"cat of a tensor of 256 MiB with --max-memory 128MiB: {peak / MIB:.0f} MiB")
    assert peak <= 128 * MIB
