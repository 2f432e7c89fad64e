# SPDX-License-Identifier: Apache-2.0
"""Archives whose safetensors header was exchanged, under checksums that are right."""

import sys

import torch
from command import ROOT
from index_mutations import Tables, encoded
from safetensors.torch import save_file

sys.path.insert(0, str(ROOT / "tests" / "golden"))
from golden_damage import RAW, Parts, checksum  # noqa: E402

ROOM = 8 << 10  # Of the header, about.


class Maker:
    """Makes archives at `path`, of one variant of one file, with whatever header."""

    def __init__(self, qstore, folder):
        self.file, self.path = folder / "model.safetensors", folder / "m.qstore"
        metadata = {"room": "x" * ROOM}
        save_file({"a": torch.zeros(4), "b": torch.ones(2)}, self.file, metadata=metadata)
        self.room = int.from_bytes(self.file.read_bytes()[:8], "little")
        qstore.pack({"v": self.file}, self.path, level="fast", sync=False)
        self.archive = self.path.read_bytes()

    def make(self, header, length=None):
        """`length` is what the field before the header says; by default what is right."""
        field = (self.room if length is None else length).to_bytes(8, "little")
        content = field + header.ljust(self.room)
        parts = Parts(self.archive)
        sections = Tables(parts.index).sections
        # The first chunk is that of the header: its codec, stored size and checksum.
        chunks = sections[4]
        count = chunks[0][1]
        codec, size, sum_ = chunks[1], chunks[1 + count], chunks[1 + 2 * count]
        stored = size[1]
        codec[1], size[1], sum_[1] = bytes([RAW]), len(content), checksum(content)
        parts.payloads[:stored] = content
        parts.index = bytearray(encoded(sections))
        self.path.write_bytes(parts.assemble())
        return self.path
