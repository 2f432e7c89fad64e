# SPDX-License-Identifier: Apache-2.0
"""The other end of python_worker.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

ENVIRONMENT = {
    # Memory that was freed goes back to the system, so that every load is into fresh memory.
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    # Threads that spin for work would be slowed manyfold by whatever else runs.
    "OMP_WAIT_POLICY": "passive",
}


class Worker:
    def __enter__(self):
        script = Path(__file__).with_name("python_worker.py")
        self.process = subprocess.Popen(
            [sys.executable, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ENVIRONMENT},
        )
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def ask(self, request):
        print(json.dumps(request), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the process with the Python libraries has ended")
        reply = json.loads(line)
        if reply is not None and "error" in reply:
            raise RuntimeError(f"{request['library']} {request['operation']}: {reply['error']}")
        return reply
