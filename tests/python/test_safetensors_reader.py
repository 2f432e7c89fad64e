# SPDX-License-Identifier: Apache-2.0
"""The safetensors reader accepts what the reference reader accepts, sees the same in it, and
refuses the rest, which comes back as it was."""

import sys
from collections import Counter

import safetensors
import safetensors_cases
from command import ROOT, ok, pack

sys.path.insert(0, str(ROOT / "tests" / "reference"))
import decoder  # noqa: E402


def by_reference(data):
    """Name to dtype, shape and content; None when it refuses the file."""
    try:
        tensors = safetensors.deserialize(data)
    except safetensors.SafetensorError:
        return None
    return {name: (info["dtype"], info["shape"], bytes(info["data"])) for name, info in tensors}


def by_qstore(archive, file):
    """The same as it is in an archive."""
    if file.container != "safetensors":
        return None
    return {
        tensor.name: (tensor.dtype, tensor.shape, archive.tensor_content(file, tensor))
        for tensor in file.tensors
    }


def packed(space, cases):
    """What the archive has of each file; all were seen to come back, by either decoder."""
    folder = space / "files"
    folder.mkdir()
    for i, (_, data) in enumerate(cases):
        (folder / f"{i:05}.safetensors").write_bytes(data)
    pack(space / "m.qstore", "--level", "fast", m=folder)
    ok("verify", space / "m.qstore", f"m={folder}")
    archive = decoder.Archive((space / "m.qstore").read_bytes())
    assert list(archive.variant("m").values()) == [data for _, data in cases]
    (variant,) = archive.index.variants
    return [by_qstore(archive, file) for file in variant.files]


def test_reads_what_the_reference_reader_reads(space, figure):
    cases = list(safetensors_cases.all_cases())
    seen = Counter()
    differences = []
    for (what, data), found in zip(cases, packed(space, cases), strict=True):
        expected = by_reference(data)
        seen["accepted" if expected is not None else "refused"] += 1
        if found != expected:
            differences.append((what, data[:300], "expected", expected, "found", found))
    figure(f"safetensors headers: {seen['accepted']} accepted, {seen['refused']} refused")
    assert differences == []
    assert min(seen["accepted"], seen["refused"]) > 1000


def test_keeps_as_bytes_what_is_beyond_the_limits_of_the_format(space):
    """docs/format.md, "Limits": the reference reader has none for ranks and names."""
    name, entry, framed = b"x" * 65535, safetensors_cases.entry, safetensors_cases.framed
    within = [
        framed(b'{"%b":%b}' % (name, entry()), 2),
        framed(b'{"a":%b}' % entry(shape=b"[" + b"1," * 254 + b"2]"), 2),
    ]
    beyond = [
        framed(b'{"%bx":%b}' % (name, entry()), 2),
        framed(b'{"a":%b}' % entry(shape=b"[" + b"1," * 255 + b"2]"), 2),
    ]
    assert all(by_reference(data) is not None for data in within + beyond)
    found = packed(space, [("", data) for data in within + beyond])
    assert found == [by_reference(data) for data in within] + [None, None]
