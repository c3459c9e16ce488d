"""``python -m benchmarks.clickhouse_insert``: CPU-microseconds an event of the embedded ClickHouse, merges included.

Seeded blocks go through the client and the front into migrated tables of a fresh engine, as a worker's do. ``insert``
is what the process spends until the last answer, ``in all`` until no merge is left. ``client`` is this process: packing
and sending. The floor is the engine alone, in this process: rows read from a file of its own Native format into tables
alike, without merges. Figures compare within one run only: neighbours on the same cores make everything dearer.
"""

from __future__ import annotations

import os

# As the worker's command sets it; it is read at the first import.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time, sleep
from typing import Annotated

import psutil
import pyarrow as pa
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.seeded_rows import seeded_blocks, seeded_plan
from clickhouse.arrow import stream_bytes, to_table
from clickhouse.client import UsageStore, open_usage_store
from clickhouse.migrate import migrate
from runtime.embedded.clickhouse.connection import Connection, Engine, quoted
from runtime.embedded.clickhouse.part import clickhouse_part, clickhouse_url
from runtime.embedded.ports import EmbeddedPorts
from runtime.embedded.supervisor import Supervisor
from streams.native import native_block
from streams.rows import TABLES
from streams.store import ClickHouseStore
from streams.table_order import ORDERS

DATABASE = "millrace"
QUIET_LOOKS = 8
LOOK_EVERY_S = 0.25
Blocks = list[dict[str, pa.Table]]


def main(
    *,
    events: Annotated[int, typer.Option(help="Events made.")] = 1_200_000,
    merchants: Annotated[int, typer.Option(help="How many merchants send.")] = 1_000,
    rows: Annotated[str, typer.Option(help="Events a block.")] = "25000,50000,100000",
    span_s: Annotated[int, typer.Option(help="Seconds of usage time: fewer make fewer windows.")] = 3 * 24 * 3600,
    to: Annotated[int | None, typer.Option(help="Migrate this far only, to compare.")] = None,
    arrow: Annotated[bool, typer.Option("--arrow", help="Measure windows handed over as Arrow as well.")] = False,
) -> None:
    """Measure each size of block and print a table."""
    plan = seeded_plan(events, merchants, span_s)
    columns = {}
    for size in map(int, rows.split(",")):
        blocks = list(seeded_blocks(plan, size))
        if arrow:
            columns[f"{size:,}, all Arrow"] = measure_front(blocks, to, arrow=True)
        columns[f"{size:,}"] = measure_front(blocks, to)
    show(columns)


def measure_front(blocks: Blocks, target: int | None, *, arrow: bool = False) -> dict[str, str]:
    """CPU-microseconds an event, by what they went into; bytes an event on disk."""
    count = sum(block[TABLES[0]].num_rows for block in blocks)
    with TemporaryDirectory(prefix="millrace-bench-") as folder, running_front(Path(folder)) as (store, front):
        migrate(store, target)
        sink = ClickHouseStore(store)
        for table in ORDERS:
            # What is compiled at the first call is no block's cost.
            native_block(table, blocks[0][table])
        sleep(1.0)
        begun_s, own_s = cpu_s(front), process_time()
        by_table = dict.fromkeys(TABLES, 0.0)
        for number, block in enumerate(blocks):
            for table, rows in block.items():
                before_s = cpu_s(front)
                if arrow:
                    store.insert_frame(table, rows, token=f"{number}:{table}")
                else:
                    sink.insert(table, rows, f"{number}:{table}")
                by_table[table] += cpu_s(front) - before_s
        inserted_s, client_s = cpu_s(front) - begun_s, process_time() - own_s
        wait_for_merges(store)
        in_all_s = cpu_s(front) - begun_s
        disk = store.query_frame(
            "SELECT toUInt64(sum(bytes_on_disk)) AS bytes, toUInt64(count()) AS parts FROM system.parts"
            " WHERE active AND database = currentDatabase() AND startsWith(table, 'usage_')"
        ).row(0, named=True)
        floor_s = measure_floor(Path(folder), blocks, {table: declaration(store, table) for table in TABLES})
    rows_stored = sum(table.num_rows for block in blocks for table in block.values())
    spent = {**by_table, "insert": inserted_s, "in all": in_all_s, "client": client_s, "floor": floor_s}
    return {
        "events": f"{count:,}",
        "rows an event": f"{rows_stored / count:.2f}",
        **{name: f"{seconds / count * 1e6:.2f}" for name, seconds in spent.items()},
        "bytes on disk": f"{disk['bytes'] / count:.1f}",
        "parts": str(disk["parts"]),
    }


@contextmanager
def running_front(home: Path) -> Iterator[tuple[UsageStore, psutil.Process]]:
    """A fresh engine behind its front, and its process."""
    port = EmbeddedPorts.free().clickhouse
    with Supervisor(home) as supervisor:
        supervisor.start([clickhouse_part(home, port, DATABASE)])
        store = open_usage_store(clickhouse_url(home, port, DATABASE))
        try:
            yield store, psutil.Process(supervisor.status()[0].pid)
        finally:
            store.close()


def cpu_s(process: psutil.Process) -> float:
    """User and system time so far; the front has no children."""
    times = process.cpu_times()
    return float(times.user + times.system)


def wait_for_merges(store: UsageStore) -> None:
    """Wait until the engine has found nothing to merge for a while."""
    quiet = 0
    while quiet < QUIET_LOOKS:
        running = store.query_frame("SELECT toUInt64(count()) AS merges FROM system.merges")["merges"][0]
        quiet = 0 if running else quiet + 1
        sleep(LOOK_EVERY_S)


def declaration(store: UsageStore, table: str) -> str:
    """How the table was made."""
    where = "database = currentDatabase() AND name = {name:String}"
    found = store.query_frame(f"SELECT create_table_query AS sql FROM system.tables WHERE {where}", {"name": table})
    return str(found["sql"][0])


def measure_floor(folder: Path, blocks: Blocks, declarations: dict[str, str]) -> float:
    """CPU seconds of the engine alone for the same rows."""
    engine = Engine(folder / "floor", {})
    connection = engine.open()
    try:
        connection.query(f"CREATE DATABASE {DATABASE}")
        connection.use(DATABASE)
        for table, sql in declarations.items():
            connection.query(sql)
            connection.query(f"SYSTEM STOP MERGES {table}")
        return sum(insert_native(connection, folder, table, block[table]) for block in blocks for table in TABLES)
    finally:
        connection.close()
        engine.close()


def insert_native(connection: Connection, folder: Path, table: str, rows: pa.Table) -> float:
    """CPU seconds of one insert from a file, after writing that file."""
    arrow, native = folder / "rows.arrow", folder / "rows.native"
    arrow.write_bytes(stream_bytes(to_table(rows)))
    names = ", ".join(rows.column_names)
    shape = f"SELECT {names} FROM {table} LIMIT 0"
    connection.query(f"CREATE TEMPORARY TABLE rows AS {shape}")
    connection.query(f"INSERT INTO rows ({names}) SELECT * FROM file({quoted(str(arrow))}, 'ArrowStream')")
    connection.query(f"SELECT * FROM rows INTO OUTFILE {quoted(str(native))} TRUNCATE FORMAT Native")
    connection.query("DROP TEMPORARY TABLE rows")
    begun_s = process_time()
    connection.query(f"INSERT INTO {table} ({names}) SELECT * FROM file({quoted(str(native))}, 'Native')")
    return process_time() - begun_s


def show(columns: dict[str, dict[str, str]]) -> None:
    """One column a size of block."""
    table = Table(title="CPU-µs an event in the embedded ClickHouse, by events a block")
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    for step in next(iter(columns.values())):
        table.add_row(step, *(found[step] for found in columns.values()))
    Console(highlight=False).print(table)


if __name__ == "__main__":
    typer.run(main)
