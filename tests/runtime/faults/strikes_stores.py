"""Strikes at ClickHouse and Postgres, and at everything: rows 17, 19, 20 and 30."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

from streams.sink import Moment
from tests.runtime.faults.field import SLACK_S, Field
from tests.runtime.faults.orders import Order, give, obeyed_by
from tests.runtime.faults.stack_process import ROOT, wait_until
from tests.runtime.faults.strikes_log import TABLES, command

# ClickHouse sets a mebibyte aside for an insert, however small.
LEFT_BYTES = 192 * 1024
CHUNK_BYTES = 64 * 1024
REFUSED = "NOT_ENOUGH_SPACE"
# The tables that are emptied: windows alone, events of one partition, everything.
EMPTIED = (
    ["TRUNCATE TABLE usage_windows", "TRUNCATE TABLE usage_uniques"],
    ["ALTER TABLE usage_events DELETE WHERE partition = {partition} SETTINGS mutations_sync = 2"],
    [f"TRUNCATE TABLE {table}" for table in TABLES],
)


def kill_store_in_insert(field: Field, chance: Random, number: int) -> None:
    """SIGKILL to ClickHouse some milliseconds into an insert, whose outcome then nobody knows."""
    before = field.stack.running("clickhouse")
    moment: Moment = ("after_intent", "after_events", "after_intent")[number]
    give(field.home, "worker", Order(moment, chance.randint(1, 3), "kill_store", chance.uniform(0, 25)))
    wait_until(lambda: obeyed_by(field.home, "worker") is not None, 40, lambda: f"no worker came to {moment}")
    field.stack.started_again("clickhouse", before)


def kill_books(field: Field, _chance: Random, _number: int) -> None:
    """SIGKILL to Postgres and all its children."""
    field.stack.end("postgres")


def crowd_store(field: Field) -> None:
    """Leave less room on ClickHouse's disk than it wants for an insert, while nothing is under way.

    Not to the last byte, and not within a write: see the row's exception in `matrix.py`.
    """
    field.drain(2 * SLACK_S)
    ballast = ballast_of(field)
    disk = os.statvfs(ballast.parent)
    with ballast.open("wb") as file:
        for _ in range((disk.f_bavail * disk.f_frsize - LEFT_BYTES) // CHUNK_BYTES + 1):
            file.write(b"\0" * CHUNK_BYTES)


def make_room(field: Field, chance: Random, number: int) -> None:
    """Inserts are refused, and tried again until there is room; ClickHouse and the worker go on as they are."""
    pids = [field.stack.running(part) for part in ("clickhouse", "worker")]
    log = field.home / "logs" / "worker.log"
    wait_until(lambda: log.read_text(errors="replace").count(REFUSED) > number, 30, lambda: "no insert was refused")
    time.sleep(chance.uniform(1, 3))
    ballast_of(field).unlink()
    assert [field.stack.running(part) for part in ("clickhouse", "worker")] == pids


def ballast_of(field: Field) -> Path:
    """The file that takes the room, on the filesystem that only the stack sees."""
    assert field.stack.process is not None
    return Path(f"/proc/{field.stack.process.pid}/root") / (field.home / "clickhouse").relative_to("/") / "ballast"


def empty_and_rebuild(field: Field, chance: Random, number: int) -> None:
    """Empty tables, rebuild them with `millrace audit --repair`, and find the very rows that were there."""
    before = contents(field)
    for statement in EMPTIED[number]:
        command(field, statement.replace("{partition}", str(chance.randrange(4))))
    assert contents(field) != before
    done = subprocess.run(
        [sys.executable, "-m", "runtime", "audit", "--repair"],
        cwd=ROOT,
        env=field.env(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(field) == before


def contents(field: Field) -> list[tuple[str, ...]]:
    """For each table the number of its rows, and a sum over all their bytes that does not depend on their order."""
    return [
        tuple(map(str, field.usage(f"SELECT count(), sum(cityHash64(*)), groupBitXor(cityHash64(*)) FROM {table}")[0]))
        for table in TABLES
    ]


def kill_everything(field: Field, _chance: Random, _number: int) -> None:
    """Everything at once by SIGKILL, and `millrace up` on what is left on disk."""
    field.same_log = field.log == "apache"
    field.stack.kill_everything()
    field.stack.start(90)
