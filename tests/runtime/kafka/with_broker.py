"""Runs a command beside a fresh Apache Kafka: ``python -m tests.runtime.kafka.with_broker COMMAND...``.

The command finds the broker in MILLRACE_KAFKA. Ends with the command's exit code, and leaves nothing behind.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from core.errors import MillraceError
from runtime.embedded.apache_kafka.part import apache_kafka_part
from runtime.embedded.ports import free_port
from runtime.embedded.supervisor import Supervisor

EXIT_NO_BROKER = 3


def run_beside_a_broker(command: Sequence[str]) -> int:
    """Start a node on a fresh folder and a free port, run the command, stop the node."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="millrace-kafka-") as folder, Supervisor(Path(folder)) as supervisor:
        supervisor.start([apache_kafka_part(Path(folder), port)])
        env = {**os.environ, "MILLRACE_KAFKA": f"127.0.0.1:{port}", "MILLRACE_LOG": "apache"}
        code = subprocess.run(command, env=env, check=False).returncode
        # A broker that died meanwhile was started again, and would hide it.
        deaths = sum(part.restarts for part in supervisor.status())
        if deaths:
            sys.stderr.write(f"Apache Kafka died {deaths} times by itself\n")
        return code or (EXIT_NO_BROKER if deaths else 0)


if __name__ == "__main__":
    try:
        raise SystemExit(run_beside_a_broker(sys.argv[1:]))
    except MillraceError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EXIT_NO_BROKER) from error
