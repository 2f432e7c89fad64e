# SPDX-License-Identifier: Apache-2.0
"""What somebody else wrote, read by Python: the errors are those of the package, and say where."""

import importlib
import json
import random
import types

import hostile_headers
import pytest
import transformers

GOOD = {"a": {"dtype": "F32", "shape": [4], "data_offsets": [8, 24]},
        "b": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}  # fmt: skip


def entry(**changed):
    return {"a": GOOD["a"] | changed}


TEXTS = {
    "deep": b"[" * 5000,
    "deep object": b'{"a":' * 1600,
    "not UTF-8": b'{"\xff\xfe": 1}',
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "nothing": b"",
    "cut": b'{"a": {"dtype"',
    "more behind": b"{} {}",
    "a list": b"[]",
    "a number": b"5",
    "many digits": b'{"a": ' + b"9" * 5000 + b"}",
}
OBJECTS = {
    "no offsets": {"a": {"dtype": "F32", "shape": [4]}},
    "no object": {"a": 5},
    "null": {"a": None},
    "a list for a tensor": {"a": []},
    "offsets of text": entry(data_offsets="0,8"),
    "offsets mixed": entry(data_offsets=[0, "8"]),
    "one offset": entry(data_offsets=[0]),
    "three offsets": entry(data_offsets=[0, 8, 16]),
    "offsets true": entry(data_offsets=[False, True]),
    "offsets of fractions": entry(data_offsets=[0.0, 8.0]),
    "offsets reversed": entry(data_offsets=[8, 0]),
    "offsets below zero": entry(data_offsets=[-8, 0]),
    "offsets null": entry(data_offsets=None),
    "metadata of numbers": GOOD | {"__metadata__": {"format": 5}},
    "metadata a list": GOOD | {"__metadata__": ["format"]},
    "metadata a text": GOOD | {"__metadata__": "pt"},
}


@pytest.fixture(scope="module")
def maker(qstore, tmp_path_factory):
    return hostile_headers.Maker(qstore, tmp_path_factory.mktemp("hostile"))


def test_a_header_that_is_right(qstore, maker):
    metadata = {"__metadata__": {"format": "pt"}}
    with qstore.safe_open(maker.make(json.dumps(GOOD | metadata).encode()), framework="np") as f:
        assert f.metadata() == {"format": "pt"} and f.offset_keys() == ["b", "a"]
    with qstore.safe_open(maker.make(b'{"__metadata__": null}'), framework="np") as f:
        assert f.metadata() is None and f.offset_keys() == []


@pytest.mark.parametrize("name", [*TEXTS, *OBJECTS])
def test_hostile_headers(qstore, maker, name):
    header = TEXTS[name] if name in TEXTS else json.dumps(OBJECTS[name]).encode()
    with qstore.safe_open(maker.make(header), framework="np") as f:
        for use in (f.metadata, f.offset_keys):
            with pytest.raises(qstore.CorruptError, match="m.qstore: file 'model.safetensors' of"):
                use()


@pytest.mark.parametrize("length", [10**8 + 1, 2**62, 2**63, 2**64 - 1])
def test_lengths_beyond_the_limit(qstore, maker, length):
    with qstore.safe_open(maker.make(b"{}", length), framework="np") as f:
        for use in (f.metadata, f.offset_keys):
            with pytest.raises(qstore.LimitError, match=f"{length} bytes of header"):
                use()


def test_lengths_beyond_the_file(qstore, maker):
    size = maker.file.stat().st_size
    for length in (size - 7, size, 10**8):
        with qstore.safe_open(maker.make(b"{}", length), framework="np") as f:
            for use in (f.metadata, f.offset_keys):
                with pytest.raises(qstore.CorruptError, match="model.safetensors.*the file ends"):
                    use()


def test_headers_of_noise(qstore, maker):
    """Of any damage: an answer, or an error of the package."""
    chance = random.Random(1)
    good = json.dumps(GOOD | {"__metadata__": {"format": "pt"}}).encode()
    tokens = [b"[", b"]", b"{", b"}", b'"', b",", b":", b"null", b"-1", b"1e999", b"\\ud800", b"\0"]
    for _ in range(300):
        header = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(header))
            header[at : at + chance.randrange(4)] = chance.choice(tokens)
        with qstore.safe_open(maker.make(bytes(header)), framework="np") as f:
            for use in (f.metadata, f.offset_keys):
                try:
                    use()
                except qstore.QStoreError as error:
                    assert "model.safetensors" in str(error)


@pytest.mark.parametrize("config", [b"[" * 100000, b"\xff", b"5", b"", b'{"architectures": '])
def test_hostile_configs(qstore, space, pair, config):
    (space / "config.json").write_bytes(config)
    (space / "model.safetensors").write_bytes((pair.high / "a.safetensors").read_bytes())
    qstore.pack({"v": space}, space / "m.qstore", level="fast", sync=False)
    with pytest.raises(qstore.CorruptError, match="m.qstore: config.json"):
        qstore.transformers.from_pretrained(space / "m.qstore", "v")
    make_variants = importlib.import_module("qstore._make_variants")
    with pytest.raises(qstore.CorruptError, match="config.json"):
        make_variants.float_types(space)


@pytest.mark.parametrize("named", [5, "LlamaModel", [5], [None], {"a": 1}, None])
def test_architectures_that_are_none(qstore, named):
    found = qstore.transformers.find_class(types.MappingProxyType({"architectures": named}))
    assert found is transformers.AutoModel
