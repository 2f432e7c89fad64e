# SPDX-License-Identifier: Apache-2.0
"""The program `qstore-registry`, which `qstore registry …` becomes."""

import sys

from qstore.registry.command import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
