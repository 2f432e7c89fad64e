# SPDX-License-Identifier: Apache-2.0
"""The package's module of pictures, found in this tree: its compiled part is not needed."""

import importlib.util
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "python" / "qstore" / "_plots"


def _load(name):
    if name not in sys.modules:
        places = [str(FOLDER)]
        found = importlib.util.spec_from_file_location(
            name, FOLDER / "__init__.py", submodule_search_locations=places
        )
        sys.modules[name] = importlib.util.module_from_spec(found)
        found.loader.exec_module(sys.modules[name])
    return name


_NAME = _load("qstore_plots")
archive = importlib.import_module(f"{_NAME}.archive")
analysis = importlib.import_module(f"{_NAME}.analysis")
charts = importlib.import_module(f"{_NAME}.charts")
page = importlib.import_module(f"{_NAME}.page")
style = importlib.import_module(f"{_NAME}.style")
