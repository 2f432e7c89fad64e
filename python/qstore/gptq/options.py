# SPDX-License-Identifier: Apache-2.0
"""What a quantization is asked for, and how checkpoints name it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from qstore._qstore import __version__
from qstore.errors import InvalidArgumentError

BITS = (2, 3, 4, 8)


@dataclass(frozen=True)
class Scheme:
    """One precision: integers of `bits` bits with a scale and a zero for each group.

    `group_size` counts neighbouring input channels; -1 makes one group of all. `act_order` takes
    the channels by falling activity, `static_groups` fixes all scales before the first channel is
    rounded. `damp` is added to the Hessian's diagonal, as a part of its mean.
    """

    bits: int
    group_size: int = 128
    symmetric: bool = True
    act_order: bool = False
    static_groups: bool = False
    damp: float = 0.01

    def __post_init__(self) -> None:
        if self.bits not in BITS:
            raise InvalidArgumentError(f"bits must be one of 2, 3, 4 and 8, not {self.bits}")
        if self.group_size != -1 and self.group_size < 1:
            raise InvalidArgumentError(f"group size {self.group_size} is neither -1 nor positive")
        if not 0 < self.damp < 1:
            raise InvalidArgumentError(f"damp {self.damp} is not between 0 and 1")

    @property
    def largest(self) -> int:
        """The largest integer."""
        return (1 << self.bits) - 1

    def groups(self, columns: int) -> int:
        """How many groups `columns` input channels make; the last may be short."""
        return 1 if self.group_size == -1 else -(-columns // self.group_size)

    def config(self) -> dict[str, Any]:
        """`quantization_config` of config.json, and the whole of quantize_config.json.

        Source: AutoGPTQ and GPTQModel, which write and read these names; `checkpoint_format`
        "gptq" is version 1, whose zeros are stored one too small.
        """
        return {
            "quant_method": "gptq",
            "checkpoint_format": "gptq",
            "bits": self.bits,
            "group_size": self.group_size,
            "sym": self.symmetric,
            "desc_act": self.act_order,
            "static_groups": self.static_groups,
            "true_sequential": True,
            "damp_percent": self.damp,
            "lm_head": False,
            "pack_dtype": "int32",
            "meta": {"quantizer": [f"qstore:{__version__}"]},
        }

    def fingerprint(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Calibration:
    """Where the activations come from: `samples` windows of `length` tokens of `source`.

    `source` is a text file, "c4", OWNER/NAME:FILE on the hub, or "synthetic" for correlated random
    inputs without a model. `length` 0 is 2048, or less where the model takes less.
    """

    source: str = "c4"
    samples: int = 128
    length: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise InvalidArgumentError(f"samples must be positive, not {self.samples}")
        if self.length < 0 or self.length == 1:
            raise InvalidArgumentError(f"a window of {self.length} tokens is too short")
        if not 0 <= self.seed < 2**63:
            raise InvalidArgumentError(f"seed {self.seed} is not between 0 and 2^63 - 1")

    def fingerprint(self) -> dict[str, Any]:
        return asdict(self)
