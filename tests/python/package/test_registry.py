# SPDX-License-Identifier: Apache-2.0
"""`qstore registry`: models go in, come out, and leave; what is interrupted leaves all readable."""

import json
import os
import random
import shutil
import signal
import sqlite3
import time

import pytest
from command import contents, raw_size
from registry_tools import Command, children, save_model


@pytest.fixture(scope="module")
def command(installed):
    return Command(installed / "site")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A model, another one with some of its files, and a GGUF ladder of two with a card."""
    folder = tmp_path_factory.mktemp("source")
    save_model(folder / "one", 1)
    shutil.copytree(folder / "one", folder / "two")
    (folder / "two" / "config.json").write_text("{}")
    return folder


@pytest.fixture
def registry(command, space):
    command.run("init", space / "r")
    return space / "r"


def test_in_and_out(command, registry, source, space):
    said = command.run("add", registry, f"org/one={source / 'one'}", f"org/two={source / 'two'}")
    assert "org/one@main" in said and "org/two@main" in said
    assert children(registry / "staging") == [] and len(children(registry / "archives")) == 1
    for name in ("one", "two"):
        command.run("get", registry, f"org/{name}", "-o", space / name)
        assert contents(space / name) == contents(source / name)
    assert command.run("verify", registry) == ""
    told = command.json("list", registry)
    assert sorted(told["repositories"]) == ["org/one", "org/two"]
    totals = told["totals"]
    size = raw_size(source / "one") + raw_size(source / "two")
    assert totals["served"] == totals["packed"] == size
    assert totals["stored"] == sum(p.stat().st_size for p in (registry / "archives").iterdir())
    parts = totals["parts"].values()
    assert sum(part["source"] for part in parts) == size
    assert sum(part["stored"] for part in parts) == totals["stored"]
    # What both have is stored once.
    assert totals["parts"]["equal"] == {"source": 2 * 256 * 256 * 2, "stored": 0}
    shown = command.json("show", registry, "org/one")
    assert {file["path"]: file["sha256"] for file in shown["files"]} == contents(source / "one")
    assert "config.json" in command.run("show", registry, "org/one@main")
    assert "saved" in command.run("list", registry)


def test_the_same_files_are_the_same_commit(command, registry, source, space):
    first = command.json("add", registry, f"org/m={source / 'one'}")
    again = command.json("add", registry, f"org/m@v1={source / 'one'}", "--level", "fast")
    assert first["commits"][0]["commit"] == again["commits"][0]["commit"]
    there = command.json("add", registry, f"org/m@v2={source / 'one'}")
    assert there["was_there"] and there["archive"] == first["archive"]
    refs = command.json("list", registry)["repositories"]["org/m"]["revisions"]
    assert sorted(refs) == ["main", "v1", "v2"] and len(set(refs.values())) == 1
    # The second archive brought nothing.
    assert command.json("gc", registry, "--grace", "0")["archives"] == (
        [again["archive"]] if again["archive"] != first["archive"] else []
    )
    assert command.run("verify", registry) == ""


def test_precisions_as_folders_of_one_repository(command, registry, source, space):
    one, two = source / "one", source / "two"
    command.run("add", registry, f"org/m={one}", f"org/m/int8={two}", "--no-verify")
    command.run("get", registry, "org/m", "-o", space / "out")
    assert contents(space / "out" / "int8") == contents(two)
    shutil.rmtree(space / "out" / "int8")
    assert contents(space / "out") == contents(one)
    # Two sources may not differ in a file of one place.
    error = command.run("add", registry, f"org/m={one}", f"org/m={two}", code=3)
    assert "config.json" in error and "mismatch" in error
    assert children(registry / "staging") == []


def test_models_of_a_folder_are_variants(command, qstore, registry, source, space):
    folder = space / "ladder"
    (folder / "deep").mkdir(parents=True)
    for name in ("m-Q8_0.gguf", "m-Q4_0.gguf", "deep/m-BF16.gguf", "README.md"):
        (folder / name).write_bytes(name.encode() * 100)
    added = command.json("add", registry, f"org/m-GGUF={folder}")
    archive = qstore.Archive(registry / "archives" / f"{added['archive']}.qstore")
    assert sorted(archive.variant_names) == ["m-BF16", "m-GGUF", "m-Q4_0", "m-Q8_0"]
    command.run("get", registry, "org/m-GGUF", "-o", space / "out")
    assert contents(space / "out") == contents(folder)


def test_revisions_and_garbage(command, registry, source, space):
    first = command.json("add", registry, f"org/m={source / 'one'}")
    old = first["commits"][0]["commit"]
    second = command.json("add", registry, f"org/m={source / 'two'}", "--expect", old)
    error = command.run("add", registry, f"org/m={source / 'one'}", "--expect", old, code=1)
    assert "main is" in error and "already-exists" in error
    command.run("add", registry, f"org/m={source / 'one'}", "--expect", "none", code=1)
    # The commit before is still there by its id.
    command.run("get", registry, f"org/m@{old}", "-o", space / "old")
    assert contents(space / "old") == contents(source / "one")
    command.run("get", registry, "org/m", "-o", space / "old", code=1)
    assert command.json("gc", registry, "--keep", "1")["commits"] == {}
    assert command.json("gc", registry, "--keep", "0")["commits"] == {"org/m": [old]}
    assert command.json("gc", registry)["archives"] == []  # In its day of grace.
    gone = command.json("gc", registry, "--grace", "0")
    assert gone["archives"] == [first["archive"]] and gone["freed_bytes"] > 0
    assert children(registry / "archives") == [f"{second['archive']}.qstore"]
    assert "no revision" in command.run("show", registry, f"org/m@{old}", code=1)
    command.run("remove", registry, "org/m")
    assert "no such repository" in command.run("show", registry, "org/m", code=1)
    command.run("gc", registry, "--grace", "0")
    assert children(registry / "archives") == []
    assert command.run("verify", registry) == ""


def test_what_is_wrong_is_told(command, registry, source, space):
    added = command.json("add", registry, f"org/m={source / 'one'}")
    path = registry / "archives" / f"{added['archive']}.qstore"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)
    assert command.run("verify", registry, "--quick") == ""
    command.run("verify", registry, code=3)
    path.write_bytes(content[:-1])
    assert "bytes" in run_wrong(command, registry)
    path.unlink()
    assert "no such file" in run_wrong(command, registry)
    (registry / "archives" / f"{'0' * 64}.qstore").touch()
    assert "does not know" in run_wrong(command, registry)
    with sqlite3.connect(registry / "catalog.sqlite") as base:
        base.execute("DELETE FROM listings")
    assert "listing" in run_wrong(command, registry)


def run_wrong(command, registry):
    with command.start("verify", registry, "--quick", stdout=-1, stderr=-1) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    return out


def test_wrong_commands(command, registry, source, space):
    one = source / "one"
    for target in ("m", "../m", "org/../m", "org/m/../x", "org/m@..", "org/m/" + "a/.." * 2):
        assert "invalid-argument" in command.run("add", registry, f"{target}={one}", code=2)
    assert "want ORG" in command.run("add", registry, "org/m", code=2)
    assert "no such file" in command.run("add", registry, f"org/m={space / 'none'}", code=1)
    assert "is no registry" in command.run("list", space, code=1)
    assert "not empty" in command.run("init", registry, code=1)
    command.run("frob", registry, code=2)
    (registry / "registry.json").write_text('{"qstore-registry": 2}')
    assert "this program knows" in command.run("list", registry, code=3)


def test_import_of_a_cache(command, registry, source, space):
    """As huggingface_hub lays it out: links to blobs, and refs."""
    commits = ["a" * 40, "b" * 40]
    model = space / "cache" / "models--org--model"
    (model / "refs").mkdir(parents=True)
    (model / "blobs").mkdir()
    (model / "refs" / "main").write_text(commits[1])
    for commit, name in zip(commits, ("one", "two"), strict=True):
        for path in (path for path in (source / name).rglob("*") if path.is_file()):
            blob = model / "blobs" / f"{name}-{path.name}"
            shutil.copy(path, blob)
            link = model / "snapshots" / commit / path.relative_to(source / name)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
    (space / "cache" / "models--org--nothing" / "snapshots").mkdir(parents=True)
    command.run("import", registry, space / "cache", "--only", "other/*")
    assert command.json("list", registry)["repositories"] == {}
    command.run("import", registry, space / "cache")
    for revision, name in (("main", "two"), (commits[0], "one"), (commits[1], "two")):
        out = space / f"{name}-{revision}"
        command.run("get", registry, f"org/model@{revision}", "-o", out)
        assert contents(out) == contents(source / name)
    assert "is no cache" in command.run("import", registry, source, code=2)


def test_two_writers_of_one_name(command, registry, source):
    """Both commits are there, the later one is main; of two who expect the same one fails."""
    pair = [
        command.start("add", registry, f"org/m={source / name}", stdout=-1, stderr=-1)
        for name in ("one", "two")
    ]
    assert [writer.wait() for writer in pair] == [0, 0]
    for writer in pair:
        writer.communicate()
    assert len(command.json("list", registry)["repositories"]["org/m"]["commits"]) == 2
    pair = [
        command.start(
            *("add", registry, f"org/new={source / name}", "--expect", "none"),
            stdout=-1,
            stderr=-1,
        )
        for name in ("one", "two")
    ]
    assert sorted(writer.wait() for writer in pair) == [0, 1]
    for writer in pair:
        writer.communicate()
    assert command.run("verify", registry) == ""


def kill_at_random(command, registry, source, seed, kills):
    """Kills `add` and `gc` at moments up to when they would end by themselves."""
    draw = random.Random(seed)
    begin = time.monotonic()
    command.run("add", registry, f"org/m={source / 'one'}", "--no-verify")
    usual = time.monotonic() - begin
    for number in range(kills):
        model = draw.choice(("one", "two"))
        adding = draw.random() < 0.7
        arguments = (
            ("add", registry, f"org/m{number}={source / model}")
            if adding
            else ("gc", registry, "--grace", "0", "--keep", "0")
        )
        with command.start(*arguments, stdout=-1, stderr=-1) as process:
            time.sleep(draw.random() * usual * (1.5 if adding else 0.8))
            process.send_signal(signal.SIGKILL)
        assert command.run("verify", registry, "--quick") == ""
        if draw.random() < 0.3:
            command.run("remove", registry, draw.choice(repositories(command, registry)))
            command.run("add", registry, f"org/m={source / 'one'}", "--no-verify")
    command.run("gc", registry, "--grace", "0")
    assert command.run("verify", registry) == ""
    assert children(registry / "staging") == []


def repositories(command, registry):
    return sorted(command.json("list", registry)["repositories"])


def test_killed(command, registry, source):
    kill_at_random(command, registry, source, seed=1, kills=6)


@pytest.mark.rest  # Kills a process a hundred times.
def test_killed_often(command, registry, source, figure):
    kill_at_random(command, registry, source, seed=2, kills=100)
    figure("registry: killed 100 times in add and gc, and every commit could be read")


def test_what_is_left_of_a_killed_add_is_not_what_another_one_makes(qstore, space):
    from qstore.registry.staging import collect_staging, staging

    with staging(space / "staging") as place:
        assert collect_staging(space / "staging") == 0 and place.is_dir()
        left = shutil.copytree(place, space / "staging" / "add-left")
        assert collect_staging(space / "staging") == 1
        assert place.is_dir() and not left.exists()
    assert children(space / "staging") == []


def test_stopped(command, registry, source):
    with command.start("add", registry, f"org/m={source / 'one'}", stderr=-1) as process:
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGTERM)
    assert children(registry / "staging") == [] or process.returncode != 0
    command.run("gc", registry)
    assert children(registry / "staging") == []
    assert json.loads(command.run("list", registry, "--json"))["archives"].keys() is not None
