"""The generator as seen by a measurement: a process of its own that is given orders."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from benchmarks.load.ledger import Account
from benchmarks.load.plan import LoadPlan
from benchmarks.load.schedule import RunSpec
from core.errors import Transient

ROOT = Path(__file__).parents[2]
READY_WITHIN_S = 120.0
BASE_WITHIN_S = 120.0
# Beyond a run's own seconds, and the generator's own limit after them.
EXTRA_S = 90.0


@dataclass(slots=True)
class Generator:
    """A running generator. Raises ``Transient`` when it ends or takes too long; its log says why."""

    plan: LoadPlan
    process: subprocess.Popen[bytes]
    log: Path
    said: dict[str, Any] = field(default_factory=dict)

    def order(self, what: dict[str, Any], within_s: float, on_progress: Callable[[int], object]) -> dict[str, Any]:
        """Give an order and wait for its end."""
        assert self.process.stdin is not None
        self.process.stdin.write(orjson.dumps(what) + b"\n")
        self.process.stdin.flush()
        return self.wait_for("done", within_s, on_progress)

    def wait_for(
        self, word: str, within_s: float, on_progress: Callable[[int], object] = lambda _accepted: None
    ) -> dict[str, Any]:
        """Read what it says until it says this."""
        assert self.process.stdout is not None
        # A silent process is ended, which ends the reading.
        alarm = threading.Timer(within_s, self.process.kill)
        alarm.start()
        try:
            for said in lines(self.process.stdout):
                if word in said:
                    found: dict[str, Any] = said if word == "ready" else said[word]
                    return found
                on_progress(said["accepted"])
        finally:
            alarm.cancel()
        raise Transient(f"the generator ended or stood still; see {self.log}")

    def send_base(self) -> dict[str, Any]:
        """Send what later repeats and conflicts refer to."""
        return checked(self.order({"do": "base"}, BASE_WITHIN_S, lambda _accepted: None))

    def run(self, spec: RunSpec, on_progress: Callable[[int], object] = lambda _accepted: None) -> dict[str, Any]:
        """One run; see ``summary`` of the generator for what comes back."""
        order = {"do": "run", "spec": spec.to_json()}
        return checked(self.order(order, spec.seconds + EXTRA_S, on_progress))

    def account(self) -> Account:
        """What everything that was sent must have become."""
        return Account.from_json(self.order({"do": "account"}, EXTRA_S, lambda _accepted: None))


def lines(stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    """What it says, line by line."""
    for line in stream:
        yield orjson.loads(line)


def checked(summary: dict[str, Any]) -> dict[str, Any]:
    """A run in which something was answered that no sender expects is no measurement."""
    if summary["wrong"]:
        raise Transient(f"the gateway answered what it should not: {summary['wrong']}")
    return summary


@contextmanager
def generator(url: str, keys: Sequence[str], plan: LoadPlan, log: Path) -> Iterator[Generator]:
    """Start one, wait until its data is made, end it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    try:
        assert process.stdin is not None
        # Keys go through the pipe, which no list of processes shows.
        asked = {"url": url, "keys": list(keys), "plan": plan.to_json()}
        process.stdin.write(orjson.dumps(asked) + b"\n")
        process.stdin.flush()
        found = Generator(plan, process, log)
        found.said = found.wait_for("ready", READY_WITHIN_S)
        yield found
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
