"""The node as a part of the embedded stack."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from runtime.embedded.apache_kafka.libraries import find_java, libraries
from runtime.embedded.apache_kafka.node import Node, broker_command, prepare
from runtime.embedded.part import Part
from runtime.embedded.probes import kafka_answers

NAME = "kafka"


def apache_kafka_part(home: Path, port: int) -> Part:
    """Apache Kafka on a local port, its data below ``home``. Raises ``Refused`` when Java or its jars are missing."""
    node = Node(home / NAME, port, find_java(), libraries())
    return Part(
        name=NAME,
        argv=broker_command(node),
        ready=lambda: kafka_answers(port),
        prepare=partial(prepare, node),
        port=port,
        # After a kill it reads the end of its log again.
        ready_within_s=90.0,
        grace_s=20.0,
    )
