"""What was answered is there after the process was killed."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import httpx

from runtime.embedded.clickhouse.part import clickhouse_part
from runtime.embedded.ports import free_port
from runtime.embedded.supervisor import Supervisor
from runtime.embedded.watched import State


def test_no_answered_insert_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    """Killed three times in the middle of inserts; each time the folder opens again with every answered row.

    Each insert is sent again with its token until it is answered, so that it is stored exactly once as well.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    with Supervisor(tmp_path) as supervisor:
        supervisor.start([clickhouse_part(tmp_path.resolve(), port, "millrace", guarded=False)])
        table = "CREATE TABLE t (n UInt64, k UInt64) ENGINE = MergeTree ORDER BY n"
        httpx.post(url, content=f"{table} SETTINGS non_replicated_deduplication_window = 1000").raise_for_status()
        enough = threading.Event()
        answered: list[int] = []
        writer = threading.Thread(target=insert_until, args=(url, enough, answered))
        writer.start()
        for kill in range(1, 4):
            supervisor.wait(lambda goal=kill * 12: len(answered) >= goal or not writer.is_alive())  # type: ignore[misc]
            os.kill(supervisor.status()[0].pid, signal.SIGKILL)
            supervisor.wait(lambda count=kill: back_again(supervisor, count))  # type: ignore[misc]
        enough.set()
        writer.join(30)
        found = httpx.post(url, content="SELECT n, count() FROM t GROUP BY n ORDER BY n").text

    assert [line.split("\t")[0] for line in found.splitlines()] == [str(n) for n in answered]
    assert {line.split("\t")[1] for line in found.splitlines()} == {"1000"}


def back_again(supervisor: Supervisor, restarts: int) -> bool:
    """Whether the front runs after so many restarts."""
    status = supervisor.status()[0]
    return status.restarts >= restarts and status.state is State.READY


def insert_until(url: str, enough: threading.Event, answered: list[int]) -> None:
    """Insert blocks of 1,000 rows one after the other, each again and again until it is answered."""
    number = 0
    with httpx.Client(timeout=5) as http:
        while not enough.is_set():
            data = "".join(f"{number},{k}\n" for k in range(1000))
            asked = {"query": "INSERT INTO t FORMAT CSV", "insert_deduplication_token": f"block {number}"}
            try:
                http.post(url, params=asked, content=data).raise_for_status()
            except httpx.HTTPError:
                enough.wait(0.02)
                continue
            answered.append(number)
            number += 1
