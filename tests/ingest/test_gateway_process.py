"""The gateway as a process of its own: killed, stopped, and two of them on one journal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import orjson
import pytest
from sqlalchemy import Engine

from catalog.apply import apply_text
from catalog.keys import create_key
from core.db import transaction
from runtime.embedded.ports import free_port
from runtime.embedded.probes import http_answers
from tests.ingest.conftest import Broker, ReadLog

ROOT = Path(__file__).parents[2]
TOPIC = "process.usage-events"


class GatewayProcess:
    """``millrace gateway`` with a journal, on the given broker and books."""

    def __init__(self, broker: Broker, postgres_url: str, home: Path) -> None:
        self.port = free_port()
        self.env = {
            **os.environ,
            "MILLRACE_HOME": str(home),
            "MILLRACE_KAFKA": broker.address,
            "MILLRACE_POSTGRES_URL": postgres_url,
            "MILLRACE_CLICKHOUSE_URL": "http://127.0.0.1:1/none",
            "MILLRACE_GATEWAY_PORT": str(self.port),
            "MILLRACE_TOPIC": TOPIC,
            "MILLRACE_JOURNAL_DIR": str(home / "journal"),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it is ready."""
        command = [sys.executable, "-m", "runtime", "gateway"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.env, stderr=subprocess.DEVNULL)
        for _ in range(200):
            with suppress(OSError):
                if http_answers(self.port, "/readyz"):
                    return
            time.sleep(0.1)
        pytest.fail("the gateway did not become ready")

    def end(self, number: signal.Signals) -> int:
        """Signal it and wait; returns its exit code."""
        assert self.process, "it was started"
        self.process.send_signal(number)
        return self.process.wait(20)


class Senders:
    """Threads that send single events and batches, and note what was acknowledged."""

    def __init__(self, port: int, key: str) -> None:
        self.url = f"http://127.0.0.1:{port}/v1/events"
        self.headers = {"authorization": f"Bearer {key}"}
        self.acknowledged: set[str] = set()
        self.statuses: set[int] = set()
        self.broken_off = 0
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.send, args=(f"s{i}", i % 2 * 49 + 1)) for i in range(6)]
        for thread in self.threads:
            thread.start()

    def send(self, name: str, batch: int) -> None:
        """Send until told to stop."""
        number = 0
        with httpx.Client(headers=self.headers, timeout=30) as client:
            while not self.stop.is_set():
                number += 1
                ids = [f"{name}-{number}-{i}" for i in range(batch)]
                body = orjson.dumps([{"id": one, "type": "t", "subject": "s"} for one in ids])
                try:
                    answer = client.post(self.url, content=body)
                except httpx.TransportError:
                    self.broken_off += 1
                    time.sleep(0.01)
                    continue
                self.statuses.add(answer.status_code)
                if answer.status_code == 202:
                    self.acknowledged.update(ids)

    def finish(self) -> None:
        """Stop and wait."""
        self.stop.set()
        for thread in self.threads:
            thread.join(30)


@pytest.fixture
def key(books: Engine) -> str:
    """A merchant's key."""
    apply_text(books, "merchant: {code: acme, name: Acme}\n")
    with transaction(books) as connection:
        return create_key(connection, "acme").key


@pytest.fixture
def gateway(broker: Broker, postgres_url: str, tmp_path: Path) -> Iterator[GatewayProcess]:
    """A gateway process that is ready."""
    one = GatewayProcess(broker, postgres_url, tmp_path / "home")
    one.start()
    yield one
    if one.process and one.process.poll() is None:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def second(broker: Broker, postgres_url: str, tmp_path: Path) -> Iterator[GatewayProcess]:
    """Another gateway on the same journal folder."""
    one = GatewayProcess(broker, postgres_url, tmp_path / "home")
    one.start()
    yield one
    if one.process and one.process.poll() is None:
        one.process.kill()
        one.process.wait()


def ids_in(read_log: ReadLog, broker: Broker) -> set[str]:
    """All event ids in the log."""
    envelopes = read_log(broker.address, TOPIC)
    return {one for envelope in envelopes for one in envelope.events.column("event_id").to_pylist()}


def test_a_wrong_key_is_refused(gateway: GatewayProcess, key: str) -> None:
    """401 without it, 202 with it, over a real connection."""
    url = f"http://127.0.0.1:{gateway.port}/v1/events"
    event = {"id": "a", "type": "t", "subject": "s"}

    statuses = [
        httpx.post(url, json=event, headers={"authorization": f"Bearer {one}"}).status_code
        for one in (key[:-1] + ("x" if key[-1] != "x" else "y"), "bb_", key)
    ]

    assert statuses == [401, 401, 202]


def test_everything_killed_at_once_loses_nothing_acknowledged(
    gateway: GatewayProcess, broker: Broker, key: str, read_log: ReadLog
) -> None:
    """Gateway and broker by SIGKILL in mid-stream; the next gateway gives the new log what the first had answered."""
    senders = Senders(gateway.port, key)
    time.sleep(2)
    assert gateway.process
    gateway.process.kill()
    broker.kill()
    gateway.process.wait()
    senders.finish()
    broker.start()
    gateway.start()

    for _ in range(100):
        if senders.acknowledged <= ids_in(read_log, broker):
            break
        time.sleep(0.2)

    assert len(senders.acknowledged) > 100
    assert senders.acknowledged <= ids_in(read_log, broker)


def test_sigterm_answers_what_is_in_flight(
    gateway: GatewayProcess, broker: Broker, key: str, read_log: ReadLog
) -> None:
    """No request that was taken is left without its answer, the process ends with 0, and no 2xx is missing."""
    senders = Senders(gateway.port, key)
    time.sleep(1.5)

    code = gateway.end(signal.SIGTERM)
    senders.finish()

    assert code == 0
    assert senders.statuses == {202}
    assert len(senders.acknowledged) > 100
    assert senders.acknowledged <= ids_in(read_log, broker)


def test_a_living_gateway_and_a_dead_ones_journal(
    gateway: GatewayProcess, second: GatewayProcess, broker: Broker, key: str, read_log: ReadLog
) -> None:
    """Two gateways on one journal folder; one dies with the log, and its successor brings everything back."""
    both = [Senders(one.port, key) for one in (gateway, second)]
    time.sleep(1.5)
    assert gateway.process
    gateway.process.kill()
    gateway.process.wait()
    both[0].finish()
    broker.kill()
    broker.start()
    gateway.start()
    both[1].finish()
    wanted = {f"{one}" for senders in both for one in senders.acknowledged}

    for _ in range(100):
        if wanted <= ids_in(read_log, broker):
            break
        time.sleep(0.2)

    assert wanted <= ids_in(read_log, broker)
    assert second.end(signal.SIGTERM) == 0
