"""Strikes at ClickHouse and Postgres, and at everything: rows 17, 19, 20 and 30."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from runtime.embedded.clickhouse.room import MIB
from streams.sink import Moment
from tests.runtime.faults.field import SMALL_RESERVE_MIB, Field
from tests.runtime.faults.orders import Order, give, obeyed_by
from tests.runtime.faults.stack_process import ROOT, wait_until
from tests.runtime.faults.strikes_log import TABLES, command

# For what comes before the strike, merges included.
LEFT_BYTES = 12 * MIB
# 64 MiB a second.
CHUNK_BYTES = 256 * 1024
CHUNK_EVERY_S = 1 / 256
# What worker and ClickHouse say of a full disk: the refusal, and what to do about it.
TOLD = ("NOT_ENOUGH_SPACE", "free disk space under")
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
    """Leave little more than the reserve on ClickHouse's disk: blocks are stored as ever."""
    ballast = ballast_of(field)
    disk = os.statvfs(ballast.parent)
    with ballast.open("wb") as file:
        for _ in range((disk.f_bavail * disk.f_frsize - SMALL_RESERVE_MIB * MIB - LEFT_BYTES) // CHUNK_BYTES):
            file.write(b"\0" * CHUNK_BYTES)


def fill_store(field: Field, chance: Random, _number: int) -> None:
    """Others fill ClickHouse's disk to the last byte while blocks are written to it.

    Inserts are refused, and tried again until there is room; ClickHouse and the worker go on as they are, and no part
    was cut short.
    """
    pids = [field.stack.running(part) for part in ("clickhouse", "worker")]
    logs = [field.home / "logs" / name for name in ("worker.log", "clickhouse.log")]
    before = [log.read_text(errors="replace").count(word) for log, word in zip(logs, TOLD, strict=True)]
    ballast = ballast_of(field)
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        # Into the reserve while events still come, then on at a pace at which programs fill a disk: not a byte is left.
        file.write(b"\0" * LEFT_BYTES)
        while file.write(b"\0" * CHUNK_BYTES):
            time.sleep(CHUNK_EVERY_S)

    def told() -> bool:
        now = [log.read_text(errors="replace").count(word) for log, word in zip(logs, TOLD, strict=True)]
        return all(count > earlier for count, earlier in zip(now, before, strict=True))

    wait_until(told, 30, lambda: f"no insert was refused:\n{field.stack.log_tail()}")
    time.sleep(chance.uniform(1, 3))
    ballast.unlink()
    assert [field.stack.running(part) for part in ("clickhouse", "worker")] == pids
    for table in TABLES:
        parts = field.usage(f"CHECK TABLE {table} SETTINGS check_query_single_value_result = 0")
        assert all(whole for _, whole, *_ in parts), parts


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
