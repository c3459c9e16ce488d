"""Strikes at the gateway and at its way to the broker: rows 1 to 5, and 8 where a journal stands for the log's disk."""

from __future__ import annotations

import re
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import httpx
import psutil

from runtime.embedded.ports import free_port
from runtime.embedded.probes import http_answers
from tests.runtime.faults.broker_proxy import BrokerProxy, Mode
from tests.runtime.faults.field import Field
from tests.runtime.faults.orders import Order, give, obeyed_by
from tests.runtime.faults.stack_process import wait_until

# Nothing, then too late, then nothing again and for longer than any answer may take.
WAYS: tuple[tuple[Mode, float], ...] = (("cut", 8.0), ("slow", 6.0), ("silent", 17.0))
RSS_BYTES_MAX = 400 * 1024 * 1024
ANSWERS = {"202", "207", "429", "503"}
# Below what the gateway has to write, above what it says about it.
JOURNAL_FILE_BYTES_MAX = 16 * 1024


def kill_at(moment: str) -> Callable[[Field, Random, int], None]:
    """SIGKILL at a moment of one of the next requests."""

    def strike(field: Field, chance: Random, _number: int) -> None:
        before = field.stack.running("gateway")
        give(field.home, "gateway", Order(moment, chance.randint(1, 3)))
        wait_until(lambda: obeyed_by(field.home, "gateway") is not None, 30, lambda: f"no gateway came to {moment}")
        field.stack.started_again("gateway", before)

    return strike


def terminate(field: Field, _chance: Random, _number: int) -> None:
    """SIGTERM under load: it answers what it took, and ends with 0."""
    ends = len(field.stack.ends_of("gateway"))
    field.stack.end("gateway", signal.SIGTERM)
    assert field.stack.ends_of("gateway")[ends:] == ["exited with 0"]


def fill_journal(field: Field, chance: Random, _number: int) -> None:
    """The journal's files may not grow: 503, not 202; with room again it goes on in the same process."""
    pid = field.stack.running("gateway")
    process = psutil.Process(pid)
    before = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (JOURNAL_FILE_BYTES_MAX, resource.RLIM_INFINITY))
    wait_until(lambda: not http_answers(field.stack.gateway_port, "/readyz"), 20, lambda: "the journal wrote on")
    time.sleep(chance.uniform(1, 3))
    process.rlimit(psutil.RLIMIT_FSIZE, before)
    wait_until(lambda: http_answers(field.stack.gateway_port, "/readyz"), 20, lambda: "the journal did not recover")
    assert field.stack.running("gateway") == pid


class Door:
    """A gateway of the row's own, which meets the broker through a proxy only."""

    def __init__(self, field: Field, proxy: BrokerProxy) -> None:
        self.port = free_port()
        self.process = field.run_beside(
            "tests.runtime.faults.struck_gateway",
            MILLRACE_KAFKA=proxy.address,
            MILLRACE_GATEWAY_PORT=str(self.port),
        )
        self.rss_bytes = 0
        self.watching = threading.Event()

    def watch(self) -> None:
        """Remember the most memory that was in use."""
        process = psutil.Process(self.process.pid)
        while not self.watching.wait(0.1) and self.process.poll() is None:
            self.rss_bytes = max(self.rss_bytes, process.memory_info().rss)

    def answers(self) -> set[str]:
        """The statuses that were given to requests."""
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=10).text
        return set(re.findall(r'millrace_requests_total\{status="(\d+)"\}', text))


@contextmanager
def behind_a_proxy(field: Field) -> Iterator[str]:
    """Send through a gateway that a proxy separates from the broker; it must be the same process in the end."""
    with BrokerProxy(field.settings.kafka) as proxy:
        door = Door(field, proxy)
        field.proxy = proxy
        wait_until(lambda: answers(door.port), 30, field.stack.log_tail)
        watcher = threading.Thread(target=door.watch, daemon=True)
        watcher.start()
        yield f"http://127.0.0.1:{door.port}"
        assert door.process.poll() is None, "the gateway ended"
        said = door.answers()
        assert "503" in said, said
        assert said <= ANSWERS, said
        door.watching.set()
        watcher.join()
        assert 0 < door.rss_bytes < RSS_BYTES_MAX, door.rss_bytes
        field.dismiss()


def answers(port: int) -> bool:
    """Whether the gateway is ready; one that is still starting refuses the connection."""
    try:
        return http_answers(port, "/readyz")
    except OSError:
        return False


def part_from_broker(field: Field, _chance: Random, number: int) -> None:
    """Cut, slow and silent in turn, each for longer than the gateway bears."""
    mode, seconds = WAYS[number]
    proxy = field.proxy
    assert proxy is not None
    proxy.turn(mode)
    time.sleep(seconds)
    proxy.turn("open")
