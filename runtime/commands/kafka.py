"""``millrace kafka``: one node of Apache Kafka, for people without another one at hand."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from core.errors import Refused
from runtime.embedded.apache_kafka.libraries import find_java, kafka_version, libraries
from runtime.embedded.apache_kafka.node import Node, broker_command, prepare
from runtime.embedded.probes import port_is_taken
from runtime.settings import home_of


def kafka(
    folder: Annotated[
        Path | None, typer.Option(help="Where it keeps everything; `kafka-node` in MILLRACE_HOME by default.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 9092,
    fetch_only: Annotated[bool, typer.Option("--fetch-only", help="Bring its artifacts, and do not run it.")] = False,
) -> None:
    """Run one node of a real Apache Kafka in the foreground, until Ctrl-C. What it took is there at the next start.

    Needs Java 17 or newer and, the first time, Maven to bring the broker's artifacts. Use it with
    MILLRACE_KAFKA=127.0.0.1:PORT, or let `millrace up --log apache` run a node of its own.
    """
    java, jars = find_java(), libraries(say)
    if fetch_only:
        say(f"Apache Kafka {kafka_version()} is in {jars}")
        return
    place = folder.absolute() if folder else home_of(os.environ) / "kafka-node"
    if port_is_taken(port):
        raise Refused("port_taken", f"port {port} is taken by another program", status=409)
    node = Node(place, port, java, jars)
    prepare(node)
    say(f"Apache Kafka {kafka_version()} at 127.0.0.1:{port}, data in {place}; Ctrl-C stops it")
    command = broker_command(node)
    # The broker takes this process over, so that signals reach it without a middleman.
    os.execv(command[0], command)  # noqa: S606 - without a shell is the point


def say(text: str) -> None:
    """Tell whoever started it."""
    print(text, file=sys.stderr, flush=True)
