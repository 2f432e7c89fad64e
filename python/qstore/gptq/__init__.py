# SPDX-License-Identifier: Apache-2.0
"""GPTQ checkpoints of 16-bit models: `qstore quantize --to gptq-4bit`, and `quantize` in Python.

    from qstore.gptq import Calibration, Scheme, quantize
    quantize("model", "out", [Scheme(8), Scheme(4)], Calibration("text.txt", samples=32))

Needs torch, transformers, accelerate and safetensors: pip install 'qstore[quantize]'.
"""

from qstore.gptq.options import Calibration, Scheme
from qstore.gptq.run import Events, Report, quantize

__all__ = ["Calibration", "Events", "Report", "Scheme", "quantize"]
