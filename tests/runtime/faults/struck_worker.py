"""``millrace worker`` that obeys orders between any two steps of a block, and keeps few keys in memory."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from unittest.mock import patch

import psutil

from benchmarks.processes import family
from core.logs import configure_logs
from runtime.commands.worker import work
from runtime.settings import load_settings
from streams.key_files import KeyFiles
from streams.sink import Moment
from tests.runtime.faults.orders import Order, Orders
from tests.runtime.faults.stack_process import pid_noted

# So few that every stream of a test has key files, which can then be harmed.
MEMORY_KEYS = 128


def carry_out(order: Order, home: Path) -> None:
    """Do as ordered; what ends the process does not return."""
    match order.how:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "raise":
            raise ZeroDivisionError("something that nobody thought of")
        case "kill_store":
            threading.Thread(target=kill_store, args=(home, order.delay_ms / 1000), daemon=True).start()


def kill_store(home: Path, delay_s: float) -> None:
    """SIGKILL to ClickHouse, while this process waits for its answer."""
    victims = family(pid_noted(home, "clickhouse"))
    time.sleep(delay_s)
    for process in victims:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def main() -> None:
    """Work until told to stop, or ordered to end."""
    configure_logs()
    settings = load_settings()
    orders = Orders(settings.home, "worker")

    def failpoint(moment: Moment) -> None:
        order = orders.due(moment)
        if order is not None:
            carry_out(order, settings.home)

    with patch("runtime.commands.worker.KeyFiles", partial(KeyFiles, memory_keys=MEMORY_KEYS)):
        raise SystemExit(asyncio.run(work(settings, failpoint)))


if __name__ == "__main__":
    main()
