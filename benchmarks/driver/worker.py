# SPDX-License-Identifier: Apache-2.0
"""The other end of python_worker.py and lmz_worker.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

from . import peers

ENVIRONMENT = {
    # Memory that was freed goes back to the system, so that every load is into fresh memory.
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    # Threads that spin for work would be slowed manyfold by whatever else runs.
    "OMP_WAIT_POLICY": "passive",
}


class Worker:
    """A process that starts when it is first asked."""

    def __init__(self, script, python=lambda: sys.executable, settings=ENVIRONMENT):
        self.script, self.python, self.settings = script, python, settings
        self.process = None

    def start(self):
        command = [self.python(), Path(__file__).with_name(self.script)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        environment = {**os.environ, **self.settings}
        self.process = subprocess.Popen(command, **pipes, text=True, env=environment)

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait(timeout=60)

    def ask(self, request):
        if not self.process:
            self.start()
        print(json.dumps(request), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {self.script} has ended")
        reply = json.loads(line)
        if reply is not None and "error" in reply:
            raise RuntimeError(f"{request['library']} {request['operation']}: {reply['error']}")
        return reply


class Workers:
    """One for each Python library, by its name.

    That of lmz runs without the settings above. Its buffers would be given back and taken anew
    with nothing gained: what it loads into is one block, which always comes fresh from the system.
    """

    def __init__(self):
        shared = Worker("python_worker.py")
        self.of = {
            "safetensors": shared,
            "zipnn": shared,
            "lmz": Worker("lmz_worker.py", peers.python, {}),
        }

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in set(self.of.values()):
            worker.close()

    def processes(self):
        """The ids of those that run."""
        return [worker.process.pid for worker in set(self.of.values()) if worker.process]
