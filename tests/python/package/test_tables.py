# SPDX-License-Identifier: Apache-2.0
"""An index that calls tensors otherwise than the file's header does is found by all who load."""

import index_mutations
import pytest
import samples
import torch
from golden_damage import Parts
from safetensors.torch import save_file


@pytest.fixture(scope="module")
def exchanged(qstore, tmp_path_factory):
    """Two layers, an archive of them in which their parts are exchanged under checksums that fit,
    and one that was packed."""
    folder = tmp_path_factory.mktemp("exchanged")
    layers = {f"{i}.weight": samples.random_tensor(torch.bfloat16, (8, 16), i) for i in range(2)}
    save_file({**layers, "norm": torch.ones(3)}, folder / "model.safetensors")
    qstore.pack({"v": folder / "model.safetensors"}, folder / "good.qstore", sync=False)
    parts = Parts((folder / "good.qstore").read_bytes())
    tables = index_mutations.Tables(parts.index)
    (_, count), first, second, third = tables.sections[2][:4]
    assert (count, first[1], second[1], third[1]) == (3, 4, 0, 5)
    # Distances to the place expected: the second, the first, and the third where it was.
    first[1], second[1], third[1] = 6, 3, 3
    parts.index = bytearray(index_mutations.encoded(tables.sections))
    (folder / "bad.qstore").write_bytes(parts.assemble())
    return folder


def test_nothing_of_it_is_loaded(qstore, exchanged, tmp_path):
    bad = exchanged / "bad.qstore"
    rule = r"bad\.qstore: file 'model\.safetensors': tensor '0\.weight' has another place"
    for load in (qstore.torch.load_file, qstore.numpy.load_file):
        with pytest.raises(qstore.CorruptError, match=rule):
            load(bad)
    with qstore.safe_open(bad) as f:
        assert f.keys() == ["0.weight", "1.weight", "norm"]
        for name in f.keys():  # noqa: SIM118
            with pytest.raises(qstore.CorruptError, match=rule):
                f.get_tensor(name)
        with pytest.raises(qstore.CorruptError, match=rule):
            f.get_slice("1.weight")[2:4]
        with pytest.raises(qstore.CorruptError, match=rule):
            f.get_tensors()
        assert f.metadata() is None
    with pytest.raises(qstore.CorruptError, match=rule):
        qstore.verify(bad)
    with pytest.raises(qstore.CorruptError, match=rule):
        qstore.verify(bad, {"v": exchanged / "model.safetensors"})
    with pytest.raises(qstore.CorruptError, match=rule):
        qstore.unpack(bad, "v", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert qstore.verify(exchanged / "good.qstore")
