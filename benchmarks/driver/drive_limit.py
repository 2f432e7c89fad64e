# SPDX-License-Identifier: Apache-2.0
"""Has the system throttle what processes read from a drive: by cgroup v2's io.max, or by the blkio
controller of cgroup v1, whichever this process may use.

Kernel documentation: admin-guide/cgroup-v2.rst, "IO Interface Files";
admin-guide/cgroup-v1/blkio-controller.rst, "Throttling/Upper limit policy".
"""

import contextlib
import os
from pathlib import Path

UNLIMITED = {"io.max": "rbps=max", "blkio.throttle.read_bps_device": "0"}


def find(path):
    """A DriveLimit for the drive that `path` is on, or None when the system permits none."""
    device = _drive_of(path)
    if device is None:
        return None
    for parent, home, control in _candidates():
        group = parent / f"qstore-bench-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        limit = DriveLimit(group, home, control, device)
        try:
            limit.set(1 << 30)
        except OSError:
            limit.close()
            continue
        return limit
    return None


class DriveLimit:
    def __init__(self, group, home, control, device):
        self.group, self.home, self.control, self.device = group, home, control, device
        version = 2 if control == "io.max" else 1
        self.name = f"cgroup v{version}, {control}"

    def set(self, bytes_per_second):
        text = str(bytes_per_second) if bytes_per_second else UNLIMITED[self.control]
        if self.control == "io.max" and bytes_per_second:
            text = f"rbps={bytes_per_second}"
        (self.group / self.control).write_text(f"{self.device} {text}\n")

    @contextlib.contextmanager
    def applied(self, mib, processes):
        """This process, what it starts and `processes` read no faster than `mib` MiB/s."""
        self.set(int(mib * (1 << 20)))
        try:
            self._move((os.getpid(), *processes), self.group)
            yield
        finally:
            self._move((os.getpid(), *processes), self.home)
            self.set(None)

    def close(self):
        self.group.rmdir()

    @staticmethod
    def _move(processes, group):
        for process in processes:
            (group / "cgroup.procs").write_text(f"{process}\n")


def _drive_of(path):
    """major:minor of the drive, of which the file system may have a partition."""
    device = os.stat(path).st_dev
    entry = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not entry.exists():
        return None  # Not on one drive: a network, memory, an overlay.
    if (entry / "partition").exists():
        entry = entry.resolve().parent
    return (entry / "dev").read_text().strip()


def _candidates():
    """Groups that might have a child of ours, where this process is now, and the file to write."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    own = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for _, place, kind, options, *_ in mounts:
        for _, controllers, path in own:
            here = Path(place + path)
            if kind == "cgroup2" and controllers == "":
                # A group may have processes or children with limits, but for the first of all.
                parents = [here, *here.parents][: len(Path(path).parts)]
                for parent in parents:
                    control = parent / "cgroup.subtree_control"
                    if control.exists() and "io" in control.read_text().split():
                        yield parent, here, "io.max"
            elif kind == "cgroup" and "blkio" in controllers.split(",") and "blkio" in options:
                yield here, here, "blkio.throttle.read_bps_device"
