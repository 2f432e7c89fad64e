# SPDX-License-Identifier: Apache-2.0
"""Mounts archives, and takes them away again whatever a test did."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from command import BINARY


class Mount:
    """A mount whose process stays in the foreground."""

    def __init__(self, archive, folder, *options, **popen):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        command = [BINARY, "mount", "-f", archive, folder, *options]
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **popen,
        )
        while not os.path.ismount(folder):
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.01)

    def __truediv__(self, path):
        return self.folder / path

    def unmount(self):
        subprocess.run(["umount", self.folder], check=True, timeout=60)
        return self.end()

    def stop(self, sign=signal.SIGTERM):
        self.process.send_signal(sign)
        return self.end()

    def end(self):
        """The exit code and what was printed, once the process has ended."""
        printed = self.process.communicate(timeout=60)
        return self.process.returncode, "".join(printed)

    def peak(self):
        """Most bytes that the process has had in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def force_away(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        subprocess.run(["umount", "-l", self.folder], stderr=subprocess.DEVNULL, check=False)


@contextlib.contextmanager
def mounted(archive, folder, *options, **popen):
    mount = Mount(archive, folder, *options, **popen)
    try:
        yield mount
    finally:
        mount.force_away()
