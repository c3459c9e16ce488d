"""A gateway and a worker on the engines of the session, each test with stores and a topic of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.commands.demo import connected
from runtime.demo.run import Parts
from runtime.embedded.endpoints import Endpoints
from runtime.embedded.ports import free_port
from runtime.settings import StackSettings
from runtime.stack import running_stack


@pytest.fixture
def line(tmp_path: Path, endpoints: Endpoints, postgres_url: str, clickhouse_url: str, topic: str) -> Iterator[Parts]:
    """The whole line, from the gateway's door to the stores, all of them empty."""
    settings = StackSettings(
        home=tmp_path / "home",
        gateway_port=free_port(),
        kafka_port=0,
        clickhouse_port=0,
        postgres_port=0,
        kafka=endpoints.kafka,
        clickhouse_url=clickhouse_url,
        postgres_url=postgres_url,
        topic=topic,
        partitions=4,
    )
    with running_stack(settings) as stack, connected(stack) as parts:
        yield parts
