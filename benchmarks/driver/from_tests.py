# SPDX-License-Identifier: Apache-2.0
"""What the tests make once and keep in .cache of the tree: models, and environments of tools."""

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2] / "tests" / "python"
sys.path.insert(0, str(TESTS))
from made import environment, made_once, real_pairs, trained_llama  # noqa: E402

__all__ = ["TESTS", "environment", "made_once", "real_pairs", "trained_llama"]
