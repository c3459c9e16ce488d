"""``python -m benchmarks.baseline.agent KAFKA TOPIC FOLDER ROWS``: a Faust agent that counts usage and keeps rows.

Every event is counted in a table and becomes a row; so many ``ROWS`` make an insert: 1 in tutorials, more where
somebody has read on.
The address of ClickHouse is the first line of the input, as it holds a password.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import clickhouse_connect
import faust

TABLE = "tutorial_events"
COLUMNS = ("id", "type", "subject", "time", "value", "data")
PARTITIONS = 4
BATCH_WITHIN_S = 0.5


def build_app(kafka: str, topic_name: str, folder: Path, rows_max: int, clickhouse_url: str) -> faust.App:
    """The application: one agent, one table."""
    app = faust.App(
        "tutorial",
        broker=f"aiokafka://{kafka}",
        datadir=folder,
        store="memory://",
        topic_partitions=PARTITIONS,
        topic_disable_leader=True,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
    )
    topic = app.topic(topic_name, value_serializer="raw", key_serializer="raw", partitions=PARTITIONS)
    usage = app.Table("usage", default=float, partitions=PARTITIONS)
    client = clickhouse_connect.get_client(dsn=clickhouse_url, autogenerate_session_id=False)

    def row_of(raw: bytes) -> tuple[Any, ...]:
        event = json.loads(raw)
        value = event.get("data", {}).get("value", 0)
        amount = float(value) if isinstance(value, int | float) else 0.0
        kind, subject = event.get("type") or "", event.get("subject") or ""
        usage[f"{subject}/{kind}"] += amount
        return event.get("id", ""), kind, subject, event.get("time", ""), amount, json.dumps(event)

    waiting: list[tuple[Any, ...]] = []

    def insert_waiting() -> None:
        if waiting:
            client.insert(TABLE, waiting, column_names=COLUMNS)
            waiting.clear()

    async def count(events: Any) -> None:
        async for raw in events:
            waiting.append(row_of(raw))
            if len(waiting) >= rows_max:
                insert_waiting()

    async def flush() -> None:
        insert_waiting()

    app.agent(topic)(count)
    app.timer(interval=BATCH_WITHIN_S)(flush)
    return app


if __name__ == "__main__":
    address = sys.stdin.readline().strip()
    faust_app = build_app(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), address)
    sys.argv = [sys.argv[0], "worker", "--loglevel", "warn"]
    faust_app.main()
