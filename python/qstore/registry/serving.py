# SPDX-License-Identifier: Apache-2.0
"""Runs the server."""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

import uvicorn

from qstore.errors import IoError
from qstore.registry.app import Server
from qstore.registry.content import Archives
from qstore.registry.registry import Registry
from qstore.registry.tokens import Tokens

_GRACE = 10  # Seconds that answers may take to end when the server is told to.
_KEEP_ALIVE = 30  # Seconds that a connection may be idle.
_MOST = 512  # Connections at once; others are told to come again.


def serve(options: argparse.Namespace) -> int:
    """Serves a registry until it is told to end; the options are those of the command.

    Prints the address when it listens. Raises IoError, and what Registry.open and Tokens do."""
    tokens = Tokens(Path(options.tokens)) if options.tokens else None
    with Registry.open(options.registry) as registry:
        archives = Archives(registry.store, options.open, options.memory << 20, options.threads)
        app = Server(registry.catalog, archives, tokens).app()
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_GRACE,
            limit_concurrency=_MOST,
            lifespan="off",
        )
        with _listen(options.host, options.port) as listening:
            host, port = listening.getsockname()[:2]
            name = f"[{host}]" if ":" in host else host
            print(f"http://{name}:{port}", flush=True)
            if tokens is None:
                print("everybody who can connect may read all; see --tokens", file=sys.stderr)
            uvicorn.Server(config).run(sockets=[listening])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
    except OSError as error:
        raise IoError(f"{host}:{port}: {error}") from error
    return listening
