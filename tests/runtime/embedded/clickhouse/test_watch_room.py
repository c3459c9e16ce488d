"""A disk that others fill: nothing is written without room, nothing is cut short, and all goes on by itself."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from runtime.embedded.clickhouse.part import clickhouse_part
from runtime.embedded.clickhouse.room import MIB, free_bytes_below
from runtime.embedded.ports import free_port
from runtime.embedded.supervisor import Supervisor

# Others use the disk as well while a test runs.
SPARE_MIB = 512
BALLAST_BYTES = 2 * SPARE_MIB * MIB
WITHIN_S = 20.0


class Disk:
    """A front whose reserve is all that is free but a little, and a file that takes more than that."""

    def __init__(self, home: Path, http: httpx.Client) -> None:
        self.home = home
        self.http = http
        self._ballast = home / "ballast"

    def ask(self, sql: str) -> str:
        """The text of a reply that must be good."""
        reply = self.http.post("/", content=sql)
        assert reply.status_code == 200, reply.text
        return reply.text

    def fill(self) -> None:
        """Take room at once, reserve included."""
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)

    def free(self) -> None:
        """Give it back."""
        self._ballast.unlink()

    def log(self) -> str:
        """What the front said."""
        return (self.home / "logs" / "clickhouse.log").read_text(encoding="utf-8")


@contextmanager
def small_disk(home: Path) -> Iterator[Disk]:
    """A running front with room for ``SPARE_MIB``."""
    port = free_port()
    reserve_mib = free_bytes_below(home) // MIB - SPARE_MIB
    if reserve_mib < 2 * SPARE_MIB:
        pytest.skip("the disk of the tests has less than 2 GiB free")
    with Supervisor(home) as supervisor, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
        supervisor.start([clickhouse_part(home, port, "millrace", guarded=False, reserve_mib=reserve_mib)])
        yield Disk(home, http)


def wait_until(true: Callable[[], bool]) -> None:
    """Poll until it is so."""
    end_s = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_an_insert_without_room_is_refused_and_stored_when_there_is_room(tmp_path: Path) -> None:
    """Refused with the next step and stored once when sent again; reading and dropping go on all the time."""
    with small_disk(tmp_path.resolve()) as disk:
        disk.ask(
            "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 9"
        )
        asked = {"query": "INSERT INTO t FORMAT CSV", "insert_deduplication_token": "one"}
        disk.fill()

        for _ in range(2):
            refused = disk.http.post("/", params=asked, content=b"1\n2\n")
            assert refused.status_code == 500
            assert "(NOT_ENOUGH_SPACE)" in refused.text
            assert f"free disk space under {disk.home / 'clickhouse'}" in refused.text
        assert "(NOT_ENOUGH_SPACE)" in disk.http.post("/", content="INSERT INTO t SELECT 3").text
        assert "(NOT_ENOUGH_SPACE)" in disk.http.post("/", content="OPTIMIZE TABLE t FINAL").text
        assert disk.ask("SELECT count() FROM t") == "0\n"
        disk.ask("TRUNCATE TABLE t")
        wait_until(lambda: "disk_full" in disk.log())
        assert "free disk space under" in disk.log()
        assert "disk_has_room" not in disk.log()

        disk.free()
        for _ in range(2):
            assert disk.http.post("/", params=asked, content=b"1\n2\n").status_code == 200
        assert disk.ask("SELECT count() FROM t") == "2\n"
        wait_until(lambda: "disk_has_room" in disk.log())


def test_the_engine_itself_keeps_the_reserve(tmp_path: Path) -> None:
    """What an insert or a merge is going to write never comes out of it."""
    with small_disk(tmp_path.resolve()) as disk:
        kept, free = map(int, disk.ask("SELECT keep_free_space, free_space FROM system.disks").split())
        assert kept > SPARE_MIB * MIB
        assert 0 < free < 2 * SPARE_MIB * MIB


def test_a_merge_under_way_is_stopped_before_the_disk_is_full(tmp_path: Path) -> None:
    """What was stored stays as it was, and the merge is done when there is room again."""
    with small_disk(tmp_path.resolve()) as disk:
        # Packed so hard that merging takes seconds.
        disk.ask("CREATE TABLE t (n UInt64, s String CODEC(ZSTD(19))) ENGINE = MergeTree ORDER BY n")
        disk.ask("SYSTEM STOP MERGES t")
        for part in range(3):
            disk.ask(f"INSERT INTO t SELECT number * 3 + {part}, hex(sipHash128(number, {part})) FROM numbers(200000)")
        stored = disk.ask("SELECT count(), sum(cityHash64(*)) FROM t")
        disk.ask("SYSTEM START MERGES t")
        answers: list[httpx.Response] = []
        url = disk.http.base_url
        optimize = threading.Thread(
            target=lambda: answers.append(httpx.post(url, content="OPTIMIZE TABLE t FINAL", timeout=60))
        )
        optimize.start()
        wait_until(lambda: disk.ask("SELECT count() FROM system.merges WHERE table = 't'") != "0\n")
        disk.fill()
        optimize.join(WITHIN_S)

        assert [answer.status_code for answer in answers] == [500]
        assert "(ABORTED)" in answers[0].text
        assert disk.ask("SELECT count() FROM system.parts WHERE table = 't' AND active") == "3\n"
        assert disk.ask("SELECT count(), sum(cityHash64(*)) FROM t") == stored
        disk.free()
        wait_until(lambda: "disk_has_room" in disk.log())
        disk.ask("OPTIMIZE TABLE t FINAL")
        assert disk.ask("SELECT count() FROM system.parts WHERE table = 't' AND active") == "1\n"
        assert disk.ask("SELECT count(), sum(cityHash64(*)) FROM t") == stored
