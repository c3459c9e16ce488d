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


@pytest.fixture
def endpoints_env(
    line: Parts, tmp_path: Path, endpoints: Endpoints, postgres_url: str, clickhouse_url: str
) -> dict[str, str]:
    """The environment by which a command finds the line."""
    return {
        "MILLRACE_HOME": str(tmp_path / "home"),
        "MILLRACE_KAFKA": endpoints.kafka,
        "MILLRACE_CLICKHOUSE_URL": clickhouse_url,
        "MILLRACE_POSTGRES_URL": postgres_url,
        "MILLRACE_GATEWAY_URL": line.gateway_url,
        "MILLRACE_TOPIC": line.topic,
    }
