# SPDX-License-Identifier: Apache-2.0
"""What loading takes beside the buffers that the caller gives."""

import models
import pytest
import torch
from command import ok_json, pack
from peak_memory import peak_and_seconds

pytestmark = pytest.mark.alone

MIB = 1 << 20
# The aim is 64 MiB; the process itself is part of it.
MOST_BESIDE_BUFFERS = 64 * MIB


def related(rows, columns, dtype):
    """Weights of few directions, which level max models row by row."""
    torch.manual_seed(rows)
    directions = torch.randn(rows, 32) @ torch.randn(32, columns)
    return ((directions + torch.randn(rows, columns)) * 0.01).to(dtype)


PAIRS = {
    "square": lambda: {f"{i}.weight": models.llm_weights(4096, 4096, i) for i in range(2)},
    "one huge": lambda: {"a.weight": models.llm_weights(32768, 1024, 1)},
    "many small": lambda: {f"{i}.weight": models.llm_weights(64, 64, i) for i in range(3000)},
    "related": lambda: {
        "a.weight": related(8192, 512, torch.bfloat16),
        "b.embedding": related(4096, 512, torch.float32),
    },
}


@pytest.mark.parametrize("level", ("fast", "balanced", "max"))
@pytest.mark.parametrize("name", PAIRS)
def test_load_into_buffers(space, figure, name, level):
    high, low = models.save_pair(PAIRS[name](), space)
    archive = space / "m.qstore"
    pack(archive, "--level", level, high=high, low=low)
    load = ("bench", "load", archive, "high", "low", "--buffers", "--runs", "1", "--threads", "2")
    load += ("--no-backing",)  # Else the memory touched before is the peak.
    buffers = ok_json(*load)["bytes"]
    peak, _ = peak_and_seconds(*load)
    assert peak > buffers
    figure(
        f"{name}, level {level}: {buffers / MIB:.0f} MiB loaded, "
        f"{(peak - buffers) / MIB:.1f} MiB beside the buffers (at most 64)"
    )
    assert peak - buffers <= MOST_BESIDE_BUFFERS
