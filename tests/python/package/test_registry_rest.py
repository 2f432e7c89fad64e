# SPDX-License-Identifier: Apache-2.0
"""A registry at size: many clients, throughput, a full disk, models loaded by transformers."""

import hashlib
import socket
import statistics
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from urllib.parse import urlsplit

import psutil
import pytest
import tiny_llama
import uvicorn
from command import contents, raw_size
from registry_tools import Command, ask, children, load_by_hub, save_model

MIB = 1 << 20

# Each makes models of hundreds of megabytes, or loads models by transformers.
pytestmark = pytest.mark.rest


@pytest.fixture(scope="module")
def large(installed, tmp_path_factory):
    """A registry with a model of two files of 192 MiB."""
    folder, command = tmp_path_factory.mktemp("large"), Command(installed / "site")
    save_model(folder / "m", 1, rows=3 * (1 << 17))
    command.run("init", folder / "r")
    command.run("add", folder / "r", f"org/m={folder / 'm'}", "--no-verify")
    return SimpleNamespace(
        command=command, registry=folder / "r", model=folder / "m", files=contents(folder / "m")
    )


def test_models_by_transformers(installed, space):
    """Every tensor of every precision, loaded by from_pretrained with the server as the Hub, equals
    that of the directory; also after a server was killed and another one has taken its place."""
    command, registry = Command(installed / "site"), space / "r"
    tiny_llama.save_pair(space / "m")
    command.run("init", registry)
    names = ("bf16", "int8")
    command.run("add", registry, *(f"org/m-{name}={space / 'm' / name}" for name in names))
    code = """
import torch, transformers
for name in ('bf16', 'int8'):
    options = {'device_map': 'cpu'}
    served = transformers.AutoModelForCausalLM.from_pretrained('org/m-' + name, **options)
    there = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1] + '/' + name, **options)
    mine, theirs = served.state_dict(), there.state_dict()
    assert mine.keys() == theirs.keys() and mine
    for key in mine:
        assert torch.equal(mine[key], theirs[key]) and mine[key].dtype == theirs[key].dtype
    tokens = torch.arange(9)[None]
    with torch.no_grad():
        assert torch.equal(served(tokens).logits, there(tokens).logits)
"""
    with command.serving(registry) as process:
        load_by_hub(process.url, space / "home", code, space / "m")
        process.kill()
    assert command.run("verify", registry) == ""
    with command.serving(registry) as process:
        load_by_hub(process.url, space / "other", code, space / "m")


def digest_from(url, path):
    """Reads a file as slowly as hashing is, and keeps none of it."""
    parts = urlsplit(url)
    digest, seen = hashlib.sha256(), 0
    with socket.create_connection((parts.hostname, parts.port), timeout=300) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1)
        assert head.startswith(b"HTTP/1.1 200"), head
        while block := client.recv(MIB):
            digest.update(block)
            seen += len(block)
    return digest.hexdigest()


def test_memory_of_32_clients(large, figure):
    """Beyond what one client takes, each takes 64 MiB at most."""
    names = [name for name in large.files if name.endswith(".safetensors")]
    with large.command.serving(large.registry) as process:
        peak, ended = [0], threading.Event()

        def watch():
            server = psutil.Process(process.pid)
            while not ended.wait(0.02):
                peak[0] = max(peak[0], server.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        idle = psutil.Process(process.pid).memory_info().rss
        path = f"/org/m/resolve/main/{names[0]}"
        assert digest_from(process.url, path) == large.files[names[0]]
        one = peak[0]
        with ThreadPoolExecutor(32) as clients:
            paths = [names[i % len(names)] for i in range(32)]
            ask_for = (f"/org/m/resolve/main/{name}" for name in paths)
            digests = list(clients.map(lambda path: digest_from(process.url, path), ask_for))
        ended.set()
        watcher.join()
    assert digests == [large.files[name] for name in paths]
    each = (peak[0] - idle) / 32 / MIB
    figure(
        f"registry: server of {idle / MIB:.0f} MiB idle, {one / MIB:.0f} with a client, "
        f"{peak[0] / MIB:.0f} with 32: {each:.1f} MiB a client"
    )
    assert each <= 64


class Unpacked:
    """The same server's content, read from plain files."""

    def __init__(self, folder):
        self.folder = folder

    def open(self, file):
        path = self.folder / file.source

        def read(offset, size):
            with path.open("rb", buffering=0) as handle:
                handle.seek(offset)
                return handle.read(size)

        return read


@contextmanager
def running(app):
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.alone
def test_throughput(qstore, large, figure):
    """Beside the same server sending the unpacked files, which are in the page cache."""
    from qstore.registry.app import Server
    from qstore.registry.content import Archives
    from qstore.registry.registry import Registry

    name = next(name for name in large.files if name.endswith(".safetensors"))
    path, size = f"/org/m/resolve/main/{name}", (large.model / name).stat().st_size
    rates = {"decoded": [], "unpacked": []}
    with Registry.open(large.registry) as registry:
        contents_of = {
            "decoded": Archives(registry.store, 8, 1 << 30, 0),
            "unpacked": Unpacked(large.model),
        }
        for _ in range(7):
            for kind, content in contents_of.items():
                with running(Server(registry.catalog, content).app()) as url:
                    ask(url, path, "HEAD")
                    load = ["curl", "-s", "-o", "/dev/null", url + path]
                    begin = time.perf_counter()
                    subprocess.run(load, check=True)
                    rates[kind].append(size / (time.perf_counter() - begin) / 1e6)
    decoded, unpacked = (statistics.median(rates[kind]) for kind in ("decoded", "unpacked"))
    figure(
        f"registry: {decoded:.0f} MB/s decoded, {unpacked:.0f} MB/s unpacked: "
        f"{decoded / unpacked:.2f}"
    )
    assert decoded >= 0.8 * unpacked


def test_a_full_disk(installed, space):
    """An add that does not fit leaves the registry as it was, and one that fits still works."""
    command, disk = Command(installed / "site"), space / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk], check=True)
    try:
        registry = disk / "r"
        command.run("init", registry)
        small = save_model(space / "small", 1)
        command.run("add", registry, f"org/small={small}")
        before = command.json("list", registry)
        for rows in (1 << 14, 1 << 15):
            large = save_model(space / f"large{rows}", 2, rows=rows)
            assert raw_size(large) > 8 * MIB
            error = command.run("add", registry, f"org/large={large}", code=1)
            assert "No space left" in error or "full" in error
            assert command.json("list", registry) == before
            assert children(registry / "staging") == []
            assert command.run("verify", registry) == ""
        command.run("add", registry, f"org/small2={small}")
        command.run("remove", registry, "org/small")
        command.run("gc", registry, "--grace", "0")
        assert command.run("verify", registry) == ""
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_server_that_is_killed(large, space):
    """Clients that go on with another server get the same bytes."""
    code = "print(hub.hf_hub_download('org/m', 'model-0.safetensors'))"
    with large.command.serving(large.registry) as process:
        threading.Timer(0.3, process.kill).start()
        load_by_hub(process.url, space / "home", "try:\n    " + code + "\nexcept Exception: pass")
    with large.command.serving(large.registry) as process:
        path = load_by_hub(process.url, space / "home", code)
    with open(path, "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == large.files["model-0.safetensors"]
