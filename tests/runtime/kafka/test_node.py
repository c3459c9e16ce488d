"""Apache Kafka as a part of the stack: it keeps what it took, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition

from core.clock import SystemClock
from core.errors import Refused
from core.limits import ENVELOPE_BYTES_MAX
from runtime.embedded.apache_kafka.libraries import find_java, kafka_version, libraries
from runtime.embedded.apache_kafka.part import apache_kafka_part
from runtime.embedded.ports import free_port
from runtime.embedded.probes import kafka_answers
from runtime.embedded.supervisor import Supervisor
from runtime.embedded.watched import State
from runtime.topic import open_admin, wait_for_topic
from tests.runtime.faults.stack_process import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[3]
TOPIC = "events"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Supervisor, str]]:
    """A node under supervision, and its address."""
    port = free_port()
    with Supervisor(tmp_path) as supervisor:
        supervisor.start([apache_kafka_part(tmp_path, port)])
        yield supervisor, f"127.0.0.1:{port}"


def produce(address: str, bodies: list[bytes]) -> None:
    """Write each body into partition 2, and see each confirmed."""
    failed: list[KafkaError] = []

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error)

    size = ENVELOPE_BYTES_MAX + 64 * 1024
    producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "message.max.bytes": size})
    for body in bodies:
        producer.produce(TOPIC, body, partition=2, headers={"n": b"1"}, on_delivery=on_delivery)
    assert producer.flush(30) == 0
    assert failed == []


def read(address: str, count: int) -> list[bytes | None]:
    """The first messages of partition 2."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "g", "fetch.message.max.bytes": 16 * 1024 * 1024})
    consumer.assign([TopicPartition(TOPIC, 2, OFFSET_BEGINNING)])
    found: list[bytes | None] = []
    clock = SystemClock()
    end_s = clock.steady_s() + 30
    while len(found) < count and clock.steady_s() < end_s:
        found += [message.value() for message in consumer.consume(1, 5)]
    consumer.close()
    return found


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_node_that_ends_comes_back_with_all_that_it_confirmed(
    running: tuple[Supervisor, str], how: signal.Signals
) -> None:
    """Same folder: same topic, same identity of it, same messages, the largest envelope among them."""
    supervisor, address = running
    topic_id = wait_for_topic(open_admin(address), TOPIC, 4, SystemClock())
    bodies = [os.urandom(1000) for _ in range(50)] + [os.urandom(ENVELOPE_BYTES_MAX)]
    produce(address, bodies)
    os.kill(supervisor.status()[0].pid, how)
    supervisor.wait(lambda: supervisor.status()[0].restarts == 1 and supervisor.status()[0].state is State.READY)
    produce(address, [b"after"])

    assert wait_for_topic(open_admin(address), TOPIC, 4, SystemClock()) == topic_id
    assert read(address, 52) == [*bodies, b"after"]


def test_no_topic_is_made_by_asking_for_it(running: tuple[Supervisor, str]) -> None:
    """A topic made by itself would have another number of partitions, and copies would no longer meet."""
    admin = open_admin(running[1])
    admin.list_topics("guess", timeout=10)

    assert "guess" not in admin.list_topics(timeout=10).topics


def test_the_command_runs_a_node_in_the_foreground_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """The node takes the command's process over; a second one on its port is refused, a later one finds the topic."""
    port = free_port()
    command = [sys.executable, "-m", "runtime", "kafka", "--folder", str(tmp_path / "node"), "--port", str(port)]
    topic_ids = []
    for _ in range(2):
        node = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: answers(port), 60, lambda: "the node does not answer")
            topic_ids.append(wait_for_topic(open_admin(f"127.0.0.1:{port}"), TOPIC, 4, SystemClock()))
            again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
            assert (again.returncode, "port_taken" in again.stderr) == (2, True)
            assert psutil.Process(node.pid).children() == []
            node.terminate()
            assert node.wait(30) in {0, 143}
        finally:
            node.kill()
            node.wait()

    assert topic_ids[0] == topic_ids[1]


def answers(port: int) -> bool:
    """Whether the broker answers; one that is still starting refuses the connection."""
    try:
        return kafka_answers(port)
    except OSError:
        return False


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Java, a Java that is too old, no Maven: each is refused with what to do, and nothing is left half done."""
    jars = tmp_path / "jars"
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(Refused, match="no Java was found"):
        find_java()
    with pytest.raises(Refused, match="no Maven"):
        libraries(root=jars)
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    with pytest.raises(Refused, match="is Java 11, not 17"):
        find_java()

    assert list(jars.iterdir()) == []


def test_artifacts_that_cannot_be_had_are_refused_with_what_maven_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maven off line, with an empty store: no folder is taken for a class path afterwards."""
    settings = tmp_path / ".m2" / "settings.xml"
    settings.parent.mkdir()
    settings.write_text("<settings><offline>true</offline></settings>")
    monkeypatch.setenv("MAVEN_OPTS", f"-Duser.home={tmp_path}")
    with pytest.raises(Refused, match="did not bring its artifacts"):
        libraries(root=tmp_path / "jars")

    assert not (tmp_path / "jars" / f"kafka-{kafka_version()}").exists()
