# SPDX-License-Identifier: Apache-2.0
"""Archives in repositories of the Hugging Face Hub, by a server of this machine."""

import os
import pickle
import shutil
import subprocess
from pathlib import Path

import huggingface_hub
import pytest
import torch
import transformers
from hub_server import HubServer, Repository, use_hub
from samples import same

NAME = "owner/name"
URL = f"hf://{NAME}/m.qstore"


@pytest.fixture
def hub(content, tmp_path, monkeypatch):
    """A server with the pair's archive in one repository. Caches are empty."""
    with HubServer() as server:
        server.repositories[NAME] = Repository()
        server.repositories[NAME].commit({"m.qstore": content, "README.md": b"A card."})
        use_hub(server.url, tmp_path / "home", monkeypatch)
        yield server


@pytest.fixture(scope="module")
def llama(qstore, tmp_path_factory):
    """A folder with a tiny model and its archive."""
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(3)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "vocab_size": 256}
    config = transformers.LlamaConfig(num_hidden_layers=2, num_attention_heads=4, **sizes)
    model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder / "bf16")
    model.to(torch.float16).save_pretrained(folder / "fp16")
    variants = {name: folder / name for name in ("bf16", "fp16")}
    qstore.pack(variants, folder / "m.qstore", sync=False)
    return folder


def test_only_what_is_asked_for_travels(qstore, hub, content, expected):
    commit = hub.repositories[NAME].names["main"]
    with qstore.safe_open(URL, "int8") as f:
        tensors = f.get_tensors()
        assert same(tensors, expected["int8"])
        assert hub.sent == f.bytes_read < 0.8 * len(content)
        name = repr(f)
    assert f"hf://{NAME}@{commit}/m.qstore" in name
    assert not hub.leaked
    sent, hub.sent = hub.sent, 0
    part = qstore.safe_open(URL, "bf16").get_slice("0.weight")[5:9]
    assert torch.equal(part, expected["bf16"]["0.weight"][5:9]) and hub.sent < sent / 2
    # What the repository holds is found when no file is named.
    assert qstore.Archive(f"hf://{NAME}").path == f"hf://{NAME}@{commit}/m.qstore"
    assert same(qstore.torch.load_file(f"hf://models/{NAME}", "bf16"), expected["bf16"])
    assert not hub.leaked


def test_a_commit_is_pinned(qstore, hub, content, expected, space):
    repository = hub.repositories[NAME]
    first = repository.commit({"m.qstore": content}, "v1")
    qstore.torch.save_file({"other": torch.ones(3)}, space / "m.qstore")
    with qstore.safe_open(URL, "int8") as f:
        again = pickle.dumps(f)
        second = repository.commit({"m.qstore": (space / "m.qstore").read_bytes()})
        assert same(f.get_tensors(), expected["int8"])
    assert same(pickle.loads(again).get_tensors(), expected["int8"])
    assert list(qstore.torch.load_file(URL)) == ["other"]
    for url, options in (
        (f"hf://{NAME}@v1/m.qstore", {}),
        (f"hf://{NAME}@{first}/m.qstore", {"revision": first}),
        (URL, {"revision": "v1"}),
    ):
        assert first in qstore.Archive(url, storage_options=options).path
    assert qstore.Archive(f"hf://{NAME}@main").path == f"hf://{NAME}@{second}/m.qstore"
    with pytest.raises(qstore.InvalidArgumentError, match="revision asked for is 'v2'"):
        qstore.Archive(f"hf://{NAME}@v1/m.qstore", storage_options={"revision": "v2"})
    repository.commit({"m.qstore": content}, "refs/pr/1")
    assert qstore.Archive(f"hf://{NAME}@refs/pr/1/m.qstore").variant_names


def test_models(qstore, hub, llama, monkeypatch, tmp_path):
    hub.repositories["org/tiny"] = Repository("secret")
    hub.repositories["org/tiny"].commit({"m.qstore": (llama / "m.qstore").read_bytes()}, "v2")
    theirs = transformers.LlamaForCausalLM.from_pretrained(llama / "fp16", dtype="auto")
    options = {"revision": "v2", "token": "secret"}
    mine = qstore.transformers.from_pretrained("org/tiny", "fp16", dtype="auto", **options)
    assert same(mine.state_dict(), theirs.state_dict())
    commit = hub.repositories["org/tiny"].names["v2"]
    assert mine.name_or_path == f"hf://org/tiny@{commit}/m.qstore"
    config = qstore.transformers.load_config("org/tiny", "bf16", **options)
    assert config.hidden_size == 64
    # A folder of this machine comes first, as in transformers; and so does an archive's path.
    monkeypatch.chdir(tmp_path)
    Path("org").mkdir()
    shutil.copy(llama / "m.qstore", "org/tiny")
    asked = len(hub.asked)
    assert qstore.transformers.load_config("org/tiny", "bf16").hidden_size == 64
    with pytest.raises(qstore.PathNotFoundError, match="org/none.qstore"):
        qstore.transformers.load_config("org/none.qstore", "bf16")
    assert len(hub.asked) == asked


def test_which_archive(qstore, hub, content):
    repository = hub.repositories["org/many"] = Repository()
    repository.commit({"README.md": b""})
    with pytest.raises(qstore.PathNotFoundError, match="org/many: holds no archive"):
        qstore.transformers.from_pretrained("org/many")
    repository.commit({"a.qstore": content, "sub/b.qstore": content})
    with pytest.raises(qstore.InvalidArgumentError, match="hf://org/many/sub/b.qstore"):
        qstore.Archive("hf://org/many")
    assert qstore.Archive("hf://org/many/sub/b.qstore").variant_names


def test_tokens(qstore, hub, content, monkeypatch):
    hub.repositories["org/private"] = Repository("secret")
    hub.repositories["org/private"].commit({"m.qstore": content})
    url = "hf://org/private/m.qstore"
    with pytest.raises(qstore.PathNotFoundError, match="none that this token may see"):
        qstore.Archive(url)
    assert qstore.Archive(url, storage_options={"token": "secret"}).variant_names
    with monkeypatch.context() as patch:
        patch.setenv("HF_TOKEN", "secret")
        assert qstore.Archive(url).variant_names
        with pytest.raises(qstore.PathNotFoundError):
            qstore.Archive(url, storage_options={"token": "wrong"})
    Path(huggingface_hub.constants.HF_TOKEN_PATH).write_text("secret")
    assert qstore.torch.load_file(url, "int8")
    hub.repositories["org/private"].gated = True
    with pytest.raises(qstore.PathNotFoundError, match="is gated: accept its terms"):
        qstore.Archive(url)
    assert not hub.leaked


def test_cache_and_offline_mode(qstore, hub, expected, monkeypatch):
    constants = huggingface_hub.constants
    with pytest.raises(qstore.PathNotFoundError, match="once run hf download owner/name m.qstore"):
        qstore.Archive(URL, storage_options={"local_files_only": True})
    huggingface_hub.hf_hub_download(NAME, "m.qstore", endpoint=hub.url)
    hub.sent = 0
    with qstore.safe_open(URL, "int8") as f:
        assert same(f.get_tensors(), expected["int8"])
        again = pickle.dumps(f)
    assert hub.sent == 0
    asked = len(hub.asked)
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        for url in (URL, f"hf://{NAME}", f"hf://{NAME}@main"):
            assert same(qstore.torch.load_file(url, "bf16"), expected["bf16"])
        assert same(pickle.loads(again).get_tensors(), expected["int8"])
        with pytest.raises(qstore.PathNotFoundError, match="offline mode"):
            qstore.Archive(f"hf://{NAME}@v2/m.qstore")
    assert len(hub.asked) == asked
    # A server that does not answer is like none.
    hub.stop()
    assert qstore.Archive(URL).variant_names
    with pytest.raises(qstore.IoError, match="org/other/m.qstore: the Hub does not answer"):
        qstore.Archive("hf://org/other/m.qstore")


def test_wrong_names(qstore, hub):
    for url, kind, said in (
        ("hf://name", qstore.InvalidArgumentError, "want hf://owner/name"),
        ("hf://", qstore.InvalidArgumentError, "want hf://owner/name"),
        (f"hf://{NAME}/n.qstore", qstore.PathNotFoundError, "no such file"),
        (f"hf://{NAME}@v9/m.qstore", qstore.PathNotFoundError, "no such revision"),
        ("hf://org/none/m.qstore", qstore.PathNotFoundError, "no such repository"),
        (f"hf://{NAME}/README.md", qstore.CorruptError, "README.md"),
    ):
        with pytest.raises(kind, match=said):
            qstore.Archive(url)
    with pytest.raises(qstore.InvalidArgumentError, match="block_size"):
        qstore.Archive(URL, storage_options={"block_size": 3})
    hub.tells_commit = False
    with pytest.raises(qstore.IoError, match="does not tell its commit"):
        qstore.Archive(URL)


def test_push(qstore, hub, llama, space, monkeypatch, capsys):
    from qstore.prepare import main

    monkeypatch.setenv("HF_TOKEN", "secret")
    arguments = [
        str(llama / "bf16"),
        "--variants",
        "bf16,fp8-channel",
        "-o",
        str(space / "p.qstore"),
    ]
    assert main([*arguments, "--push", "org/made", "--private"]) == 0
    repository = hub.repositories["org/made"]
    commit = repository.names["main"]
    assert repository.commits[commit]["p.qstore"] == (space / "p.qstore").read_bytes()
    assert f"{hub.url}/org/made/commit/{commit}" in capsys.readouterr().out
    model = qstore.transformers.from_pretrained("org/made", "bf16")
    theirs = transformers.LlamaForCausalLM.from_pretrained(llama / "bf16")
    assert same(model.state_dict(), theirs.state_dict())
    monkeypatch.setenv("HF_TOKEN", "wrong")
    assert main([*arguments, "--force", "--push", "org/made"]) == 1
    assert "none that this token may see" in capsys.readouterr().err
    assert (space / "p.qstore").exists()
    assert main([*arguments, "--force", "--push", "made"]) == 2


def test_by_the_command(qstore, hub, pair, installed, programs, space):
    command = installed / "site" / "bin" / "qstore"
    environment = programs | {name: os.environ[name] for name in os.environ if name[:3] == "HF_"}

    def run(*arguments):
        done = subprocess.run(
            [command, *map(str, arguments)], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "int8" in run("inspect", URL)
    assert hub.sent < 1 << 20
    run("unpack", URL, "int8", "-o", space / "int8")
    theirs = pair.low if pair.low.is_file() else next(pair.low.glob("*.safetensors"))
    (mine,) = (space / "int8").rglob("*.safetensors")
    assert mine.read_bytes() == theirs.read_bytes()
    size = qstore.Archive(pair.archive).stored_bytes
    assert hub.sent < size and not hub.leaked


def test_nothing_of_it_is_imported_before(pair, run_python):
    code = """
import sys, qstore
qstore.Archive(sys.argv[1]).variants()
print("huggingface_hub" in sys.modules)
sys.modules["huggingface_hub"] = None
try:
    qstore.Archive("hf://owner/name/m.qstore")
except ImportError as error:
    print(error)
"""
    said = run_python(code, pair.archive).splitlines()
    assert said[0] == "False" and "qstore[hub]" in said[1]
