# SPDX-License-Identifier: Apache-2.0
"""Gets a model into an archive, in several precisions: what the command `qstore-prepare` does."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qstore._make_variants import NAMES, ORIGIN, Maker
from qstore._operations import LEVELS, pack, verify
from qstore._progress import Progress
from qstore._sources import is_repository
from qstore._stop import end_by_signal, interrupt
from qstore.errors import (
    AlreadyExistsError,
    CorruptError,
    InvalidArgumentError,
    MismatchError,
    PathNotFoundError,
    QStoreError,
)

__all__ = ["Prepared", "main", "prepare"]

DONE, FAILED, USAGE, CORRUPT = 0, 1, 2, 3

# Weights in other formats, which a repository may hold beside those that are wanted.
_UNWANTED = ("*.bin", "*.pt", "*.pth", "*.h5", "*.msgpack", "*.gguf", "*.onnx", "*.ot", "*.ckpt")


class Prepared(NamedTuple):
    """What was done. `revision` is the commit of a downloaded model, None for a directory; `pushed`
    the URL of the commit that has the archive on the Hub, None without `push`."""

    model: str
    revision: str | None
    variants: tuple[str, ...]
    source_bytes: int  # Of all files of all variants.
    stored_bytes: int  # Of the archive.
    pushed: str | None = None


def prepare(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    variants: Sequence[str] = ("bf16", "llm-int8"),
    *,
    revision: str | None = None,
    level: str = "balanced",
    calibration: str = "c4",
    samples: int = 128,
    overwrite: bool = False,
    push: str | None = None,
    private: bool | None = None,
    progress: Progress = None,
    note: Callable[[str], object] = lambda step: None,
) -> Prepared:
    """Packs a model in these precisions, making those that it does not have, and verifies.

    `model` is a directory, or a name on the Hugging Face Hub. From there `revision`, a branch, tag
    or commit, is downloaded into the Hub's cache, with the token of its usual places. `variants`
    are names of these:

    - "bf16", "fp16", "f32"
    - "llm-int8", "fp8-block", "nvfp4", "nf4" and the others of `qstore.quantize`
    - "gptq-8bit", "gptq-4bit", …: measured with `samples` windows of the text `calibration`, as
      `qstore.gptq.Calibration` has them

    A precision that the model has already is packed as it is. Every variant gets a file
    qstore-source.json, which names the model, its commit and the libraries. `note` is called with a
    line of text before each step.

    `push` is a repository of the Hub, "owner/name". The archive is committed to it, as a file of
    the same name, with the token of its usual places. It is made when there is none: `private`, or
    not, or as the owner's settings have it (None).

    What is made lies beside `out` until it is packed or this failed. Raises InvalidArgumentError,
    AlreadyExistsError, what `qstore.pack` and `qstore.verify` raise, and what the libraries do;
    when only pushing fails, `out` stays.
    """
    unknown = [name for name in variants if name not in NAMES]
    if unknown or not variants or len(set(variants)) < len(variants):
        said = ", ".join(variants)
        raise InvalidArgumentError(f"variants {said!r}: want different ones of {', '.join(NAMES)}")
    if push is not None and not is_repository(push):
        raise InvalidArgumentError(f"push {push!r}: want a repository of the Hub, owner/name")
    out = os.path.abspath(os.fspath(out))
    if os.path.exists(out) and not overwrite:
        raise AlreadyExistsError(f"{out}: exists already")
    if not os.path.isdir(os.path.dirname(out)):
        raise PathNotFoundError(f"{os.path.dirname(out)}: no such directory")
    folder, origin = _find(model, revision, note)
    with tempfile.TemporaryDirectory(
        prefix=".qstore-", suffix=".tmp", dir=os.path.dirname(out)
    ) as scratch:
        maker = Maker(folder, Path(scratch), origin, (calibration, samples))
        sources = {}
        # Those of 16 bits first, since others are made of them.
        for name in sorted(variants, key=NAMES.index):
            note(f"{name}: {'as it is' if maker.has(name) else 'made now'}")
            sources[name] = maker.make(name)
        sources = {name: sources[name] for name in variants}
        note(f"packing {', '.join(sources)}")
        packed = Path(scratch) / "m.qstore"
        report = pack(sources, packed, level=level, progress=progress)
        note("verifying")
        verify(packed, sources, progress=progress)
        _place(packed, out, overwrite)
    pushed = None
    if push is not None:
        from qstore import _hub

        note(f"pushing to {push}")
        message = f"Upload {', '.join(variants)} of {origin['model']} in one archive"
        pushed = _hub.push(Path(out), push, private, message)
    return Prepared(origin["model"], origin["revision"], tuple(variants), *report, pushed)


def _find(
    model: str | os.PathLike[str], revision: str | None, note: Callable[[str], object]
) -> tuple[Path, dict[str, Any]]:
    """The directory of a model, and what is noted of where it comes from."""
    folder = Path(model)
    if folder.is_dir():
        if revision is not None:
            raise InvalidArgumentError(f"{model}: is a directory, which has no revisions")
        return folder, {"model": folder.resolve().name, "revision": None}
    name = os.fspath(model)
    if name.count("/") > 1 or name.startswith((".", "/", "~")):
        raise PathNotFoundError(f"{name}: no such directory")
    import huggingface_hub

    note(f"downloading {name}" + (f" at {revision}" if revision else ""))
    # The folder is named by the commit, which stays the same whatever the branch does meanwhile.
    folder = Path(
        huggingface_hub.snapshot_download(
            name, revision=revision, ignore_patterns=[*_UNWANTED, "original/*"]
        )
    )
    return folder, {"model": name, "revision": folder.name}


def _place(packed: Path, out: str, overwrite: bool) -> None:
    if overwrite:
        os.replace(packed, out)
        return
    try:
        os.link(packed, out)  # Unlike a rename it never replaces what came there meanwhile.
    except FileExistsError:
        raise AlreadyExistsError(f"{out}: exists already") from None
    except OSError:
        shutil.move(packed, out)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code: 0 done, 1 failed, 2 usage, 3 damaged or different."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        done = prepare(
            options.model,
            options.output,
            options.variants.split(","),
            revision=options.revision,
            level=options.level,
            calibration=options.calibration,
            samples=options.samples,
            overwrite=options.force,
            push=options.push,
            private=True if options.private else None,
            progress=True if sys.stderr.isatty() else None,
            note=lambda step: print(step, file=sys.stderr),
        )
    except KeyboardInterrupt as stop:
        _complain("stopped", FAILED)
        end_by_signal(stop)
        return FAILED
    except (CorruptError, MismatchError) as error:
        return _complain(f"{error} ({error.code})", CORRUPT)
    except QStoreError as error:
        usage = isinstance(error, InvalidArgumentError)
        return _complain(f"{error} ({error.code})", USAGE if usage else FAILED)
    except ImportError as error:
        return _complain(f"{error}; this wants: pip install 'qstore[prepare]'", FAILED)
    except Exception as error:  # Of the libraries that download and quantize, which have many.
        return _complain(f"{type(error).__name__}: {error}", FAILED)
    revision = f" at {done.revision}" if done.revision else ""
    print(
        f"{options.output}: {done.model}{revision} in {', '.join(done.variants)}: "
        f"{done.source_bytes:,} bytes in {done.stored_bytes:,}"
    )
    if done.pushed:
        print(done.pushed)
    return DONE


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="qstore-prepare",
        description="Downloads a model, makes the precisions it lacks, packs all, and verifies.",
        epilog=f"Every variant gets a file {ORIGIN}, which tells where it comes from.",
        allow_abbrev=False,
    )
    made.add_argument("model", help="a directory, or a name on the Hugging Face Hub")
    made.add_argument("-o", "--output", required=True, help="the archive to write")
    made.add_argument(
        "--variants", default="bf16,llm-int8", help=f"with commas between: {', '.join(NAMES)}"
    )
    made.add_argument("--revision", help="branch, tag or commit on the Hub")
    made.add_argument("--level", choices=tuple(LEVELS), default="balanced")
    made.add_argument("--calibration", default="c4", help="text file or data set for GPTQ")
    made.add_argument("--samples", type=int, default=128, help="windows of calibration text")
    made.add_argument("--force", action="store_true", help="replace the output")
    made.add_argument("--push", metavar="OWNER/NAME", help="commit the archive to this repository")
    made.add_argument("--private", action="store_true", help="make the repository a private one")
    return made


def _complain(text: str, code: int) -> int:
    print(f"qstore-prepare: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
