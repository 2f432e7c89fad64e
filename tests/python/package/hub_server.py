# SPDX-License-Identifier: Apache-2.0
"""A server on this machine that speaks as much of the Hugging Face Hub's API as huggingface_hub
asks of it: repositories of models with commits, files behind redirects to another place, tokens,
uploads by LFS."""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LARGE = (".qstore", ".safetensors")


class Repository:
    """Files by commit. `token` is what a private one wants; a gated one wants to be asked for."""

    def __init__(self, token=None, gated=False):
        self.token, self.gated = token, gated
        self.commits, self.names = {}, {}

    def commit(self, files, branch="main"):
        """Adds files, {path: bytes}, to what the branch has. Returns the commit."""
        content = {**self.commits.get(self.names.get(branch), {}), **files}
        digest = hashlib.sha1(f"{len(self.commits)}".encode())
        for path in sorted(content):
            digest.update(path.encode() + content[path])
        self.names[branch] = digest.hexdigest()
        self.commits[digest.hexdigest()] = content
        return digest.hexdigest()

    def find(self, revision):
        revision = self.names.get(revision, revision)
        return (revision, self.commits[revision]) if revision in self.commits else (None, None)


class HubServer:
    """`repositories` by "owner/name". `asked` are methods and paths of requests, `sent` how many
    bytes of large files went out, `leaked` headers that the place of large files must not see."""

    def __init__(self):
        self.repositories, self.uploads = {}, {}
        self.asked, self.sent, self.leaked = [], 0, []
        self.tells_commit = True
        self.lock = threading.Lock()
        handler = type("Handler", (Handler,), {"hub": self})
        # Large files are at another place, as the Hub's are.
        self.servers = [ThreadingHTTPServer((f"127.0.0.{i}", 0), handler) for i in (1, 2)]
        self.url, self.large_url = (
            f"http://127.0.0.{i}:{server.server_port}" for i, server in enumerate(self.servers, 1)
        )

    def __enter__(self):
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        while self.servers:
            server = self.servers.pop()
            server.shutdown()
            server.server_close()

    def large(self, digest):
        for repository in self.repositories.values():
            for files in repository.commits.values():
                for content in files.values():
                    if hashlib.sha256(content).hexdigest() == digest:
                        return content
        return None


def use_hub(url, home, monkeypatch):
    """Has huggingface_hub of this process, and of those that it starts, ask that server."""
    import huggingface_hub.constants

    home.mkdir(exist_ok=True)
    settings = {
        "ENDPOINT": url,
        "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_OFFLINE": False,
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_ETAG_TIMEOUT": 5,
    }
    for name, value in settings.items():
        monkeypatch.setattr(huggingface_hub.constants, name, value)
    variables = {"HF_ENDPOINT": url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(home)}
    for name, value in (variables | {"HF_HUB_DISABLE_XET": "1"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=None, size=None):
        if isinstance(body, dict | list):
            body = json.dumps(body).encode()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if size is None else size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code, message=""):
        self.answer(status, b"", {"X-Error-Code": code, "X-Error-Message": message or code})

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def repository(self, name):
        """The repository, or None after an answer that says why not."""
        found = self.hub.repositories.get(name)
        given = self.headers.get("Authorization")
        if found is None or found.token and given != f"Bearer {found.token}":
            self.refuse(401 if given is None else 404, "RepoNotFound", "Repository not found")
            return None
        return found

    def handle_request(self):
        path, hub = self.path.split("?")[0], self.hub
        if not hub.servers:  # Connections outlast them.
            self.close_connection = True
            return None
        with hub.lock:
            hub.asked.append((self.command, path))
        for pattern, act in ROUTES:
            if match := re.fullmatch(pattern, path):
                return act(self, *match.groups())
        return self.refuse(404, "EntryNotFound")

    do_GET = do_HEAD = do_POST = do_PUT = handle_request

    def info(self, name, revision):
        repository = self.repository(name)
        if repository is None:
            return
        commit, files = repository.find(revision or "main")
        if commit is None:
            self.refuse(404, "RevisionNotFound")
            return
        siblings = [{"rfilename": path} for path in files]
        told = {"id": name, "sha": commit, "private": bool(repository.token), "siblings": siblings}
        self.answer(200, {"_id": "1", "modelId": name, "tags": [], "gated": False, **told})

    def tree(self, name, revision, under):
        repository = self.repository(name)
        if repository is None:
            return
        files = repository.find(revision)[1] or {}
        entries = []
        for path, content in files.items():
            digest = hashlib.sha256(content).hexdigest()
            entry = {"type": "file", "path": path, "size": len(content), "oid": digest[:40]}
            if path.endswith(LARGE):
                entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
            entries.append(entry)
        self.answer(200, entries)

    def paths(self, name, revision):
        self.body()
        self.tree(name, revision, "")

    def resolve(self, name, revision, path):
        repository = self.repository(name)
        if repository is None:
            return
        commit, files = repository.find(revision.replace("%2F", "/"))
        if repository.gated:
            self.refuse(403, "GatedRepo", "Access is restricted: you must be authenticated")
        elif commit is None:
            self.refuse(404, "RevisionNotFound")
        elif path not in files:
            self.refuse(404, "EntryNotFound")
        else:
            self.file(commit, path, files[path])

    def file(self, commit, path, content):
        digest = hashlib.sha256(content).hexdigest()
        headers = {"X-Repo-Commit": commit} if self.hub.tells_commit else {}
        if not path.endswith(LARGE):
            self.ranges(content, headers | {"ETag": f'"{digest[:40]}"'})
            return
        headers |= {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{digest}"'}
        headers |= {"Location": f"{self.hub.large_url}/large/{digest}?signature=secret"}
        self.answer(302, b"", headers)

    def stored(self, digest):
        hub = self.hub
        with hub.lock:
            hub.leaked += [key for key in ("Authorization", "Cookie") if key in self.headers]
        self.ranges(hub.large(digest), {"ETag": f'"{digest}"'}, is_large=True)

    def ranges(self, content, headers, is_large=False):
        headers = {"Accept-Ranges": "bytes", **headers}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        status, part = 200, content
        if wanted:
            first = int(wanted[1])
            last = min(int(wanted[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            status, part = 206, content[first : last + 1]
        if is_large and self.command == "GET":
            with self.hub.lock:
                self.hub.sent += len(part)
        self.answer(status, part, headers)

    def create(self):
        told = json.loads(self.body())
        name = "/".join(filter(None, (told.get("organization"), told["name"])))
        is_new = name not in self.hub.repositories
        private = told.get("private") or told.get("visibility") == "private"
        if is_new:
            self.hub.repositories[name] = Repository("secret" if private else None)
            self.hub.repositories[name].commit({".gitattributes": b""})
        self.answer(200 if is_new else 409, {"url": f"{self.hub.url}/{name}"})

    def preupload(self, name, revision):
        files = json.loads(self.body())["files"]
        modes = {True: "lfs", False: "regular"}
        answers = [
            {
                "path": f["path"],
                "uploadMode": modes[f["path"].endswith(LARGE)],
                "shouldIgnore": False,
            }
            for f in files
        ]
        if self.repository(name) is not None:
            self.answer(200, {"files": answers})

    def batch(self, name):
        objects = json.loads(self.body())["objects"]
        if self.repository(name) is None:
            return
        for entry in objects:
            entry["actions"] = {"upload": {"href": f"{self.hub.url}/upload/{entry['oid']}"}}
        self.answer(200, {"transfer": "basic", "objects": objects})

    def upload(self, digest):
        content = self.body()
        right = hashlib.sha256(content).hexdigest() == digest
        self.hub.uploads[digest] = content
        self.answer(200 if right else 400)

    def commit(self, name, revision):
        lines = [json.loads(line) for line in self.body().splitlines()]
        repository = self.repository(name)
        if repository is None:
            return
        files = {
            line["value"]["path"]: self.hub.uploads[line["value"]["oid"]]
            for line in lines
            if line["key"] == "lfsFile"
        }
        commit = repository.commit(files, revision)
        url = f"{self.hub.url}/{name}/commit/{commit}"
        self.answer(200, {"success": True, "commitOid": commit, "commitUrl": url})


NAME = r"([\w.-]+/[\w.-]+)"
ROUTES = (
    (rf"/api/models/{NAME}", lambda handler, name: handler.info(name, None)),
    (rf"/api/models/{NAME}/revision/([^/]+)", Handler.info),
    (rf"/api/models/{NAME}/tree/([^/]+)(/.*)?", Handler.tree),
    (rf"/api/models/{NAME}/paths-info/([^/]+)", Handler.paths),
    (rf"/api/models/{NAME}/preupload/([^/]+)", Handler.preupload),
    (rf"/api/models/{NAME}/commit/([^/]+)", Handler.commit),
    (r"/api/repos/create", Handler.create),
    (rf"/{NAME}/resolve/([^/]+)/(.+)", Handler.resolve),
    (rf"/{NAME}\.git/info/lfs/objects/batch", Handler.batch),
    (r"/large/(\w+)", Handler.stored),
    (r"/upload/(\w+)", Handler.upload),
)
