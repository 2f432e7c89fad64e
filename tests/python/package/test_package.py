# SPDX-License-Identifier: Apache-2.0
"""The wheel: what is in it, what it needs, how fast it is imported, and a guard of its speed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import models
import pytest

pytestmark = pytest.mark.alone

ROOT = Path(__file__).resolve().parents[3]
# Compiles the library and the command once more.
builds_the_wheel = pytest.mark.rest
NOT_ON_IMPORT = ("torch", "numpy", "ml_dtypes", "safetensors", "fsspec", "http.client", "ssl")


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """What pip builds of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def empty_environment(wheel, tmp_path_factory):
    """A virtual environment without anything but the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet"]
    subprocess.run([*pip, "--no-index", "--no-deps", wheel], check=True)
    return folder / "bin"


@builds_the_wheel
def test_contents(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("qstore/py.typed", "qstore/_qstore.pyi", "qstore/__init__.py"):
        assert name in names
    assert any(name.endswith(".data/scripts/qstore") for name in names)
    tag = (
        "cp312-abi3" if sys.version_info >= (3, 12) else "cp3{0}-cp3{0}".format(sys.version_info[1])
    )
    assert tag in wheel.name
    # No headers or static libraries, which belong to `cmake --install`.
    assert not [name for name in names if name.endswith((".h", ".a", ".cmake"))]


@builds_the_wheel
def test_needs_no_library_but_the_systems(empty_environment):
    (extension,) = empty_environment.parent.rglob("_qstore*.so")
    for binary in (extension, empty_environment / "qstore"):
        dynamic = subprocess.run(["readelf", "-d", binary], capture_output=True, text=True).stdout
        needed = {
            line.split("[")[1].split(".so")[0] for line in dynamic.splitlines() if "NEEDED" in line
        }
        assert needed <= {"libc", "libm", "libstdc++", "libgcc_s", "libpthread", "ld-linux-x86-64"}
    symbols = subprocess.run(
        ["nm", "-D", "--defined-only", extension], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    assert [line.split()[-1] for line in symbols if line] == ["PyInit__qstore"]


@builds_the_wheel
def test_in_an_empty_environment(empty_environment, space, pair):
    code = """
import sys, qstore
qstore.pack({"int8": sys.argv[1]}, sys.argv[2])
print(qstore.verify(sys.argv[2]).files, qstore.inspect(sys.argv[2]).variants[0].name)
try:
    qstore.safe_open(sys.argv[2])
except ImportError as error:
    print(error.name)
"""
    archive = space / "m.qstore"
    python = [empty_environment / "python", "-c", code, pair.low, archive]
    assert subprocess.check_output(python, text=True).split() == ["1", "int8", "torch"]
    command = [empty_environment / "qstore", "inspect", archive]
    assert "int8" in subprocess.check_output(command, text=True)


def test_import(qstore, run_python, figure):
    code = """
import sys, time
begin = time.perf_counter()
import qstore
print(time.perf_counter() - begin, qstore.__version__, *sys.modules)
"""
    times = []
    for _ in range(5):
        seconds, version, *modules = run_python(code).split()
        times.append(float(seconds))
        assert version == qstore.__version__
        assert not set(NOT_ON_IMPORT) & set(modules)
    figure(f"import qstore: {1000 * sorted(times)[2]:.0f} ms")
    assert min(times) < 0.1


def test_every_name_is_documented(qstore):
    for name in qstore.__all__:
        value = getattr(qstore, name)
        assert name == "__version__" or value.__doc__, name


def test_not_much_slower_than_safetensors(qstore, space, run_python, figure):
    """Of loading into fresh memory, in a process whose heap holds none that was freed before."""
    tensors = {f"{i}.weight": models.llm_weights(4096, 4096, i) for i in range(2)}
    folder = models.save(tensors, space / "high")
    qstore.pack({"bf16": folder}, space / "m.qstore", level="fast", sync=False)
    code = """
import sys, time
import qstore.torch, safetensors.torch

archive, file = sys.argv[1:]

def mine():
    return qstore.torch.load_file(archive)

def one_by_one():
    with qstore.safe_open(archive) as f:
        return {name: f.get_tensor(name) for name in list(f.keys())}

def theirs():
    return {name: tensor.clone() for name, tensor in safetensors.torch.load_file(file).items()}

def seconds(load):
    begin = time.perf_counter()
    load()
    return time.perf_counter() - begin

rounds = [[seconds(load) for load in (mine, one_by_one, theirs)] for _ in range(7)]
print(*(min(times) for times in zip(*rounds)))
"""
    output = run_python(code, space / "m.qstore", folder / "model.safetensors")
    best = [float(value) for value in output.split()]
    figure(
        "load 64 MiB of BF16: "
        + ", ".join(f"{1000 * t:.0f} ms" for t in best)
        + " (load_file, get_tensor, safetensors copied)"
    )
    assert best[0] < 3 * best[2] and best[1] < 3 * best[2]
