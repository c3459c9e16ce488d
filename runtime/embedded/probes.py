"""Short questions that tell whether a part serves. Each answers within a second."""

from __future__ import annotations

import http.client
import socket
import struct

PROBE_TIMEOUT_S = 1.0
API_VERSIONS = 18


def kafka_answers(port: int) -> bool:
    """Whether a Kafka-protocol broker answers ApiVersions, which creates no topic."""
    client = b"millrace-probe"
    request = struct.pack(">hhih", API_VERSIONS, 0, 1, len(client)) + client
    with socket.create_connection(("127.0.0.1", port), PROBE_TIMEOUT_S) as connection:
        connection.settimeout(PROBE_TIMEOUT_S)
        connection.sendall(struct.pack(">i", len(request)) + request)
        return len(connection.recv(8)) > 4


def http_answers(port: int, path: str) -> bool:
    """Whether ``GET path`` on this machine answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except http.client.HTTPException:
        return False
    finally:
        connection.close()


def port_is_taken(port: int) -> bool:
    """Whether something listens on a local port already."""
    with socket.socket() as probe:
        probe.settimeout(PROBE_TIMEOUT_S)
        return probe.connect_ex(("127.0.0.1", port)) == 0
