"""The stage of a measurement: a fresh stack with a catalog, so that what is measured is the stream alone."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks.load.control import Generator, generator
from benchmarks.load.ledger import Account
from benchmarks.load.plan import LoadPlan
from benchmarks.load.schedule import RunSpec
from benchmarks.processes import Watch, family, watching
from benchmarks.verify import Verdict, verify
from catalog.document import read_catalog
from catalog.keys import create_key
from core.clock import Clock
from core.db import transaction
from runtime.commands.apply import write_catalog
from runtime.commands.demo import connected, own_settings
from runtime.conservation.drain import wait_until_drained
from runtime.conservation.ledger import ledger_totals
from runtime.demo.run import Parts
from runtime.settings import LogKind
from runtime.stack import Stack, running_stack
from runtime.traffic.prepare import prepare_traffic

LOGS_KEPT = Path(__file__).with_name("results") / "logs"
OBSERVER, GENERATOR = "observer", "generator"
PAUSE_S = 0.05
# A first start on a machine compiles, and neighbours may be busy.
BASE_WITHIN_S = 180.0
DRAIN_WITHIN_S = 180.0
# Answers after which events may be stored although nobody said so.
OPEN_ENDED = ("0", "500", "502", "503", "504")
# As many as a worker has blocks under way at once. Each one more takes messages and blocks of its own, which cost the
# same whatever they hold; only more than two workers need more.
PARTITIONS = 2
PROBE, PROBE_CUSTOMER = "bench-probe", "c-1"
PROBE_CATALOG = f"""
merchant: {{code: {PROBE}, name: Probe}}
meters:
  - {{code: probes, event_type: probe, aggregation: count, group_by: [probe]}}
customers:
  - {{key: {PROBE_CUSTOMER}, name: Probe, zone: UTC, currency: USD}}
"""


@dataclass(slots=True)
class Scene:
    """A running stack whose merchants and keys are there. ``loads`` counts the loads made, so that no ids meet."""

    stack: Stack
    parts: Parts
    keys: tuple[str, ...]
    probe_key: str
    clock: Clock
    home: Path
    say: Callable[[str], object]
    loads: int = 0
    running: list[Generator] = field(default_factory=list)

    @property
    def merchants(self) -> int:
        """How many merchants the catalog holds."""
        return len(self.keys)

    @contextmanager
    def load(self, **fields: Any) -> Iterator[Load]:
        """A load of ids of its own, its base sent and stored; ``fields`` are those of ``LoadPlan``."""
        self.loads += 1
        plan = LoadPlan(seed=1_000 + self.loads, merchants=self.merchants, **fields)
        log = self.home / "logs" / f"generator-{self.loads}.log"
        with generator(self.parts.gateway_url, self.keys, plan, log) as found:
            self.running.append(found)
            try:
                self.say("warming up")
                load = Load(self, found, plan, self.received())
                load.accepted = found.send_base()["accepted"]
                load.drained(BASE_WITHIN_S)
                yield load
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
        end_s, pause = self.clock.steady_s() + within_s, threading.Event()
        while True:
            found = self.received()
            now_s = self.clock.steady_s()
            if found >= wanted:
                return now_s
            self.stack.supervisor.check()
            if now_s > end_s:
                raise TimeoutError(f"{found:,} of {wanted:,} events were sealed after {within_s:g} s more")
            pause.wait(PAUSE_S)

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Every part with all that it started, the generator, and ourselves."""
        found = {status.name: family(status.pid) for status in self.stack.supervisor.status()}
        for one in self.running:
            found[GENERATOR] = family(one.process.pid)
        return found | {OBSERVER: [psutil.Process()]}

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        """CPU and memory of all parts while the block runs."""
        with watching(self.processes(), self.clock, self.received) as watch:
            yield watch


@dataclass(slots=True)
class Load:
    """A generator at work on a scene. ``accepted`` counts what the door took of it so far."""

    scene: Scene
    generator: Generator
    plan: LoadPlan
    sealed_before: int
    accepted: int = 0
    open_ended: bool = False

    def run(self, spec: RunSpec, on_accepted: Callable[[int], object] = lambda _accepted: None) -> dict[str, Any]:
        """One run; see the generator's ``summary`` for what comes back."""
        summary = self.generator.run(spec, on_accepted)
        self.accepted += summary["accepted"]
        self.open_ended |= any(status in summary["statuses"] for status in OPEN_ENDED)
        return summary

    def drained(self, within_s: float = DRAIN_WITHIN_S) -> float:
        """Wait until all that was accepted is sealed; the steady time of it."""
        at_s = self.scene.wait_received(self.sealed_before + self.accepted, within_s)
        if self.open_ended:
            parts = self.scene.parts
            wait_until_drained(parts.books, parts.admin, parts.topic, self.scene.clock, acknowledged=0)
        return at_s

    def verify(self) -> Verdict:
        """Hold the account of everything sent so far against the stores. The stack must be drained."""
        account: Account = self.generator.account()
        parts = self.scene.parts
        return verify(parts.books, parts.store, self.plan, account, self.scene.received() - self.sealed_before)


@contextmanager
def scene(clock: Clock, log: LogKind, merchants: int, say: Callable[[str], object]) -> Iterator[Scene]:
    """Start a stack in a folder of its own, apply the catalog, and end it all; logs are kept when something failed."""
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        home = Path(folder) / "home"
        say("starting the stack")
        try:
            with (
                running_stack(replace(own_settings(home, log), partitions=PARTITIONS)) as stack,
                connected(stack) as parts,
            ):
                say(f"applying the catalog of {merchants:,} merchants")
                keys = prepare_traffic(parts.books, parts.store, LoadPlan(merchants=merchants).traffic(1))
                found = Scene(stack, parts, keys, open_probe(parts), clock, home, say)
                yield found
        except BaseException:
            keep_logs(home)
            raise


def open_probe(parts: Parts) -> str:
    """A merchant whose single events are followed to the view; its key."""
    write_catalog(parts.books, parts.store, read_catalog(PROBE_CATALOG.encode()))
    with transaction(parts.books) as connection:
        return create_key(connection, PROBE, "bench").key


def keep_logs(home: Path) -> None:
    """Copy the parts' logs to where they outlive the folder."""
    keep_some(home / "logs")


def keep_some(folder: Path) -> None:
    """Copy the logs in a folder."""
    LOGS_KEPT.mkdir(parents=True, exist_ok=True)
    for source in folder.glob("*.log"):
        (LOGS_KEPT / source.name).write_bytes(source.read_bytes())
