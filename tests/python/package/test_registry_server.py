# SPDX-License-Identifier: Apache-2.0
"""The server of a registry, and real clients of the Hub that load from it."""

import hashlib
import http.client
import json
import random
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, urlsplit

import browser
import pytest
from command import contents
from registry_tools import Command, ask, load_by_hub, save_model


@pytest.fixture(scope="module")
def served(installed, tmp_path_factory):
    """A registry with a model in two precisions and another model, and its server."""
    folder, command = tmp_path_factory.mktemp("served"), Command(installed / "site")
    save_model(folder / "one", 1, rows=1 << 15)
    save_model(folder / "two", 2)
    command.run("init", folder / "r")
    targets = (f"org/one={folder / 'one'}", f"org/one/small={folder / 'two'}")
    command.run("add", folder / "r", *targets)
    command.run(
        "add", folder / "r", f"org/one@second={folder / 'two'}", f"org/<&>={folder}", code=2
    )
    command.run(
        "add", folder / "r", f"org/one@second={folder / 'two'}", f"other/two={folder / 'two'}"
    )
    files = contents(folder / "one")
    files |= {f"small/{path}": digest for path, digest in contents(folder / "two").items()}
    with command.serving(folder / "r") as process:
        yield SimpleNamespace(
            url=process.url, folder=folder, command=command, files=files, pid=process.pid
        )


def path_of(name, repo="org/one", revision="main"):
    return f"/{repo}/resolve/{revision}/{quote(name)}"


def metric(url, name, headers=None):
    text = ask(url, "/metrics", headers=headers)[2].decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def test_a_snapshot_by_huggingface_hub(served, space):
    code = "print(hub.snapshot_download('org/one', revision=sys.argv[1]))"
    folder = load_by_hub(served.url, space / "home", code, "main")
    assert contents(folder) == served.files
    folder = load_by_hub(served.url, space / "home", code, "second")
    assert contents(folder) == contents(served.folder / "two")
    code = "print(hub.snapshot_download('org/one', local_dir=sys.argv[1]))"
    folder = load_by_hub(served.url, space / "other", code, space / "local")
    assert {k: v for k, v in contents(folder).items() if k in served.files} == served.files


def test_other_calls_of_huggingface_hub(served, space):
    """Those that only read give what they are documented to; of what is not there, its errors."""
    code = """
import json
api = hub.HfApi()
path = hub.hf_hub_download('org/one', 'small/config.json')
assert json.load(open(path))['seed'] == 2
info = api.model_info('org/one', files_metadata=True)
assert info.sha == path.split('/snapshots/')[1][:40], (info.sha, path)
assert {s.rfilename for s in info.siblings} == set(api.list_repo_files('org/one'))
digests = {s.rfilename: s.lfs.sha256 for s in info.siblings}
tree = list(api.list_repo_tree('org/one', recursive=True, expand=True))
assert {f.path: f.lfs.sha256 for f in tree if hasattr(f, 'lfs')} == digests
top = [f.path for f in api.list_repo_tree('org/one')]
assert 'small' in top and 'more' in top and 'small/config.json' not in top
inner = {f.path for f in api.list_repo_tree('org/one', 'small')}
assert 'small/more' in inner and 'small/config.json' in inner
found = api.get_paths_info('org/one', ['config.json', 'small', 'none'])
assert [f.path for f in found] == ['config.json', 'small'], found
assert {b.name for b in api.list_repo_refs('org/one').branches} == {'main', 'second'}
assert api.list_repo_commits('org/one')[0].commit_id == info.sha
assert [m.id for m in api.list_models()] == ['org/one', 'other/two']
assert [m.id for m in api.list_models(author='other')] == ['other/two']
assert [m.id for m in api.list_models(search='ONE', limit=3)] == ['org/one']
assert api.file_exists('org/one', 'config.json') and not api.file_exists('org/one', 'none')
assert api.repo_exists('org/one') and not api.repo_exists('org/none')
assert api.revision_exists('org/one', info.sha) and not api.revision_exists('org/one', 'none')
api.auth_check('org/one')
hub.snapshot_download('org/one')
assert api.verify_repo_checksums('org/one').checked_count == len(digests)
with hub.HfFileSystem().open('org/one/model-0.safetensors', 'rb', block_size=4096) as file:
    file.seek(-100, 2)
    end = file.read()
assert end == open(hub.hf_hub_download('org/one', 'model-0.safetensors'), 'rb').read()[-100:]
for call, error in (
    (lambda: hub.hf_hub_download('org/one', 'none'), hub.errors.EntryNotFoundError),
    (lambda: hub.hf_hub_download('org/none', 'x'), hub.errors.RepositoryNotFoundError),
    (lambda: hub.snapshot_download('org/one', revision='no'), hub.errors.RevisionNotFoundError),
):
    try:
        call()
    except error:
        continue
    raise AssertionError(error)
print(json.dumps(digests))
"""
    assert json.loads(load_by_hub(served.url, space / "home", code)) == served.files


def test_going_on_with_a_load(served, space):
    """What is there of an unfinished load is not sent again."""
    code = """
from huggingface_hub.file_download import http_get
whole = open(sys.argv[1], 'rb').read()
with open(sys.argv[2], 'w+b') as file:
    file.write(whole[: 1 << 20])
    url = hub.hf_hub_url('org/one', 'model-0.safetensors')
    http_get(url, file, resume_size=1 << 20, expected_size=len(whole))
print(sys.argv[2])
"""
    before = metric(served.url, "qstore_sent_bytes_total")
    source = served.folder / "one" / "model-0.safetensors"
    path = load_by_hub(served.url, space / "home", code, source, space / "part")
    sent = metric(served.url, "qstore_sent_bytes_total") - before
    content = Path(path).read_bytes()
    assert hashlib.sha256(content).hexdigest() == served.files["model-0.safetensors"]
    assert sent == len(content) - (1 << 20)


def test_ranges(served):
    content = (served.folder / "one" / "model-0.safetensors").read_bytes()
    size, path = len(content), path_of("model-0.safetensors")
    etag = f'"{served.files["model-0.safetensors"]}"'
    draw = random.Random(1)
    pairs = [sorted(draw.sample(range(size), 2)) for _ in range(20)]
    pairs += [(0, 0), (size - 1, size - 1), (0, size - 1), ((1 << 20) - 1, 1 << 20)]
    for first, last in pairs:
        status, headers, body = ask(served.url, path, headers={"Range": f"bytes={first}-{last}"})
        assert status == 206 and body == content[first : last + 1]
        assert headers["content-range"] == f"bytes {first}-{last}/{size}"
    for text, want in (
        (f"bytes={size - 5}-", content[-5:]),
        ("bytes=-7", content[-7:]),
        (f"bytes=5-{size + 100}", content[5:]),
        (f"bytes=-{size + 9}", content),
    ):
        status, _, body = ask(served.url, path, headers={"Range": text})
        assert status == 206 and body == want
    for text in ("bytes=0-1,5-6", "bytes=9-3", "bytes=a-b", "items=0-1", "bytes=-", ""):
        status, _, body = ask(served.url, path, headers={"Range": text})
        assert status == 200 and body == content
    for text in (f"bytes={size}-", f"bytes={size + 5}-{size + 9}", "bytes=-0"):
        status, headers, _ = ask(served.url, path, headers={"Range": text})
        assert status == 416 and headers["content-range"] == f"bytes */{size}"
    for tag, want in ((etag, 206), ('"other"', 200)):
        options = {"Range": "bytes=0-3", "If-Range": tag}
        assert ask(served.url, path, headers=options)[0] == want
    status, headers, body = ask(served.url, path, headers={"If-None-Match": etag})
    assert status == 304 and headers["etag"] == etag and not body


def test_heads(served):
    for name, digest in served.files.items():
        status, headers, body = ask(served.url, path_of(name), "HEAD")
        assert status == 200 and not body
        assert headers["etag"] == headers["x-linked-etag"] == f'"{digest}"'
        assert headers["content-length"] == headers["x-linked-size"]
        assert headers["accept-ranges"] == "bytes" and len(headers["x-repo-commit"]) == 40
        assert hashlib.sha256(ask(served.url, path_of(name))[2]).hexdigest() == digest
    status, headers, _ = ask(served.url, path_of("none"), "HEAD")
    assert status == 404 and headers["x-error-code"] == "EntryNotFound"
    assert len(headers["x-repo-commit"]) == 40


@pytest.mark.parametrize(
    "path, code",
    [
        (path_of("x", "org/none"), "RepoNotFound"),
        (path_of("x", revision="none"), "RevisionNotFound"),
        ("/org/one/resolve/main/../../../etc/passwd", "EntryNotFound"),
        ("/org/one/resolve/main/%2e%2e/config.json", "EntryNotFound"),
        ("/org/one/resolve/main//config.json", "EntryNotFound"),
        ("/api/models/org/none", "RepoNotFound"),
        ("/api/models/org/one/tree/main/none", "EntryNotFound"),
        ("/api/models/../one", "RepoNotFound"),
        ("/nothing", None),
    ],
)
def test_what_is_not_there(served, path, code):
    status, headers, body = ask(served.url, path)
    assert status == 404 and headers.get("x-error-code") == code and "error" in json.loads(body)


def test_other_methods(served):
    assert ask(served.url, path_of("config.json"), "DELETE")[0] == 405
    body = "paths=" + "x" * (2 << 20)
    assert ask(served.url, "/api/models/org/one/paths-info/main", "POST", body=body)[0] == 413


def test_eight_clients_at_once(served):
    paths = [(path_of(name), digest) for name, digest in served.files.items()] * 8
    random.Random(3).shuffle(paths)
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda item: ask(served.url, item[0]), paths))
    for (_, digest), (status, _, body) in zip(paths, answers, strict=True):
        assert status == 200 and hashlib.sha256(body).hexdigest() == digest
    assert metric(served.url, "qstore_downloads") == 0


def test_a_client_that_leaves_ends_its_work(served):
    """It reads a little of a large file, of which then no more is decoded."""
    before = metric(served.url, "qstore_sent_bytes_total")
    broken = metric(served.url, "qstore_broken_downloads_total")
    parts = urlsplit(served.url)
    with socket.create_connection((parts.hostname, parts.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        request = f"GET {path_of('model-0.safetensors')} HTTP/1.1\r\nHost: x\r\n\r\n"
        client.sendall(request.encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    until = time.monotonic() + 10
    while metric(served.url, "qstore_broken_downloads_total") == broken:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert metric(served.url, "qstore_downloads{") == metric(served.url, "qstore_downloads ") == 0
    size = (served.folder / "one" / "model-0.safetensors").stat().st_size
    assert metric(served.url, "qstore_sent_bytes_total") - before <= size


def test_a_change_is_served_at_once(served, space):
    command, registry = served.command, served.folder / "r"
    made = save_model(space / "new", 7)
    command.run("add", registry, f"org/new={made}")
    assert ask(served.url, path_of("config.json", "org/new"))[0] == 200
    command.run("remove", registry, "org/new")
    assert ask(served.url, path_of("config.json", "org/new"))[0] == 404


def test_the_page(served, space):
    status, headers, body = ask(served.url, "/")
    text = body.decode()
    assert status == 200 and "org/one" in text and "saved" in text and "other/two" in text
    assert "default-src 'none'" in headers["content-security-policy"]
    assert ask(served.url, "/health")[::2] == (200, b"ok\n")
    assert metric(served.url, "qstore_repositories") >= 2
    assert metric(served.url, 'qstore_requests_total{code="200",route="page"}') >= 1
    if browser.BROWSER:
        shot = space / "page.png"
        browser.browse(f"--screenshot={shot}", served.url)
        assert browser.changes_in(shot) > 5000
        assert "org/one" in browser.browse("--dump-dom", served.url)


def test_llama_cpp_asks_for_a_quantization(installed, space):
    command, registry = Command(installed / "site"), space / "r"
    for name in ("m-Q8_0.gguf", "m-Q4_K_M.gguf", "mmproj-F16.gguf"):
        (space / "m").mkdir(exist_ok=True)
        (space / "m" / name).write_bytes(name.encode() * 99)
    command.run("init", registry)
    command.run("add", registry, f"org/m={space / 'm'}")
    with command.serving(registry) as process:
        for tag, name in (("latest", "m-Q4_K_M.gguf"), ("q8_0", "m-Q8_0.gguf")):
            told = json.loads(ask(process.url, f"/v2/org/m/manifests/{tag}")[2])
            assert told["ggufFile"]["rfilename"] == name
            assert told["mmprojFile"]["rfilename"] == "mmproj-F16.gguf"
        assert ask(process.url, "/v2/org/m/manifests/Q4_K")[0] == 404


@pytest.fixture(scope="module")
def guarded(served, tmp_path_factory):
    """A server that wants tokens, with .tokens by scope."""
    path, tokens, lines = tmp_path_factory.mktemp("tokens") / "file", {}, []
    for scope in ("*", "org/", "other/two"):
        done = subprocess.run(
            [*served.command.program, "token", scope],
            env=served.command.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        tokens[scope] = done.stdout.strip()
        lines.append(done.stderr)
    path.write_text("".join(lines))
    with served.command.serving(served.folder / "r", "--tokens", path) as process:
        yield SimpleNamespace(url=process.url, tokens=tokens)


def test_tokens(guarded):
    def status(path, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = ask(guarded.url, path, headers=headers)
        return answer[0], answer[1].get("x-error-code")

    path, tokens = path_of("config.json"), guarded.tokens
    for url in (path, "/", "/metrics", "/api/models", "/api/models/org/one", path_of("x", "no/no")):
        assert status(url) == (401, "RepoNotFound")
        assert status(url, "qst_unknown") == (401, None)
    assert status("/health") == (200, None)
    assert status(path, tokens["*"])[0] == status(path, tokens["org/"])[0] == 200
    # What a token may not read looks as if it were not there.
    assert status(path, tokens["other/two"]) == (404, "RepoNotFound")
    named = {"Authorization": f"Bearer {tokens['other/two']}"}
    told = json.loads(ask(guarded.url, "/api/models", headers=named)[2])
    assert [model["id"] for model in told] == ["other/two"]
    page = ask(guarded.url, "/", headers=named)[2].decode()
    assert "other/two" in page and "org/one" not in page


def test_tokens_by_huggingface_hub(guarded, space):
    code = "print(hub.snapshot_download('other/two'), hub.whoami()['name'])"
    for scope in ("*", "other/two"):
        load_by_hub(guarded.url, space / scope[0], code, token=guarded.tokens[scope])
    for token in (None, guarded.tokens["org/"]):
        error = load_by_hub(guarded.url, space / "no", code, token=token, code_of_exit=1)
        assert "RepositoryNotFoundError" in error
    error = load_by_hub(guarded.url, space / "no", code, token="qst_wrong", code_of_exit=1)
    assert "401" in error


def test_a_damaged_archive_ends_its_answer_alone(installed, space):
    """The client sees that bytes are missing; other files are still served."""
    command, registry = Command(installed / "site"), space / "r"
    command.run("init", registry)
    model = save_model(space / "m", 1, rows=32768)
    added = command.json("add", registry, f"org/m={model}", "--no-verify")
    path = registry / "archives" / f"{added['archive']}.qstore"
    content = bytearray(path.read_bytes())
    at = len(content) * 2 // 5  # In the first file of weights, far behind its beginning.
    content[at : at + 64] = bytes(64)
    path.unlink()
    path.write_bytes(content)
    with command.serving(registry) as process:
        with pytest.raises(http.client.IncompleteRead):
            ask(process.url, path_of("model-0.safetensors", "org/m"))
        assert ask(process.url, path_of("config.json", "org/m"))[0] == 200
        path.unlink()


def test_served_while_archives_go(installed, space):
    """What is being sent is sent to its end, though its archive has been collected."""
    command, registry = Command(installed / "site"), space / "r"
    command.run("init", registry)
    model = save_model(space / "m", 1, rows=16384)
    command.run("add", registry, f"org/m={model}", "--no-verify")
    with command.serving(registry) as process:
        parts = urlsplit(process.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        connection.request("GET", path_of("model-1.safetensors", "org/m"))
        answer = connection.getresponse()
        begin = answer.read(1000)
        command.run("remove", registry, "org/m")
        command.run("gc", registry, "--grace", "0")
        content = begin + answer.read()
        connection.close()
        assert content == (model / "model-1.safetensors").read_bytes()
        assert ask(process.url, path_of("config.json", "org/m"))[0] == 404


def test_many_threads_open_one_archive_once(qstore, served):
    from qstore.registry.content import Archives
    from qstore.registry.registry import Registry

    with Registry.open(served.folder / "r") as registry:
        listing = registry.listing("org/one")
        opened = []

        class Counting:
            def open(self, digest):
                opened.append(digest)
                time.sleep(0.05)
                return registry.store.open(digest)

        archives = Archives(Counting(), 1, 0, 0)
        reads = []
        threads = [
            threading.Thread(target=lambda: reads.append(archives.open(listing.files[0])))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(reads) == 8 and len(opened) == 1
        assert len({read(0, 10) for read in reads}) == 1
