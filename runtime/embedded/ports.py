"""The ports that the engines listen on."""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EmbeddedPorts:
    """Local TCP ports; the defaults keep clear of those that the engines use when installed otherwise."""

    kafka: int = 19092
    clickhouse: int = 18123
    postgres: int = 15432

    @classmethod
    def free(cls) -> EmbeddedPorts:
        """Ports that nothing uses now, for tests."""
        kafka, clickhouse, postgres = free_ports(3)
        return cls(kafka, clickhouse, postgres)


def free_ports(count: int) -> list[int]:
    """``count`` different ports that nothing uses now; taken only when somebody binds them."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def free_port() -> int:
    """One port that nothing uses now."""
    return free_ports(1)[0]
