# SPDX-License-Identifier: Apache-2.0
"""The command `qstore registry`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from qstore._operations import LEVELS
from qstore._progress import Progress
from qstore._stop import end_by_signal, interrupt
from qstore.errors import CorruptError, InvalidArgumentError, MismatchError, QStoreError
from qstore.registry import printing
from qstore.registry.adding import Source
from qstore.registry.hub_cache import find_snapshots
from qstore.registry.names import is_commit, parse_repo, parse_target
from qstore.registry.registry import DAY, GRACE, Registry
from qstore.registry.tokens import make_token

DONE, FAILED, USAGE, CORRUPT = 0, 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 failed, 2 usage, 3 damaged or different."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        return int(options.run(options))
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
        return _complain(f"{error}; this wants: pip install 'qstore[registry]'", FAILED)
    except BrokenPipeError:
        return FAILED
    except OSError as error:
        return _complain(str(error), FAILED)


def _init(options: argparse.Namespace) -> int:
    Registry.open(options.registry, create=True).close()
    return DONE


def _add(options: argparse.Namespace) -> int:
    sources = []
    for text in options.sources:
        target, equals, path = text.partition("=")
        if not equals or not path:
            raise InvalidArgumentError(
                f"{text!r}: want ORGANIZATION/MODEL[/FOLDER][@REVISION]=PATH"
            )
        sources.append(Source(parse_target(target), Path(path)))
    expected = None
    if options.expect is not None:
        if options.expect != "none" and not is_commit(options.expect):
            raise InvalidArgumentError("--expect: want a commit of 40 hexadecimal digits, or none")
        commit = None if options.expect == "none" else options.expect
        expected = {source.target.repo: commit for source in sources}
    with Registry.open(options.registry) as registry:
        added = registry.add(
            sources,
            level=options.level,
            verify=not options.no_verify,
            expected=expected,
            threads=options.threads,
            progress=_progress(),
        )
    print(json.dumps(printing.added_as_json(added)) if options.json else printing.added(added))
    return DONE


def _import(options: argparse.Namespace) -> int:
    found = find_snapshots(Path(options.cache), options.only)
    with Registry.open(options.registry) as registry:
        for name, sources in found.items():
            print(f"{name}: {len(sources)} revision(s)", file=sys.stderr)
            added = registry.add(
                sources,
                level=options.level,
                verify=not options.no_verify,
                threads=options.threads,
                progress=_progress(),
            )
            print(printing.added(added), flush=True)
    return DONE


def _list(options: argparse.Namespace) -> int:
    with Registry.open(options.registry) as registry:
        state = registry.catalog.state()
    print(json.dumps(printing.state_as_json(state)) if options.json else printing.state(state))
    return DONE


def _show(options: argparse.Namespace) -> int:
    name, revision = parse_repo(options.name)
    with Registry.open(options.registry) as registry:
        listing, state = registry.listing(name, revision), registry.catalog.state()
    if options.json:
        print(json.dumps(printing.repo_as_json(name, listing, state)))
    else:
        print(printing.repo(name, listing, state))
    return DONE


def _get(options: argparse.Namespace) -> int:
    name, revision = parse_repo(options.name)
    with Registry.open(options.registry) as registry:
        threads, progress = options.threads, _progress()
        registry.get(name, revision, options.output, threads=threads, progress=progress)
    return DONE


def _remove(options: argparse.Namespace) -> int:
    name, revision = parse_repo(options.name)
    with Registry.open(options.registry) as registry:
        gone = registry.remove(name, revision)
    for commit in gone:
        print(commit)
    return DONE


def _gc(options: argparse.Namespace) -> int:
    with Registry.open(options.registry) as registry:
        done = registry.collect(keep=options.keep, grace=options.grace * DAY)
    print(json.dumps(done._asdict()) if options.json else printing.collected(done))
    return DONE


def _verify(options: argparse.Namespace) -> int:
    with Registry.open(options.registry) as registry:
        show = (
            (lambda step: print(step, file=sys.stderr)) if sys.stderr.isatty() else lambda _: None
        )
        wrong = registry.verify(quick=options.quick, threads=options.threads, note=show)
    for sentence in wrong:
        print(sentence)
    return _complain(f"{len(wrong)} thing(s) are wrong (corrupt)", CORRUPT) if wrong else DONE


def _token(options: argparse.Namespace) -> int:
    token, line = make_token(options.scope)
    print(token)
    print(line, file=sys.stderr)
    return DONE


def _serve(options: argparse.Namespace) -> int:
    from qstore.registry.serving import serve

    return serve(options)


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="qstore registry",
        description="Keeps models in archives, and serves their files as the Hub does.",
        epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 corrupt or different.",
        allow_abbrev=False,
    )
    verbs = made.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: object, told: str) -> argparse.ArgumentParser:
        parser = verbs.add_parser(name, help=told, description=told, allow_abbrev=False)
        parser.set_defaults(run=run)
        if run is not _token:
            parser.add_argument("registry", help="its directory")
        return parser

    verb("init", _init, "make an empty registry")
    add = verb("add", _add, "pack models in one archive, and serve them under these names")
    add.add_argument(
        "sources", nargs="+", metavar="ORGANIZATION/MODEL[/FOLDER][@REVISION]=PATH", help="a model"
    )
    add.add_argument("--expect", metavar="COMMIT|none", help="what main must still be")
    add.add_argument("--json", action="store_true")
    take = verb("import", _import, "take over the models of a cache of the Hub")
    take.add_argument("cache", help="the directory with models--ORGANIZATION--MODEL")
    take.add_argument("--only", default="*", metavar="PATTERN", help="of names of models")
    for parser in (add, take):
        parser.add_argument("--level", choices=tuple(LEVELS), default="balanced")
        parser.add_argument("--no-verify", action="store_true", help="do not compare afterwards")
        parser.add_argument("--threads", type=int, default=0)
    verb("list", _list, "what there is, and what it saves").add_argument(
        "--json", action="store_true"
    )
    show = verb("show", _show, "the files of a revision")
    get = verb("get", _get, "restore the files of a revision in a new directory")
    remove = verb("remove", _remove, "take a revision or a repository out of the catalog")
    for parser in (show, get, remove):
        parser.add_argument("name", metavar="ORGANIZATION/MODEL[@REVISION]")
    show.add_argument("--json", action="store_true")
    get.add_argument("-o", "--output", required=True, help="the directory to make")
    get.add_argument("--threads", type=int, default=0)
    gc = verb("gc", _gc, "free what nothing needs")
    gc.add_argument("--keep", type=int, metavar="N", help="of commits that no revision names")
    gc.add_argument("--grace", type=float, default=GRACE / DAY, metavar="DAYS", help="default 1")
    gc.add_argument("--json", action="store_true")
    verify = verb("verify", _verify, "check that every file can be read")
    verify.add_argument("--quick", action="store_true", help="the catalog and indexes alone")
    verify.add_argument("--threads", type=int, default=0)
    token = verb("token", _token, "make a token, and the line for the file of tokens")
    token.add_argument("scope", nargs="+", help="ORGANIZATION/, ORGANIZATION/MODEL or *")
    _add_serve(verb("serve", _serve, "serve the files over HTTP as the Hub does"))
    return made


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0: any free one")
    parser.add_argument("--tokens", metavar="FILE", help="who may read what; without it all may")
    parser.add_argument("--open", type=int, default=8, metavar="N", help="archives kept open")
    parser.add_argument("--memory", type=int, default=1024, metavar="MIB", help="for their content")
    parser.add_argument("--threads", type=int, default=0, help="that decode")


def _progress() -> Progress:
    return True if sys.stderr.isatty() else None


def _complain(text: str, code: int) -> int:
    print(f"qstore registry: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
