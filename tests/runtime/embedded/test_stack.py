"""The three engines start together in seconds and leave nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import psycopg
from confluent_kafka.admin import AdminClient

from runtime.embedded.endpoints import endpoints_path
from runtime.embedded.ports import EmbeddedPorts
from runtime.embedded.stack import EmbeddedStack, embedded_parts, endpoints
from tests.runtime.embedded.conftest import alive
from tests.runtime.embedded.test_supervisor import within

KILLED = """
import pathlib, sys
from runtime.embedded.stack import EmbeddedStack
with EmbeddedStack(pathlib.Path(sys.argv[1])) as stack:
    print("up", flush=True)
    stack.supervisor.wait(lambda: False)
"""


def all_serve(stack: EmbeddedStack) -> bool:
    """Whether each engine answers at its address."""
    found = stack.endpoints
    server = found.clickhouse_url.rsplit("/", 1)[0]
    assert httpx.post(server, content="EXISTS DATABASE millrace").text == "1\n"
    assert httpx.post(f"http://{server.split('@')[1]}", content="SELECT 1").status_code == 403
    assert AdminClient({"bootstrap.servers": found.kafka}).list_topics(timeout=10).brokers
    with psycopg.connect(found.postgres_url) as connection:
        return connection.execute("SELECT current_database()").fetchone() == ("millrace",)


def processes_below(home: Path) -> list[psutil.Process]:
    """Processes that work inside the home, or were started for it."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        places = [process.info["cwd"] or "", *(process.info["cmdline"] or [])]
        if any(place.startswith(str(home)) for place in places) and alive(process.pid):
            found.append(process)
    return found


def test_the_stack_serves_stops_and_serves_again(tmp_path: Path) -> None:
    """On free ports, and on the same home a second time."""
    home = tmp_path / "home"
    with EmbeddedStack(home) as stack:
        assert all_serve(stack)
        assert len(processes_below(home)) >= 3
    assert processes_below(home) == []
    assert not endpoints_path(home).exists()
    with EmbeddedStack(home, stack.ports) as again:
        assert all_serve(again)
        assert again.endpoints == stack.endpoints


def test_no_engine_outlives_a_stack_that_was_killed(tmp_path: Path) -> None:
    """Nor does anything stop the next one."""
    home = tmp_path / "home"
    command = [sys.executable, "-c", KILLED, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "up\n"
        killed.kill()
    assert sys.platform != "linux" or within(10, lambda: processes_below(home) == [])
    with EmbeddedStack(home) as stack:
        assert all_serve(stack)


def test_engines_that_a_url_replaces_are_left_out(tmp_path: Path) -> None:
    """Their addresses are the given ones."""
    ports = EmbeddedPorts(1, 2, 3)

    assert [part.name for part in embedded_parts(tmp_path, ports)] == ["postgres", "clickhouse", "kafka"]
    assert [part.name for part in embedded_parts(tmp_path, ports, frozenset({"kafka", "postgres"}))] == ["clickhouse"]
    found = endpoints(tmp_path, ports, kafka="k:1", postgres_url_given="postgresql://x")
    assert found.kafka == "k:1"
    assert found.clickhouse_url.startswith("http://millrace:")
    assert found.clickhouse_url.endswith("@127.0.0.1:2/millrace")
    assert found.postgres_url == "postgresql://x"
