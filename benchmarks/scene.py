"""The stage of a measurement: a fresh stack with a catalog, so that what is measured is the stream alone."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.load.control import Generator, generator
from benchmarks.load.plan import LoadPlan
from core.clock import Clock
from core.db import transaction
from runtime.commands.demo import connected, own_settings
from runtime.conservation.ledger import ledger_totals
from runtime.demo.run import Parts
from runtime.settings import LogKind
from runtime.stack import Stack, running_stack
from runtime.traffic.prepare import prepare_traffic

LOGS_KEPT = Path(__file__).with_name("results") / "logs"
OBSERVER, GENERATOR = "observer", "generator"


@dataclass(slots=True)
class Scene:
    """A running stack whose merchants and keys are there. ``loads`` counts the loads made, so that no ids meet."""

    stack: Stack
    parts: Parts
    keys: tuple[str, ...]
    clock: Clock
    home: Path
    merchants: int
    loads: int = 0
    say: Callable[[str], object] = lambda _text: None
    running: list[Generator] = field(default_factory=list)

    @contextmanager
    def load(self, plan: LoadPlan) -> Iterator[Generator]:
        """A generator of a load that this stack has not seen, its base sent and stored."""
        self.loads += 1
        log = self.home / "logs" / f"generator-{self.loads}.log"
        with generator(self.parts.gateway_url, self.keys, plan, log) as found:
            self.running.append(found)
            try:
                self.say("warming up")
                before = self.received()
                summary = found.send_base()
                self.wait_received(before + summary["accepted"], 60)
                yield found
            finally:
                self.running.remove(found)

    def received(self) -> int:
        """Events in sealed blocks."""
        with transaction(self.parts.books) as connection:
            return ledger_totals(connection, self.parts.topic).received

    def wait_received(self, wanted: int, within_s: float) -> float:
        """Wait until so many events are sealed, which is when they show in the views; the steady time of it.

        Raises ``TimeoutError`` with how far it came.
        """
        end_s = self.clock.steady_s() + within_s
        pause = PAUSE_S
        while True:
            found = self.received()
            now_s = self.clock.steady_s()
            if found >= wanted:
                return now_s
            if now_s > end_s:
                raise TimeoutError(f"{found:,} of {wanted:,} events were sealed after {within_s:g} s more")
            wait(pause)

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Every part with all that it started, the generator, and ourselves."""
        self.stack.supervisor.check()
        found = {status.name: family(status.pid) for status in self.stack.supervisor.status()}
        for one in self.running:
            found[GENERATOR] = family(one.process.pid)
        return found | {OBSERVER: [psutil.Process()]}


PAUSE_S = 0.05


def wait(seconds: float) -> None:
    """Sleep."""
    threading.Event().wait(seconds)


def family(pid: int) -> list[psutil.Process]:
    """A process and its children; none when it is gone."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


@contextmanager
def scene(
    clock: Clock, log: LogKind, merchants: int, say: Callable[[str], object] = lambda _text: None
) -> Iterator[Scene]:
    """Start a stack in a folder of its own, apply the catalog, and end it all; logs are kept when something failed."""
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        home = Path(folder) / "home"
        say("starting the stack")
        try:
            with running_stack(own_settings(home, log)) as stack, connected(stack) as parts:
                say(f"applying the catalog of {merchants:,} merchants")
                keys = prepare_traffic(parts.books, parts.store, LoadPlan(merchants=merchants).traffic(1))
                yield Scene(stack, parts, keys, clock, home, merchants, say=say)
        except BaseException:
            keep_logs(home)
            raise


def keep_logs(home: Path) -> None:
    """Copy the parts' logs to where they outlive the folder."""
    LOGS_KEPT.mkdir(parents=True, exist_ok=True)
    for source in [*home.glob("logs/*.log"), *home.glob("run/*.log")]:
        (LOGS_KEPT / source.name).write_bytes(source.read_bytes())
