# SPDX-License-Identifier: Apache-2.0
"""What takes long to make is made once, and kept in .cache of the tree."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def made_once(kind, recipe, *command, libraries=(), python=sys.executable):
    """The folder that `command FOLDER` makes by `python`.

    It is kept under a name that changes with the files of the `recipe`, with this Python, and
    with the versions of `libraries`.
    """
    parts = [path.read_bytes() for path in recipe]
    parts += [f"{name} {metadata.version(name)}".encode() for name in libraries]
    if libraries:
        parts.append(sys.version.encode())
    key = hashlib.sha256(b"".join(parts)).hexdigest()[:16]
    cache = ROOT / ".cache" / kind
    folder = cache / key
    cache.mkdir(parents=True, exist_ok=True)
    # Tests run in several processes, of which one makes it.
    with (cache / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return made_in(folder, [python, *command])


def made_in(folder, command):
    if not folder.is_dir():
        scratch = folder.with_name(f"{folder.name}.{os.getpid()}")
        shutil.rmtree(scratch, ignore_errors=True)
        subprocess.run([*command, scratch], check=True)
        scratch.rename(folder)
    return folder


def environment(name, requirements, *options):
    """The Python that has tools with requirements of their own: what the file lists, installed by
    pip with these options."""
    folder = ROOT / ".cache" / name
    done = folder / "done"
    if not done.exists() or done.read_bytes() != requirements.read_bytes():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, *options, "-r", requirements], check=True)
        done.write_bytes(requirements.read_bytes())
    return folder / "bin" / "python"


def trained_llama(*options):
    """The folder of the Llama that is trained here: bf16/, fp16/, train.txt and held-out.txt."""
    maker = HERE / "trained_llm.py"
    kind = "untrained" if options else "trained"
    libraries = ("torch", "transformers", "tokenizers")
    return made_once(kind, [maker], maker, *options, "-o", libraries=libraries)


def real_pairs():
    """The folder of the real models: minilm/, fcpe/ and silero/, each with bf16, fp16 and their
    twins.
    """
    maker = HERE / "make_pairs.py"
    recipe = [maker, HERE / "requirements.txt", HERE / "requirements-weights.txt"]
    return made_once("pairs", recipe, maker)
