# SPDX-License-Identifier: Apache-2.0
"""The documentation is a site without a broken link, and every block of code in it runs.

A section (from a heading of the second level to the next) is run from top to bottom in a folder of
its own. There it finds model/, model-int8/ and m.qstore, except those that it makes itself, and a
folder of GGUF models, tiny-1b/; m.qstore is also in a repository of a Hub, owner/name. Blocks of
Python share their names. What cannot be done here is exchanged: see EXCHANGED and SHIMS.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import folder_models
import fsspec
import mixture_models
import pytest
from gguf import GGMLQuantizationType
from hub_server import HubServer, Repository, use_hub
from range_server import RangeServer

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
LANGUAGES = {"sh", "python", "c", "cpp", "cmake", "json"}

# Sizes that take long, and places that are nowhere.
EXCHANGED = {
    "--shape 4096x4096 --count 6": "--shape 256x256 --count 2",
    "https://models.example/m.qstore": "{url}",
    "s3://bucket/m.qstore": "memory://bucket/m.qstore",
}

# The real ones build the tree, or what these tests have installed already. Here it is checked that
# they know what is asked of them.
SHIMS = {
    "dev": """
case " $("$ROOT/dev" help | grep -oE '^  [a-z-]+') " in *" $1"*) ;; *) exit 1 ;; esac
for word in "$@"; do case $word in
  --*)
    grep -qrF -- "\\"$word\\"" "$ROOT/benchmarks" || grep -qF "== $word " "$ROOT/dev" || exit 1
    ;;
esac; done
""",
    "vllm": "[[ $1 == serve && ( -e $2/config.json || $2 == *.qstore && -f $2 ) ]]",
    "pip": '[[ "$*" == "install ." && -f "$ROOT/pyproject.toml" ]]',
}


def sections():
    for page in PAGES:
        for part in re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.M):
            blocks = BLOCK.findall(part)
            # Of diffusers, which test_engines.py runs where it is.
            if blocks and "qstore.diffusers" not in blocks[0][1]:
                title = part.splitlines()[0].lstrip("# ")
                marks = [pytest.mark.fuse] if "qstore mount" in part else []
                yield pytest.param(blocks, id=f"{page.relative_to(ROOT)}: {title}", marks=marks)


@pytest.fixture(scope="module")
def models(installed, tmp_path_factory):
    """A small model in two precisions, and both in an archive."""
    folder = tmp_path_factory.mktemp("models")
    qstore = installed / "site" / "bin" / "qstore"
    size = ["--layers", "1", "--hidden", "64", "--vocab", "256"]
    for arguments in (
        ["synth", *size, "-o", "model"],
        ["quantize", "--to", "llm-int8", "model", "-o", "model-int8"],
        ["pack", "-o", "m.qstore", "bf16=model", "int8=model-int8"],
    ):
        subprocess.run([qstore, *arguments], cwd=folder, check=True, capture_output=True)
    write_ladder(folder / "tiny-1b")
    mixture_models.make_model(folder / "model-bf16.gguf", layers=1)
    quantize = ["quantize", "model-bf16.gguf", "--to", "q8_0,q5_k_m,q4_k_m", "-o", "ladder"]
    subprocess.run([qstore, *quantize], cwd=folder, check=True, capture_output=True)
    return folder


def write_ladder(folder):
    tensors = folder_models.weights(blocks=1, width=64)
    for kind, options in (("BF16", {}), ("Q8_0", {}), ("Q4_0", {"split_max_tensors": 3})):
        path = folder / f"Tiny-1B-{kind}.gguf"
        folder_models.write(path, tensors, GGMLQuantizationType[kind], **options)
    (folder / "README.md").write_text("A card.")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Where the C++ library is installed, from its release build."""
    prefix = tmp_path_factory.mktemp("library")
    command = ["cmake", "--install", ROOT / "build", "--prefix", prefix]
    subprocess.run(command, check=True, capture_output=True)
    return prefix


@pytest.fixture
def place(models, installed, tmp_path, monkeypatch):
    """The folder to be in, and a URL of the archive."""
    for path in models.iterdir():
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    shims = tmp_path / ".shims"
    shims.mkdir()
    for name, script in SHIMS.items():
        folder = tmp_path if name == "dev" else shims
        (folder / name).write_text(f"#!/usr/bin/env bash\nROOT={shlex.quote(str(ROOT))}\n{script}")
        (folder / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "PATH", os.pathsep.join([str(shims), str(installed / "site" / "bin"), os.environ["PATH"]])
    )
    monkeypatch.setenv("PYTHONPATH", str(installed / "site"))
    monkeypatch.setenv("QSTORE_CACHE", str(tmp_path / ".cache"))
    content = (models / "m.qstore").read_bytes()
    fsspec.filesystem("memory").pipe("/bucket/m.qstore", content)
    with RangeServer(content) as server, HubServer() as hub:
        hub.repositories["owner/name"] = Repository()
        hub.repositories["owner/name"].commit({"m.qstore": content})
        use_hub(hub.url, tmp_path / ".hub", monkeypatch)
        yield tmp_path, server.url


def remove_what_is_made(text, folder):
    for name in ("model", "model-int8", "m.qstore", "ladder"):
        if re.search(rf'-o {re.escape(name)}(?![-.\w])|pack\(.*, "{re.escape(name)}"', text):
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def program(block):
    """A program of a block: classes and includes as they are, the rest inside a function."""
    head = re.match(r"(?:#include[^\n]*\n|\n|class .*?^};\n)*", block, re.M | re.S).group(0)
    return f"""#include <cstdio>
#include <cstddef>
#include <vector>
{head}
static qstore::Status Run() {{
{block[len(head) :]}}}
int main() {{
  const qstore::Status status = Run();
  std::puts(status.ToString().c_str());
  return status.ok() ? 0 : 1;
}}
"""


def build_and_run(sources, cmake, folder, library):
    """Programs, each an ending and a text, by a project that uses the library as a page says."""
    lines = ["cmake_minimum_required(VERSION 3.22)", "project(app C CXX)"]
    for i, (ending, text) in enumerate(sources):
        (folder / f"app{i}.{ending}").write_text(text)
        lines += [f"add_executable(app{i} app{i}.{ending})", cmake.replace("(app ", f"(app{i} ")]
    (folder / "CMakeLists.txt").write_text("\n".join(lines))
    configure = ["cmake", "-B", "made", f"-DCMAKE_PREFIX_PATH={library}"]
    for command in (configure, ["cmake", "--build", "made"]):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    for i in range(len(sources)):
        done = subprocess.run([folder / "made" / f"app{i}"], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def run_shell(block):
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", block], capture_output=True, text=True)
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("blocks", list(sections()))
def test_blocks_run(qstore, request, place, blocks):
    folder, url = place
    remove_what_is_made("\n".join(text for _, text in blocks), folder)
    names = {"__name__": "documentation"}
    for language, text in blocks:
        assert language in LANGUAGES
        for old, new in EXCHANGED.items():
            text = text.replace(old, new.format(url=url))
        if language == "sh":
            run_shell(text)
        elif language == "python":
            exec(compile(text, f"a block of {request.node.name}", "exec"), names)
        elif language == "json":
            json.loads(text)


def program_pages():
    for page in PAGES:
        blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
        sources = [("cc", program(text)) for kind, text in blocks if kind == "cpp"]
        sources += [("c", text) for kind, text in blocks if kind == "c"]
        cmake = [text for kind, text in blocks if kind == "cmake"]
        if sources:
            yield pytest.param(sources, cmake, id=str(page.relative_to(ROOT)))


@pytest.mark.parametrize(("sources", "cmake"), list(program_pages()))
def test_programs_run(place, library, sources, cmake):
    assert len(cmake) == 1
    build_and_run(sources, cmake[0], place[0], library)


def test_exchanges_are_needed():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert all(old in text for old in EXCHANGED)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    # The theme's own news are no warnings of this site.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert not re.search("WARNING|ERROR", done.stderr), done.stderr
    return folder


def test_site_has_every_public_name(qstore, site):
    page = (site / "reference" / "python" / "index.html").read_text(encoding="utf-8")
    for name in set(qstore.__all__) - {"__version__"}:
        assert f'id="qstore.{name}"' in page, name


def test_links_out_of_the_readme():
    for target in re.findall(r"\]\(([^)#:]+)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target
