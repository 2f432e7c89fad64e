# SPDX-License-Identifier: Apache-2.0
"""The command and the second decoder accept and refuse the same indexes, and see the same in
those that they accept."""

import itertools
import re
import sys
from collections import Counter

import index_mutations
import pytest
import xxhash
from command import EXIT_CODES, ROOT, ok_json, run

sys.path.insert(0, str(ROOT / "tests" / "reference"))
import decoder  # noqa: E402
import planes  # noqa: E402


class Undigested(decoder.Archive):
    """Content comes back whatever its digest."""

    def file_content(self, file):
        return b"".join(self.object_content(part) for part in file.parts)


def with_digests(archive, index):
    """The index with the digests of what its files decode to."""
    at = 0
    for file in archive.index.files:
        digest = xxhash.xxh3_128_digest(archive.file_content(file))
        at = index.index(file.digest, at)
        index = index[:at] + digest + index[at + 16 :]
        at += 16
    return index


def by_decoder(index, payloads, stored):
    """The archive as a whole, digests made right where it decodes; and the decoder or None."""
    data = index_mutations.archive_of(index, payloads, stored)
    try:
        archive = Undigested(data)
        if stored is None:
            data = index_mutations.archive_of(with_digests(archive, index), payloads)
        decoded = decoder.Archive(data)
        for variant in decoded.index.variants:
            decoded.variant(variant.name)
        return data, decoded
    except planes.Corrupt:
        return data, None


def shown(name):
    """As JSON has names: what is no UTF-8 is replaced."""
    return re.sub("[\ud800-\udfff\ufffd]+", "\ufffd", name)


def tensors_by_decoder(archive):
    return {
        variant.name: [
            [shown(tensor.name), shown(file.path), tensor.dtype, tensor.shape]
            for file in variant.files
            for tensor in file.tensors
        ]
        for variant in archive.index.variants
    }


def tensors_by_command(path):
    return {
        variant["name"]: [
            [shown(tensor["name"]), shown(tensor["file"]), tensor["dtype"], tensor["shape"]]
            for tensor in variant["tensor_list"]
        ]
        for variant in ok_json("inspect", path, "--tensors")["variants"]
    }


# A fifth of them in any run, the others when all tests run.
@pytest.mark.parametrize(
    "part", [0, *(pytest.param(k, marks=pytest.mark.rest) for k in range(1, 5))]
)
def test_both_readers_judge_alike(space, figure, part):
    seen = Counter()
    differences = []
    path = space / "m.qstore"
    mutations = itertools.islice(index_mutations.mutations(3, 900), part, None, 5)
    for what, index, payloads, stored in mutations:
        data, decoded = by_decoder(index, payloads, stored)
        path.write_bytes(data)
        done = run("verify", path, errors="backslashreplace")
        assert done.returncode in (0, 1, EXIT_CODES["corrupt"]), (what, done.stderr)
        seen["refused" if decoded is None else "accepted"] += 1
        if (done.returncode == 0) != (decoded is not None):
            differences.append((what, "decoder", decoded is not None, "verify", done.stderr))
        elif decoded is not None and tensors_by_command(path) != tensors_by_decoder(decoded):
            differences.append((what, tensors_by_decoder(decoded), tensors_by_command(path)))
    figure(f"mutated indexes: {seen['accepted']} accepted, {seen['refused']} refused")
    assert differences == []
    assert min(seen["accepted"], seen["refused"]) > 10
