# SPDX-License-Identifier: Apache-2.0
"""The program `qstore-quantize-gptq`, which `qstore quantize --to gptq-…` becomes."""

import sys


def main() -> int:
    try:
        from qstore.gptq.__main__ import main as quantize
    except ImportError as error:
        sys.exit(f"qstore: {error}; GPTQ needs: pip install 'qstore[quantize]'")
    return quantize(sys.argv[1:])
