# SPDX-License-Identifier: Apache-2.0
"""Answers requests to time a Python library: a line of JSON on standard input, one on its output.

Timed is what a user waits for, from opening the file to the last byte in memory of its own.
"""

import json
import os
import sys
import threading
import time

import backed_memory
import page_cache

CHUNK = 1 << 20
BURST = 256 << 10


class Bucket:
    """As the one of `qstore bench --bandwidth`."""

    def __init__(self, bandwidth):
        self.rate = (bandwidth or 0) * CHUNK
        self.free_at = time.perf_counter()
        self.lock = threading.Lock()

    def take(self, size):
        if not self.rate:
            return
        now = time.perf_counter()
        with self.lock:
            self.free_at = max(self.free_at, now - BURST / self.rate) + size / self.rate
            wait = self.free_at - now
        if wait > 0:
            time.sleep(wait)


def read(path, bandwidth):
    """The content of a file, in one bytearray."""
    bucket = Bucket(bandwidth)
    data = bytearray(os.path.getsize(path))
    view = memoryview(data)
    with open(path, "rb", buffering=0) as file:
        at = 0
        while at < len(data):
            bucket.take(min(CHUNK, len(data) - at))
            at += file.readinto(view[at : at + CHUNK])
    return data


def answer(request, library):
    operation = request["operation"]
    if operation == "prepare":
        return {"sizes": library.prepare()}
    times, shares = [], []
    for _ in range(request["runs"]):
        if request["cold"]:
            shares.append(page_cache.drop(library.files(operation)))
        backed_memory.back_for([request["high"], request["low"]])
        result = (
            library.save(operation) if operation.startswith("save") else library.load(operation)
        )
        if result is None:
            return None
        times.append(result[0])
    reply = {"runs": times, "bytes": result[1], "threads": library.threads()}
    return {**reply, "resident_share": max(shares)} if shares else reply


def serve(libraries):
    """`libraries` makes something that saves and loads out of a request, by name."""
    # Libraries may print; only answers go to the pipe.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            request = json.loads(line)
            reply = answer(request, libraries[request["library"]](request))
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=out, flush=True)
