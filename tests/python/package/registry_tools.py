# SPDX-License-Identifier: Apache-2.0
"""Runs `qstore registry`, its server, and clients of the Hub that load from it."""

import http.client
import json
import os
import random
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import models
from safetensors.torch import save_file


class Command:
    """`qstore registry` of the package that is laid out in `site`."""

    def __init__(self, site):
        self.environment = os.environ | {"PYTHONPATH": str(site)}
        self.program = [sys.executable, str(site / "bin" / "qstore-registry")]

    def start(self, *arguments, **options):
        return subprocess.Popen(
            [*self.program, *map(str, arguments)], env=self.environment, text=True, **options
        )

    def run(self, *arguments, code=0):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with self.start(*arguments, **pipes) as process:
            out, error = process.communicate(timeout=600)
        assert process.returncode == code, f"{arguments}\n{out}\n{error}"
        return error if code else out

    def json(self, *arguments):
        return json.loads(self.run(*arguments, "--json"))

    @contextmanager
    def serving(self, registry, *options):
        """The process, with .url, while the context lasts."""
        arguments = ("serve", registry, "--port", 0, *options)
        with self.start(*arguments, stdout=subprocess.PIPE) as process:
            try:
                process.url = process.stdout.readline().strip()
                assert process.url, "the server has not started"
                yield process
            finally:
                process.terminate()


def save_model(folder, seed, rows=256):
    """A directory like that of a model: two files of weights, a configuration, a folder."""
    folder.mkdir(parents=True)
    for i in range(2):
        tensors = {f"{i}.weight": models.llm_weights(rows, 256, 10 * seed + i)}
        save_file(tensors, folder / f"model-{i}.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"model_type": "none", "seed": seed}))
    (folder / "empty.txt").touch()
    (folder / "more").mkdir()
    (folder / "more" / "a note, ä.txt").write_text("note " * random.Random(seed).randrange(9, 99))
    return folder


def ask(url, path, method="GET", headers=None, body=None):
    """(status, headers, content); the names of headers are in lower case."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, content
    finally:
        connection.close()


def load_by_hub(url, home, code, *arguments, token=None, code_of_exit=0):
    """Runs Python code in which `hub` is huggingface_hub with the server as the Hub."""
    environment = os.environ | {
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
        "TRANSFORMERS_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **({"HF_TOKEN": token} if token else {}),
    }
    program = f"import sys\nimport huggingface_hub as hub\n{code}"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == code_of_exit, done.stderr
    return done.stderr if code_of_exit else done.stdout.strip()


def children(folder):
    return sorted(path.name for path in Path(folder).iterdir())
