#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lays a build's Python package and commands out in a folder as pip would install them.

The modules are links into this tree, the extension and the command links into the build, which must
have been configured with QSTORE_BUILD_PYTHON. PYTHONPATH=FOLDER then finds the package.

usage: python_site.py BUILD FOLDER
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "pyproject.toml"


def link(target, place):
    place.unlink(missing_ok=True)
    place.symlink_to(target)


def lay_out(build, folder):
    build, folder = Path(build).resolve(), Path(folder)
    extensions = sorted((build / "python").glob("_qstore*.so"))
    if len(extensions) != 1:
        raise FileNotFoundError(f"{build}/python has no extension: ./dev build python makes it")
    package, commands = folder / "qstore", folder / "bin"
    package.mkdir(parents=True, exist_ok=True)
    commands.mkdir(exist_ok=True)
    for path in sorted((ROOT / "python" / "qstore").iterdir()):
        if path.name != "__pycache__":
            link(path, package / path.name)
    link(extensions[0], package / extensions[0].name)
    link(build / "bin" / "qstore", commands / "qstore")
    project = PROJECT.read_text()
    for name, module in re.findall(r'^(qstore-[\w-]+) = "([\w.]+):main"$', project, re.MULTILINE):
        program = commands / name
        program.write_text(
            f"#!{sys.executable}\nimport sys\nfrom {module} import main\nsys.exit(main())\n"
        )
        program.chmod(0o755)
    write_metadata(folder)
    return folder


def write_metadata(folder):
    """By which importlib.metadata knows the package, its version and what it plugs into."""
    project = re.search(r"project\(qstore VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())
    place = folder / f"qstore-{project[1]}.dist-info"
    place.mkdir(exist_ok=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: qstore\nVersion: {project[1]}\n")
    plugins = re.search(r'entry-points\."([\w.]+)"\]\n(\w+) = "([\w.:]+)"', PROJECT.read_text())
    (place / "entry_points.txt").write_text("[{}]\n{} = {}\n".format(*plugins.groups()))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    lay_out(*sys.argv[1:])
