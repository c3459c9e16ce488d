"""Faust as the driver sets it up: what it asks of the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streams.faust_app import DriverSettings, build_app


async def nowhere(_generation: int, _partitions: set[int]) -> Mapping[int, int]:
    """Positions of a group without partitions."""
    return {}


def test_a_fetch_waits_no_longer_than_the_settings_say(tmp_path: Path) -> None:
    """A broker that only looks for news within this time would else let events wait for a second and a half."""
    settings = DriverSettings(kafka="127.0.0.1:1", topic="events", folder=tmp_path, fetch_wait_s=0.25)

    async def wait_ms() -> int:
        app = build_app(settings, nowhere)
        consumer: Any = app.consumer
        consumer._thread.thread_loop.close()
        kafka = consumer._thread._create_worker_consumer(app.transport)
        await kafka.stop()
        found: int = kafka._fetch_max_wait_ms
        return found

    assert asyncio.run(wait_ms()) == 250
