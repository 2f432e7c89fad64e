#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the includes of a tree against the directions that docs/architecture.md allows.

usage: check_layers.py [ROOT]      prints one line per offence, exits 1 when there are any
"""

import re
import sys
from pathlib import Path

# An include may point only to a smaller number; modules of one level are blind to one another.
LEVELS = {
    "base": 0,
    "io": 1,
    "remote": 1,
    "codec": 1,
    "format": 1,
    "container": 2,
    "scheme": 2,
    "plan": 3,
    "checkpoint": 3,
    "store": 4,
    "capi": 5,
}
# The same for apps, which beside these see include/qstore and some modules of src.
APPS = {"common": 0, "analyze": 1, "make": 1, "mount": 1}
APPS_SEE = ("base", "io")

# Libraries of others, and the only files that may include them (patterns of root-relative paths).
THIRD_PARTY = {
    r"xxhash\.h": r"src/base/(hash|kernels/hash_\w+)\.cc",
    r"curl/.*": r"src/remote/curl_library\.h",
    r"openssl/.*": r"src/base/sha256\.cc",
    r"nlohmann/.*": r"(src/io/json|cli/.*)\.(h|cc)",
    r"zstd(_errors)?\.h": r"(src|tests/unit)/(codec|format)/.*|apps/analyze/zstd_size\.cc"
    r"|cli/bench/raw_codec\.cc",
    r"lz4\.h": r"cli/bench/raw_codec\.cc",
    r"CLI/.*": r"cli/.*",
    r"fuse_lowlevel\.h": r"apps/mount/.*",
    r"(gtest|gmock)/.*": r"tests/.*",
    r"benchmark/.*": r"benchmarks/.*",
    r"nanobind/.*": r"python/.*",
}

# The public header for C, and who may include it; all others have the headers for C++.
C_HEADER = "qstore.h"
C_HEADER_FOR = ("src/capi/", "tests/")

# System headers beside those of the C++ standard library, which have no extension.
SYSTEM = re.compile(
    r"[a-z0-9_]+"
    r"|(sys|linux|asm)/[a-z_]+\.h"
    r"|(arpa|netinet)/[a-z]+\.h"
    r"|(arm_neon|cpuid|cxxabi|dirent|dlfcn|fcntl|fnmatch|immintrin|poll|pthread|sched|signal|stddef"
    r"|stdint|spawn|stdio|stdlib|string|syslog|unistd)\.h"
)
# What sources compiled for one instruction set may include: nothing that emits shared code.
KERNEL_SYSTEM = {"cstddef", "cstdint", "cstring", "immintrin.h", "arm_neon.h"}
KERNEL = re.compile(r"src/((?:codec|scheme/.*)/kernels/)(?!dispatch\.cc).*")

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
SOURCE_DIRS = ("include", "src", "apps", "cli", "python", "tests", "benchmarks")


def includes(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if match := INCLUDE.match(line):
            yield number, match.group(1), match.group(2)


def angled_offence(file, name):
    for library, allowed in THIRD_PARTY.items():
        if re.fullmatch(library, name):
            return None if re.fullmatch(allowed, file) else f"<{name}> belongs to {allowed}"
    if KERNEL.fullmatch(file) and name not in KERNEL_SYSTEM:
        return f"<{name}> in a kernel, which may include only {', '.join(sorted(KERNEL_SYSTEM))}"
    return None if SYSTEM.fullmatch(name) else f"<{name}> is no system header known to this check"


def apps_header(root, name, app="*"):
    """Whether it is a public header of that application."""
    return name.startswith("qstore_apps/") and any(root.glob(f"apps/{app}/include/{name}"))


def apps_offence(root, rest, name):
    module, target = rest.split("/")[0], name.split("/")[0]
    if apps_header(root, name, module):
        return None
    if rest.startswith(f"{module}/include/"):
        return f'"{name}": a public header may include only "qstore/..." and its like'
    if not any((root / place / name).is_file() for place in ("apps", "src")):
        return f'"{name}": includes are relative to apps or src, and there is no such file'
    if module not in APPS:
        return f'"{name}": from a module that docs/architecture.md does not know'
    if target in APPS_SEE or target == module or APPS.get(target, APPS[module]) < APPS[module]:
        return None
    return f'"{name}": apps/{module} may not see {target}'


def quoted_offence(root, file, name):
    top, _, rest = file.partition("/")
    if (kernel := KERNEL.fullmatch(file)) and not name.startswith(kernel.group(1)):
        return f'"{name}": a kernel may include only its own folder'
    if name == C_HEADER:
        known = (root / "include" / name).is_file() and file.startswith(C_HEADER_FOR)
        return None if known else f'"{name}": is for src/capi and programs in C'
    if name.startswith("qstore/"):
        known = name == "qstore/export.h" or (root / "include" / name).is_file()
        return None if known else f'"{name}" is not in include/qstore'
    if top == "include":
        return f'"{name}": a public header may include only "qstore/..."'
    if top == "apps":
        return apps_offence(root, rest, name)
    if top in ("cli", "python"):
        if apps_header(root, name):
            return None
        places = (root / file).parent / name, root / name
        own = any(p.is_file() and root / top in p.parents and ".." not in p.parts for p in places)
        allowed = '"qstore/...", "qstore_apps/..." and its own folder'
        return None if own else f'"{name}": {top} may include only {allowed}'
    if top in ("tests", "benchmarks"):
        places = (root / "src", root / "apps", root / "tests", (root / file).parent)
        known = apps_header(root, name) or any((place / name).is_file() for place in places)
        return None if known else f'"{name}" is neither in src nor in apps nor in tests'
    module, target = rest.split("/")[0], name.split("/")[0]
    if not (root / "src" / name).is_file():
        return f'"{name}": includes are relative to src, and there is no such file'
    if target == module:
        return None
    if module not in LEVELS or target not in LEVELS:
        return f'"{name}": a module that docs/architecture.md does not know'
    if LEVELS[target] >= LEVELS[module]:
        levels = f"{module} (level {LEVELS[module]}) may not see {target} ({LEVELS[target]}"
        return f'"{name}": {levels})'
    return None


def offences(root):
    root = Path(root)
    for top, known in (("src", LEVELS), ("apps", APPS)):
        for module in sorted(p.name for p in (root / top).iterdir() if p.is_dir()):
            if module not in known:
                yield f"{top}/{module}: a module that docs/architecture.md does not know"
    paths = (p for d in SOURCE_DIRS for p in (root / d).rglob("*") if p.suffix in (".h", ".cc"))
    for path in sorted(paths):
        file = path.relative_to(root).as_posix()
        for number, quoted, angled in includes(path):
            offence = quoted_offence(root, file, quoted) if quoted else angled_offence(file, angled)
            if offence:
                yield f"{file}:{number}: {offence}"


def main(argv):
    root = argv[1] if len(argv) > 1 else Path(__file__).resolve().parent.parent
    found = list(offences(root))
    print("\n".join(found) if found else "layers: every include points downwards")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
