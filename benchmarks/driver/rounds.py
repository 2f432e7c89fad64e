# SPDX-License-Identifier: Apache-2.0
"""Runs all systems in each of several rounds, so that a slow spell of the machine meets all."""

import itertools
import statistics
import sys
import time
from dataclasses import dataclass

from . import bars
from .settings import OPERATIONS
from .systems import Conditions, QStore

# Those that the other instruction sets are tried with.
FIRST_OPERATIONS = ("save_pair", "load_16", "load_16_8", "load_8")


@dataclass(frozen=True)
class Task:
    system: object
    dataset: object
    operation: str
    conditions: Conditions
    in_more_rounds: bool = False

    def key(self):
        return {
            "dataset": self.dataset.name,
            "system": self.system.name,
            "operation": self.operation,
            "bandwidth_mib": self.conditions.bandwidth,
            "cold": self.conditions.cold,
            "drive_mib": self.conditions.drive,
        }


def plan(settings, systems, isa_systems, datasets, compared):
    """All tasks. Bandwidths, cold files and instruction sets are tried with the first pair only.

    More rounds are for what a bar judges. The first pair's main operations have them too, for
    QStore and for systems whose names are `compared`.
    """
    first = datasets[0]
    warm = Conditions(settings.runs)
    tasks = []
    for dataset in datasets:
        for operation in OPERATIONS:
            main = dataset is first and operation in FIRST_OPERATIONS
            for system in systems + isa_systems if main else systems:
                again = main and (isinstance(system, QStore) or system.name in compared)
                again = again or bars.is_judged(dataset.name, operation, system.name)
                tasks.append(Task(system, dataset, operation, warm, again))
    cold = Conditions(1, cold=True)
    tasks += [
        Task(system, first, operation, cold)
        for operation in ("load_16", "load_16_8", "load_8")
        for system in systems
    ]
    tasks += [
        Task(system, first, operation, Conditions(1, bandwidth))
        for bandwidth in settings.bandwidths
        for operation in ("load_16", "load_16_8")
        for system in systems
    ]
    return tasks


def plan_drive(settings, systems, dataset):
    """Cold loads while the system throttles the drive."""
    return [
        Task(system, dataset, operation, Conditions(1, cold=True, drive=drive))
        for drive in settings.drives
        for operation in ("load_16", "load_16_8")
        for system in systems
    ]


class Collected:
    """What a task gave in all rounds."""

    def __init__(self):
        self.seconds = []
        self.details = []

    def add(self, result):
        self.seconds += result["runs"]
        self.details.append(result)

    def document(self, task):
        last = self.details[-1]
        document = {
            **task.key(),
            "median_s": statistics.median(self.seconds),
            "min_s": min(self.seconds),
            "max_s": max(self.seconds),
            "runs": self.seconds,
        }
        for key in ("bytes", "stored_bytes", "read_bytes", "threads", "isa"):
            document[key] = last.get(key)
        for key in ("user_s", "system_s", "page_faults", "resident_share"):
            values = [detail[key] for detail in self.details if key in detail]
            document[key] = statistics.median(values) if values else None
        document["stages_s"] = {
            stage: statistics.median(detail["stages_s"][stage] for detail in self.details)
            for stage in last.get("stages_s") or ()
        }
        return document


def turned(tasks, number):
    """Every round another system comes first in an operation: the first one often pays for what
    the system put off, such as writing back and finding memory.
    """
    for _, group in itertools.groupby(tasks, lambda t: (t.dataset, t.operation, t.conditions)):
        group = list(group)
        first = number * 3 % len(group)
        yield from group[first:] + group[:first]


def run(tasks, settings, limited):
    """The documents of all tasks that their systems can do. `limited` makes a context in which
    drives give so many MiB/s.
    """
    rounds = settings.rounds + settings.more_rounds
    collected = {task: Collected() for task in tasks}
    dropped = set()
    begin = time.monotonic()
    for number in range(rounds):
        show(f"round {number + 1} of {rounds}, {time.monotonic() - begin:.0f} s so far\n")
        for done, task in enumerate(turned(tasks, number)):
            # What a bandwidth decides, another round would give again.
            decided = task.conditions.bandwidth or task.conditions.drive
            if task in dropped or (number > 0 and decided):
                continue
            if number >= settings.rounds and not task.in_more_rounds:
                continue
            show(f"\r\033[K{done}/{len(tasks)} {task.system.name} {task.operation}", passing=True)
            with limited(task.conditions.drive):
                result = task.system.measure(task.dataset, task.operation, task.conditions)
            if result is not None:
                collected[task].add(result)
            if result is None or max(result["runs"]) > settings.patience:
                dropped.add(task)
        show("\r\033[K", passing=True)
    return [entry.document(task) for task, entry in collected.items() if entry.seconds]


def show(text, passing=False):
    if not passing or sys.stderr.isatty():
        print(text, end="", file=sys.stderr, flush=True)
