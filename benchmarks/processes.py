"""What processes cost: CPU seconds from the system's accounting, and memory as it goes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil

from core.clock import Clock

Groups = Mapping[str, list[psutil.Process]]
SAMPLE_EVERY_S = 0.5


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it started; none when it is gone."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(groups: Groups) -> dict[str, float]:
    """User and system time so far, that of children which have ended included."""
    return {name: sum(map(cpu_seconds_of, group)) for name, group in groups.items()}


def cpu_seconds_of(process: psutil.Process) -> float:
    """One process; nothing when it has ended."""
    try:
        return float(sum(process.cpu_times()[:4]))
    except psutil.NoSuchProcess:
        return 0.0


def memory_mb(groups: Groups) -> dict[str, int]:
    """Resident memory now; pages that several processes of a part share are counted once for each."""
    found = {}
    for name, group in groups.items():
        total = 0
        for process in group:
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        found[name] = total // 1_000_000
    return found


@dataclass(slots=True)
class Sample:
    """One look: seconds since the start, memory by part, events accepted and events sealed so far."""

    at_s: float
    memory_mb: dict[str, int]
    accepted: int
    sealed: int


@dataclass(slots=True)
class Watch:
    """Looks at the processes now and then while something runs. ``accepted`` is told to it."""

    groups: Groups
    clock: Clock
    sealed: Callable[[], int]
    begun_s: float
    accepted: int = 0
    samples: list[Sample] = field(default_factory=list)
    cpu_before: dict[str, float] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)

    def note_accepted(self, accepted: int) -> None:
        """The generator said how far it is."""
        self.accepted = accepted

    def look(self) -> None:
        """Take a sample."""
        at_s = self.clock.steady_s() - self.begun_s
        self.samples.append(Sample(at_s, memory_mb(self.groups), self.accepted, self.sealed()))

    def memory_max(self) -> dict[str, int]:
        """The largest memory seen of each part."""
        names = self.samples[0].memory_mb if self.samples else {}
        return {name: max(sample.memory_mb.get(name, 0) for sample in self.samples) for name in names}


@contextmanager
def watching(groups: Groups, clock: Clock, sealed: Callable[[], int]) -> Iterator[Watch]:
    """Look every half second until the block ends; CPU time is that of the block."""
    watch = Watch(groups, clock, sealed, clock.steady_s(), cpu_before=cpu_seconds(groups))
    done = threading.Event()

    def go_on() -> None:
        while not done.wait(SAMPLE_EVERY_S):
            watch.look()

    watch.look()
    thread = threading.Thread(target=go_on, name="watch", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        after = cpu_seconds(groups)
        watch.cpu_s = {name: max(0.0, after[name] - watch.cpu_before[name]) for name in after}
        done.set()
        thread.join()
        watch.look()
