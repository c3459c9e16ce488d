"""Random processes killed for as long as you like: ``python -m tests.runtime.faults.lottery --seconds 600 --seed 1``.

A stack with two workers takes seeded traffic at a steady rate. Every 10 to 30 seconds a random process is killed: the
gateway, one of the workers, ClickHouse, Postgres or the broker. Once, in the middle, a worker is frozen for longer than
its lease and wakes up as one that was replaced. Then the stream is drained, the month closed, and the checker, as the
program that it is, must find every acknowledged event once. Ends with exit code 1 when it does not.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import get_args

import psutil

from runtime.settings import LogKind
from tests.runtime.faults.field import LEASE_S, Field
from tests.runtime.faults.stack_process import ROOT
from tests.runtime.faults.strikes_worker import WORKER, owner_pids

SECOND = "second worker"
PARTS = ("gateway", "worker", SECOND, "clickhouse", "postgres", "kafka")
PAUSE_S = (10.0, 30.0)
RATE = 12_000.0
DRAINED_WITHIN_S = 180.0
POLL_S = 0.2


@dataclass(frozen=True)
class Draw:
    """How long, by which seed, on which log, how fast."""

    seconds: float
    seed: int
    log: LogKind = "apache"
    rate: float = RATE

    @property
    def pauses_s(self) -> tuple[float, float]:
        """Shorter ones where there is little time, so that something happens in it."""
        shorter = min(1.0, self.seconds / 180)
        return PAUSE_S[0] * shorter, PAUSE_S[1] * shorter


@dataclass
class Drawn:
    """What happened: who was killed how often, how many owners a partition's epoch tells of, what the checker said."""

    killed: Counter[str] = field(default_factory=Counter)
    frozen_s: float = 0.0
    replaced: bool = False
    rebalances: int = 0
    acknowledged: int = 0
    said: str = ""
    ok: bool = False


def play(draw: Draw, folder: Path) -> Drawn:
    """Start a stack below ``folder``, draw until the time is over, and let the checker judge."""
    events = int(draw.seconds * draw.rate)
    where = Field(folder, draw.log, draw.seed, events=events, chunk=0)
    drawn = Drawn()
    try:
        where.start()
        where.same_log = draw.log == "apache"
        draw_until_sent(where, draw, drawn)
        where.drain(DRAINED_WITHIN_S)
        drawn.rebalances = int(where.rows("SELECT sum(epoch) FROM stream_partitions WHERE topic = %(topic)s")[0][0])
        drawn.acknowledged = where.ledger.accepted
        where.close_month()
        judge(where, drawn)
    finally:
        where.stop()
    return drawn


def draw_until_sent(where: Field, draw: Draw, drawn: Drawn) -> None:
    """Kill at seeded intervals while traffic flows; at half time freeze a worker instead."""
    chance = Random(f"lottery {draw.seed}")
    second = Second(where)
    where.wait_for_owners(2)
    traffic = where.send_all(draw.rate)
    began_s = time.monotonic()
    while (left_s := began_s + draw.seconds - time.monotonic()) > 0:
        second.keep_for(min(chance.uniform(*draw.pauses_s), left_s))
        elapsed_s = time.monotonic() - began_s
        if not drawn.frozen_s and elapsed_s >= draw.seconds / 2:
            drawn.frozen_s = LEASE_S[draw.log] * chance.uniform(2, 3)
            drawn.replaced = second.freeze(drawn.frozen_s)
            tell(f"{elapsed_s:6.0f} s  {SECOND} frozen for {drawn.frozen_s:.0f} s, replaced: {drawn.replaced}")
            continue
        part = chance.choice(PARTS)
        tell(f"{elapsed_s:6.0f} s  {part} killed, {traffic.answered:,} events answered")
        drawn.killed[part] += 1
        if part == SECOND:
            second.kill()
        else:
            where.stack.running(part, 90)
            where.stack.kill(part)
            where.must_be_safe()
    # What was held up is sent now, as fast as it is taken.
    while not traffic.finished:
        second.keep_for(1.0)
    traffic.finish(1.0)
    second.keep_for(0.0)


def judge(where: Field, drawn: Drawn) -> None:
    """The checker's word, from a process of its own."""
    command = [sys.executable, "-m", "tests.checker", str(where.ledger.path), "--home", str(where.home)]
    done = subprocess.run(command, cwd=ROOT, env=where.env(), capture_output=True, text=True, check=False, timeout=900)
    drawn.said, drawn.ok = done.stdout + done.stderr, done.returncode == 0
    if not drawn.ok:
        drawn.said += where.stack.log_tail()


class Second:
    """The worker beside the stack's own, started again when it ends, as a supervisor would."""

    def __init__(self, where: Field) -> None:
        self._where = where
        self._process = where.run_beside(WORKER)

    def keep_for(self, seconds: float) -> None:
        """Have it run for so long."""
        end_s = time.monotonic() + seconds
        while True:
            if self._process.poll() is not None:
                self._where.extras.remove(self._process)
                self._process = self._where.run_beside(WORKER)
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                return
            time.sleep(min(POLL_S, left_s))

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def freeze(self, seconds: float) -> bool:
        """SIGSTOP, then SIGCONT; whether it had lost all its partitions by then."""
        pid = self._process.pid
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        replaced = str(pid) not in owner_pids(self._where)
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGCONT)
        return replaced


def tell(line: str) -> None:
    """Say what happens as it does."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Play once."""
    parser = argparse.ArgumentParser(prog="python -m tests.runtime.faults.lottery", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", choices=get_args(LogKind), default="apache")
    parser.add_argument("--rate", type=float, default=RATE, help="events a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="millrace-lottery-") as folder:
        drawn = play(Draw(given.seconds, given.seed, given.log, given.rate), Path(folder))
    tell(drawn.said)
    tell(
        f"{drawn.acknowledged:,} events acknowledged, killed {dict(drawn.killed)}, {drawn.rebalances} claims of"
        f" partitions, seed {given.seed}: {'every event once' if drawn.ok else 'BROKEN'}"
    )
    return 0 if drawn.ok else 1


if __name__ == "__main__":
    raise SystemExit(main())
