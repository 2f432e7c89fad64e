# SPDX-License-Identifier: Apache-2.0
"""`qstore quantize --to gptq-...` on a small model: quality, interruptions, exit codes."""

import json
import signal
import subprocess
import time
from types import SimpleNamespace

import gptq_models
import pytest
import torch
import trained_llm
from command import BINARY, assert_comes_back, contents, ok, pack, raw_size, unpack
from transformers import AutoModelForCausalLM

BITS = {"8bit": 8, "4bit": 4}
LENGTH = ["--samples", "24", "--seqlen", "128"]


@pytest.fixture(scope="session")
def environment(programs):
    return programs | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def command_of(model):
    """Without the output and the target."""
    return [BINARY, "quantize", model / "bf16", "--calibration", model / "train.txt", *LENGTH]


def quantized(model, environment, folder):
    """.folder with 16bit, 8bit and 4bit of the model; .printed, .notes."""
    command = [*command_of(model), "-o", folder, "--to", "gptq-8bit,gptq-4bit"]
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(folder=folder, printed=done.stdout, notes=done.stderr)


@pytest.fixture(scope="session")
def arguments(untrained):
    return command_of(untrained)


@pytest.fixture(scope="session")
def levels(untrained, environment, tmp_path_factory):
    return quantized(untrained, environment, tmp_path_factory.mktemp("levels") / "out")


def start(arguments, environment, output, *options):
    command = [*arguments, "-o", output, *options]
    return subprocess.Popen(
        list(map(str, command)),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop_behind(process, rows, how):
    """Lets it print so many rows, sends the signal; returns its exit code and notes."""
    for _ in range(rows):
        assert process.stdout.readline(), process.stderr.read()
    process.send_signal(how)
    _, notes = process.communicate(timeout=120)
    return process.returncode, notes


@pytest.mark.rest  # Solves a large layer.
def test_four_bits_beside_sixteen_that_are_direct(environment, space, figure):
    side = 2048
    ok("synth", "-o", space / "bf16", "--shape", f"{side}x{side}", "--count", "1")
    options = ("--to", "gptq-4bit", "--calibration", "synthetic")
    ok("quantize", space / "bf16", "-o", space / "q4", *options, env=environment)
    variants = {"bf16": space / "bf16", "q4": space / "q4"}
    alone = pack(space / "alone.qstore", bf16=space / "bf16")
    both = pack(space / "both.qstore", "--direct", "bf16", **variants)
    bits = 8 * (both - alone) / side**2
    figure(f"GPTQ in 4 bits beside BF16, a synthetic layer: {bits:.3f} bits a weight")
    assert bits <= 0.95
    assert_comes_back(space / "both.qstore", space, **variants)


@pytest.mark.rest  # Trains a model.
def test_levels_are_as_good_as_their_bits_allow(trained, environment, space, figure):
    levels = quantized(trained, environment, space / "levels")
    windows = trained_llm.windows_of(trained, count=32)
    source = levels.folder / "16bit"
    assert contents(source) == contents(trained / "bf16")
    model = AutoModelForCausalLM.from_pretrained(source, dtype="float32")
    best = trained_llm.loss_of(model, windows)
    for name, bits in BITS.items():
        model = gptq_models.load_model(levels.folder / name, source, bits)
        loss = trained_llm.loss_of(model, windows)
        figure(f"trained Llama, GPTQ {name}: {loss:.4f} bits a token held out, 16bit {best:.4f}")
        assert abs(loss - best) < {8: 0.0005, 4: 0.005}[bits] * best


def test_what_is_printed_is_a_row_for_each_matrix(levels):
    lines = levels.printed.splitlines()
    assert len(lines) == 1 + 2 * 4 * 7
    rows = [line.split() for line in lines[1:]]
    assert [row[0] for row in rows] == ["8"] * 28 + ["4"] * 28
    assert rows[0][1:3] == ["256x256", "2"] and rows[0][-1] == "model.layers.0.self_attn.q_proj"
    assert all(0 < float(row[3]) < 0.1 for row in rows)
    for name in ("16bit: copied", "8bit: 28 matrices", "4bit: 28 matrices"):
        assert name in levels.notes


@pytest.mark.rest  # Quantizes a model three times.
def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(arguments, environment, levels, space):
    output = space / "out"
    options = ["--to", "gptq-4bit"]
    code, _ = stop_behind(start(arguments, environment, output, *options), 12, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert sorted(path.name for path in space.iterdir()) == ["out.quantizing"]

    code, notes = stop_behind(start(arguments, environment, output, *options), 18, signal.SIGINT)
    assert (
        code == -signal.SIGINT and "the same command goes on" in notes and "Traceback" not in notes
    )
    assert sorted(path.name for path in space.iterdir()) == ["out.quantizing"]

    other = start(arguments, environment, output, *options, "--damp", "0.02")
    _, notes = other.communicate(timeout=120)
    assert other.returncode == 1 and "other schemes" in notes

    last = start(arguments, environment, output, *options, "--json")
    printed, notes = last.communicate(timeout=300)
    assert last.returncode == 0, notes
    rows = json.loads(printed)["matrices"]
    resumed = [row for row in rows if row.get("resumed")]
    assert len(rows) == 28 and len(resumed) in (7, 14, 21)
    assert sorted(path.name for path in space.iterdir()) == ["out"]
    assert contents(output) == contents(levels.folder / "4bit")


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--to", "gptq-5bit"], 2, "'5'"),
        (["--to", "gptq"], 2, "--bits"),
        (["--to", "gptq-4bit", "--bits", "3"], 2, "--bits"),
        (["--to", "gptq-4bit,bf16"], 2, "bf16"),
        (["--to", "gptq-4bit", "--dry-run"], 2, "--dry-run"),
        (["--to", "bf16", "--samples", "3"], 2, "--samples"),
        (["--to", "gptq-4bit", "--sym", "--asym"], 2, "--sym"),
        (["--to", "gptq-4bit", "--damp", "7"], 2, "damp 7"),
        (["--to", "gptq", "--bits", "2,3", "--seed", "-1"], 2, "seed -1"),
    ],
)
def test_command_lines_without_meaning(arguments, environment, space, options, code, text):
    process = start(arguments, environment, space / "out", *options)
    printed, notes = process.communicate(timeout=120)
    assert (process.returncode, printed) == (code, ""), notes
    assert text in notes and "Traceback" not in notes
    assert not list(space.iterdir())


@pytest.mark.parametrize("what", ["program", "library"])
def test_it_tells_what_to_install(arguments, environment, space, what):
    (space / "hidden").mkdir()
    (space / "hidden" / "torch.py").write_text("import no_such_module_at_all")
    hidden = {"PYTHONPATH": f"{space / 'hidden'}:{environment['PYTHONPATH']}"}
    without = {"PATH": "/nowhere"} if what == "program" else hidden
    process = start(arguments, environment | without, space / "out", "--to", "gptq-4bit")
    _, notes = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "pip install 'qstore[quantize]'" in notes and len(notes.splitlines()) == 1
    assert not (space / "out").exists()


def analyze_killed_once(levels, out):
    """The summary of an analysis that was killed behind its first layers and then went on."""
    named = [f"{name.removesuffix('bit')}={levels.folder / name}" for name in ("16bit", *BITS)]
    command = ["analyze", *named, "-o", str(out), "--threads", "1"]
    process = subprocess.Popen([BINARY, *command], stderr=subprocess.DEVNULL)
    give_up = time.monotonic() + 60
    while not list(out.glob("layers/*.json")) and time.monotonic() < give_up:
        time.sleep(0.002)
    process.kill()
    process.wait()
    done = len(list(out.glob("layers/*.json")))
    assert done and not (out / "summary.json").exists()
    assert f"28 layers ({done} of an earlier run)" in ok(*command).stderr
    return json.loads((out / "summary.json").read_text())


def test_the_whole_way_keeps_bytes_and_logits(untrained, levels, space, figure):
    """Quantized twice, analysed, packed; every level unpacked computes the same bits."""
    assert len(analyze_killed_once(levels, space / "analysis")["layers"]) == 28
    variants = {"bf16": "16bit", "gptq8": "8bit", "gptq4": "4bit"}
    sources = {name: levels.folder / folder for name, folder in variants.items()}
    size = pack(space / "m.qstore", **sources)
    figure(
        f"Llama of random weights, 16, 8 and 4 bits in one archive: {size:,} of "
        f"{sum(map(raw_size, sources.values())):,} bytes"
    )
    windows = trained_llm.windows_of(untrained, count=4)
    for name, source in sources.items():
        back = unpack(space / "m.qstore", name, space / name)
        assert contents(back) == contents(source)
        assert torch.equal(logits(source, levels, windows), logits(back, levels, windows)), name


def logits(folder, levels, windows):
    bits = BITS.get(folder.name) or {"gptq8": 8, "gptq4": 4}.get(folder.name)
    source = levels.folder / "16bit" if bits else folder
    model = AutoModelForCausalLM.from_pretrained(source)
    if bits:
        model = gptq_models.load_model(folder, source, bits)
    with torch.no_grad():
        return model(windows).logits
