"""One node: its settings, its storage, and the command that runs it."""

from __future__ import annotations

import base64
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from core.errors import Refused
from runtime.embedded.apache_kafka.libraries import PROJECT
from runtime.embedded.ports import free_ports

FORMAT_WITHIN_S = 60
HEAP = ("-Xms256m", "-Xmx512m")
# One small heap on few cores: the collector that needs no threads of its own.
JVM = (*HEAP, "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true")


@dataclass(frozen=True, slots=True)
class Node:
    """A broker that is its own controller, on a local port, with everything it keeps in ``folder``."""

    folder: Path
    port: int
    java: str
    jars: Path

    @property
    def data(self) -> Path:
        """The log and the metadata."""
        return self.folder / "data"

    @property
    def settings(self) -> Path:
        """What the broker is started with."""
        return self.folder / "server.properties"


def run_java(node: Node, program: str, *arguments: str) -> tuple[str, ...]:
    """The command for one of Kafka's programs."""
    log4j = f"-Dlog4j2.configurationFile={PROJECT / 'log4j2.properties'}"
    return (node.java, *JVM, log4j, "-cp", f"{node.jars}{os.sep}*", program, *arguments)


def broker_command(node: Node) -> tuple[str, ...]:
    """The command that runs the broker until it is told to stop."""
    return run_java(node, "kafka.Kafka", str(node.settings))


def prepare(node: Node) -> None:
    """Write the settings and format the storage, unless that was done before. Raises ``Refused`` when it fails."""
    if "," in str(node.folder):
        raise Refused("folder_invalid", f"Apache Kafka takes a comma for the end of a folder: {node.folder}")
    node.folder.mkdir(parents=True, exist_ok=True)
    # Nobody but the node itself talks to its controller, so that any free port will do, another one each time.
    node.settings.write_text(settings_text(node, free_ports(1)[0]), encoding="utf-8")
    if not (node.data / "meta.properties").exists():
        format_storage(node)


def settings_text(node: Node, controller_port: int) -> str:
    """The settings that all nodes share, then those of this one."""
    own = {
        "listeners": f"PLAINTEXT://127.0.0.1:{node.port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{node.port}",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "log.dirs": str(node.data),
    }
    shared = (PROJECT / "server.properties").read_text(encoding="utf-8")
    return shared + "\n" + "".join(f"{name}={value}\n" for name, value in own.items())


def format_storage(node: Node) -> None:
    """Give new storage the identity of a new cluster."""
    settings = ("--config", str(node.settings), "--ignore-formatted")
    command = run_java(node, "kafka.tools.StorageTool", "format", "--cluster-id", new_cluster_id(), *settings)
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=FORMAT_WITHIN_S,
        check=False,
    )
    if done.returncode != 0:
        raise Refused("format_failed", f"Apache Kafka did not format {node.data}:\n{done.stdout.strip()}")


def new_cluster_id() -> str:
    """A random identity in Kafka's own form, which never looks like an option."""
    while True:
        found = base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")
        if not found.startswith("-"):
            return found
