"""Where the faults strike: one stack, one generator whose plan is sent a chunk a row, and the checker as the judge."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, LiteralString

import psutil

from core.clock import SystemClock
from runtime.close import close_books
from runtime.conservation.drain import wait_until_drained
from runtime.demo.run import ignore_step
from runtime.settings import LogKind, Settings
from runtime.traffic.ledger import SimulatorLedger
from runtime.traffic.plan import plan_for_last_month
from runtime.traffic.prepare import prepare_traffic
from runtime.traffic.usage import month_of
from runtime.wiring import open_admin, open_books, open_usage_store
from tests.checker.check import check_all
from tests.checker.result import InvariantResult
from tests.checker.stores import open_stores
from tests.runtime.faults.broker_proxy import BrokerProxy
from tests.runtime.faults.safety import asked_until_answered, faults_now
from tests.runtime.faults.stack_process import ROOT, StackProcess, wait_until
from tests.runtime.kafka.small_disk import small_filesystem
from tests.runtime.traffic_thread import TrafficThread

# A row has a chunk for each strike and one for afterwards, so that there always is something left to disturb.
CHUNK_EVENTS = 4_000
ROW_CHUNKS = 4
ROWS_MAX = 40
RATE = 4_000.0
START_WITHIN_S = 120.0
# More than ClickHouse keeps of one row besides its reserve, and still quickly filled.
SMALL = "160m"
SMALL_RESERVE_MIB = 32
OWNERS = "SELECT partition, owner FROM stream_partitions WHERE topic = %(topic)s ORDER BY 1"
# What a fault may cost in catching up, besides three times its own length.
SLACK_S = 30.0
# The embedded broker hands partitions out anew after this, Apache Kafka after twice as long.
LEASE_S: Mapping[LogKind, float] = {"embedded": 3.0, "apache": 6.0}

Strike = Callable[["Field", Random, int], None]


class Field:
    """A running stack, and the account of what was sent to it. ``folder`` is all its own.

    The plan has ``events``, or enough for all rows, in chunks of ``chunk``; 0 leaves their size to the plan.
    ``small_disk_of`` names a part whose folder is a small filesystem, for as long as the stack runs.
    """

    def __init__(
        self,
        folder: Path,
        log: LogKind,
        seed: int,
        *,
        events: int = 0,
        chunk: int = CHUNK_EVENTS,
        small_disk_of: str | None = None,
    ) -> None:
        self.log = log
        home = folder / "home"
        self.stack = StackProcess(
            home,
            log,
            within=small_filesystem(home / small_disk_of, size=SMALL) if small_disk_of else (),
            module="tests.runtime.faults.struck_up",
            more={"MILLRACE_AUDIT_EVERY_S": "0"}
            | ({"MILLRACE_DISK_RESERVE_MIB": str(SMALL_RESERVE_MIB)} if small_disk_of else {}),
        )
        plan = plan_for_last_month(
            SystemClock().now(),
            seed=seed,
            events=events or ROWS_MAX * ROW_CHUNKS * CHUNK_EVENTS,
            chunk_events=chunk,
            merchants=10,
            customers=20,
            request_events=200,
            repeat_share=0.05,
            # A conflict whose first copy got no answer might be stored before it: the account could not tell.
            conflict_share=0.0,
        )
        self.ledger = SimulatorLedger(plan, folder / "ledger.json")
        self.keys: tuple[str, ...] = ()
        self.chunk = -1
        self.extras: list[subprocess.Popen[bytes]] = []
        # Between the gateway and the broker, while a row has it so.
        self.proxy: BrokerProxy | None = None
        # Set by whoever makes the log anew: committed offsets are then of another one.
        self.same_log = True

    def start(self) -> None:
        """Start the stack, and tell it of the plan's merchants."""
        self.stack.start(START_WITHIN_S)
        settings = self.settings
        books, store = open_books(settings), open_usage_store(settings)
        self.keys = prepare_traffic(books, store, self.ledger.plan)
        store.close()
        books.dispose()

    def stop(self) -> None:
        """End everything, and see that nothing stays behind."""
        self.dismiss()
        self.stack.stop()

    @property
    def settings(self) -> Settings:
        """Where the parts are."""
        return self.stack.settings()

    @property
    def home(self) -> Path:
        """The stack's folder."""
        return self.stack.home

    def env(self, **more: str) -> dict[str, str]:
        """What a process of ours must be told in order to work beside the stack's own."""
        settings = self.settings
        given = {
            "MILLRACE_HOME": str(settings.home),
            "MILLRACE_KAFKA": settings.kafka,
            "MILLRACE_CLICKHOUSE_URL": settings.clickhouse_url,
            "MILLRACE_POSTGRES_URL": settings.postgres_url,
            "MILLRACE_TOPIC": settings.topic,
        }
        if self.log == "embedded":
            given["MILLRACE_JOURNAL_DIR"] = str(settings.home / "journal")
        return {**os.environ, **given, **more}

    def run_beside(self, module: str, **more: str) -> subprocess.Popen[bytes]:
        """One more process; ``dismiss`` ends it."""
        name = f"extra-{module.rpartition('.')[2]}.log"
        with (self.home / "logs" / name).open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", module], cwd=ROOT, env=self.env(**more), stdout=out, stderr=out
            )
        self.extras.append(process)
        return process

    def dismiss(self) -> None:
        """End the processes that were started beside the stack: by SIGTERM, or by force if one stands still."""
        for process in self.extras:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.extras:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.extras.clear()

    def send(self, door: str | None = None, rate: float = RATE) -> TrafficThread:
        """Send the next chunk of the plan through a door; the stack's own gateway unless told otherwise."""
        self.chunk += 1
        url = door or self.settings.gateway_url
        return TrafficThread(self.ledger, url, self.keys, rate=rate, give_up_after_s=150, chunk=self.chunk)

    def send_all(self, rate: float) -> TrafficThread:
        """Send the whole plan through the stack's own gateway."""
        return TrafficThread(self.ledger, self.settings.gateway_url, self.keys, rate=rate, give_up_after_s=150)

    def must_be_safe(self) -> None:
        """Nothing may be doubled, skipped or committed too far, not even for a moment."""
        faults = faults_now(self.settings, same_log=self.same_log)
        assert not faults, "\n".join([*faults, self.stack.log_tail()])

    def rows(self, statement: LiteralString, **bound: object) -> list[tuple[Any, ...]]:
        """Rows from the books about the topic, once they answer."""

        def look() -> list[tuple[Any, ...]]:
            with open_stores(self.settings) as stores:
                return stores.sql(statement, topic=stores.settings.topic, **bound)

        return asked_until_answered(look)

    def usage(self, statement: str) -> list[list[Any]]:
        """Rows from ClickHouse, once it answers."""

        def look() -> list[list[Any]]:
            with open_stores(self.settings) as stores:
                return stores.usage(statement)

        return asked_until_answered(look)

    def owners(self) -> dict[int, str]:
        """Who holds each partition."""
        return dict(self.rows(OWNERS))

    def wait_for_owners(self, count: int, within_s: float = 40) -> None:
        """Until the partitions are shared by so many workers that live."""

        def shared() -> bool:
            pids = {int(owner.rpartition(":")[2]) for owner in self.owners().values()}
            return len(pids) == count and all(psutil.pid_exists(pid) for pid in pids)

        wait_until(shared, within_s, lambda: f"owners are {self.owners()}:\n{self.stack.log_tail()}")

    def drain(self, within_s: float) -> float:
        """Wait until all that was acknowledged is sealed; how many seconds that took."""
        began_s = time.monotonic()
        settings = self.settings
        books = open_books(settings)
        try:
            wait_until_drained(
                books,
                open_admin(settings),
                settings.topic,
                SystemClock(),
                acknowledged=self.ledger.accepted,
                time_limit_s=within_s,
            )
        finally:
            books.dispose()
        return time.monotonic() - began_s

    def judge(self, within_s: float) -> list[InvariantResult]:
        """All invariants, by the checker; ``within_s`` is what is left for the lag to return to nothing."""
        return check_all(self.ledger, self.settings, caught_up_within_s=within_s, close_again=False)

    def must_hold(self, within_s: float) -> None:
        """Nothing may be broken; otherwise the stack's logs are part of the answer."""
        broken = [result.row() for result in self.judge(within_s) if not result.holds]
        assert not broken, "\n".join([*broken, self.stack.log_tail()])

    def close_month(self) -> None:
        """Bill everything that was sent."""
        settings = self.settings
        books, store = open_books(settings), open_usage_store(settings)
        try:
            close_books(books, store, SystemClock(), month_of(self.ledger.plan).isoformat()[:7], on_step=ignore_step)
        finally:
            store.close()
            books.dispose()
