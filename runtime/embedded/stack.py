"""The three engines together: what a single machine and the tests stand on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from runtime.embedded.apache_kafka.part import apache_kafka_part
from runtime.embedded.broker import broker_part
from runtime.embedded.clickhouse.part import clickhouse_part
from runtime.embedded.clickhouse.part import clickhouse_url as embedded_clickhouse_url
from runtime.embedded.endpoints import Endpoints
from runtime.embedded.part import Part
from runtime.embedded.ports import EmbeddedPorts
from runtime.embedded.postgres import postgres_part, postgres_url
from runtime.embedded.supervisor import OnEvent, Supervisor, ignore_event
from runtime.settings import DISK_RESERVE_MIB

KAFKA = "kafka"
CLICKHOUSE = "clickhouse"
POSTGRES = "postgres"
CLICKHOUSE_DATABASE = "millrace"


def embedded_parts(
    home: Path,
    ports: EmbeddedPorts,
    without: frozenset[str] = frozenset(),
    *,
    apache_kafka: bool = False,
    disk_reserve_mib: int = DISK_RESERVE_MIB,
) -> list[Part]:
    """The engines in the order of their start; ``without`` names those that a URL replaces.

    The names are ``kafka``, ``clickhouse`` and ``postgres``. The log is the broker that keeps everything in memory,
    or Apache Kafka. ``disk_reserve_mib`` stays free on ClickHouse's disk.
    """
    home = home.resolve()
    builders: dict[str, Callable[[], Part]] = {
        POSTGRES: lambda: postgres_part(home, ports.postgres),
        CLICKHOUSE: lambda: clickhouse_part(home, ports.clickhouse, CLICKHOUSE_DATABASE, reserve_mib=disk_reserve_mib),
        KAFKA: lambda: (apache_kafka_part if apache_kafka else broker_part)(home, ports.kafka),
    }
    unknown = without - builders.keys()
    assert not unknown, f"no such engine: {sorted(unknown)}"
    return [build() for name, build in builders.items() if name not in without]


def endpoints(
    home: Path,
    ports: EmbeddedPorts,
    *,
    kafka: str | None = None,
    clickhouse_url: str | None = None,
    postgres_url_given: str | None = None,
    gateway_url: str | None = None,
) -> Endpoints:
    """Where the engines are found; a given address stands in for the embedded engine's own."""
    return Endpoints(
        kafka=kafka or f"127.0.0.1:{ports.kafka}",
        clickhouse_url=clickhouse_url or embedded_clickhouse_url(home.resolve(), ports.clickhouse, CLICKHOUSE_DATABASE),
        postgres_url=postgres_url_given or postgres_url(home.resolve(), ports.postgres),
        gateway_url=gateway_url,
    )


class EmbeddedStack:
    """The three engines for as long as the ``with`` block runs; on free ports unless some are given."""

    def __init__(self, home: Path, ports: EmbeddedPorts | None = None, on_event: OnEvent = ignore_event) -> None:
        self.home = home
        self.ports = ports or EmbeddedPorts.free()
        self.endpoints = endpoints(home, self.ports)
        self.supervisor = Supervisor(home, on_event)

    def __enter__(self) -> EmbeddedStack:
        self.supervisor.__enter__()
        try:
            self.supervisor.start(embedded_parts(self.home, self.ports))
            self.supervisor.publish(self.endpoints)
        except BaseException:
            self.supervisor.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.supervisor.stop()
