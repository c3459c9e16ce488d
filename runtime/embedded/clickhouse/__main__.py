"""Starts the front: ``python -m runtime.embedded.clickhouse --port 18123 --path .millrace/clickhouse``."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from core.clock import SystemClock
from core.logs import configure_logs
from runtime.embedded.clickhouse.app import build_app
from runtime.embedded.clickhouse.connection import Engine, quoted_name
from runtime.embedded.clickhouse.front import Front
from runtime.embedded.clickhouse.guard import is_local
from runtime.embedded.clickhouse.room import MIB, Room
from runtime.embedded.clickhouse.watch_room import RoomWatch
from runtime.settings import DISK_RESERVE_MIB

THREADS = 16
# Of the machine's memory: the other parts need theirs.
MEMORY_RATIO = 0.4
MARK_CACHE_BYTES = 512 * 1024 * 1024
# Merges put in order what is stored already, and can wait for those who store and ask: while all cores are busy they
# get what the others leave. Where parts become too many, inserts wait for merges. They keep their two threads: with
# one, a deletion takes twice as long.
NICENESS_OF_MERGES = 10


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m runtime.embedded.clickhouse", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=18123)
    parser.add_argument("--path", type=Path, required=True, help="the folder of the data")
    parser.add_argument("--user", default="default")
    # A file, because everybody on a machine can read the command lines of its processes.
    parser.add_argument("--password-file", type=Path, default=None, help="its text is asked of every client")
    parser.add_argument("--threads", type=int, default=THREADS, help="queries that run at the same time")
    parser.add_argument("--memory-ratio", type=float, default=MEMORY_RATIO, help="share of memory queries may use")
    parser.add_argument("--database", default=None, help="made at the start when missing")
    parser.add_argument("--reserve-mib", type=int, default=DISK_RESERVE_MIB, help="stays free on the disk of the data")
    return parser.parse_args()


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    configure_logs("WARNING")
    given = arguments()
    options = {
        "max_server_memory_usage_to_ram_ratio": str(given.memory_ratio),
        "mark_cache_size": str(MARK_CACHE_BYTES),
        "os_threads_nice_value_merge_mutate": str(NICENESS_OF_MERGES),
    }
    room = Room(given.path, given.reserve_mib * MIB)
    engine = Engine(given.path, options | room.write_configuration())
    watch = RoomWatch(engine, room)
    if given.database:
        engine.ask(f"CREATE DATABASE IF NOT EXISTS {quoted_name(given.database)}")
    password = given.password_file.read_text(encoding="utf-8").strip() if given.password_file else ""
    front = Front(engine, room, SystemClock(), threads=given.threads, user=given.user, password=password)
    watch.start()
    try:
        uvicorn.run(
            build_app(front, local=is_local(given.host)),
            host=given.host,
            port=given.port,
            http="httptools",
            lifespan="off",
            access_log=False,
            log_level="warning",
            timeout_keep_alive=300,
            timeout_graceful_shutdown=3,
        )
    finally:
        watch.stop()
        front.close()


if __name__ == "__main__":
    main()
