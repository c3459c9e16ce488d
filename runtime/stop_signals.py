"""How a process is told to stop: by SIGTERM from whatever runs it, by SIGINT from Ctrl-C."""

from __future__ import annotations

import signal
import threading
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def stopping_event() -> threading.Event:
    """An event that a stop signal sets; from then on the process ends by itself only."""
    stopping = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in STOP_SIGNALS:
        signal.signal(number, on_signal)
    return stopping


def leave_stopping_to_server() -> None:
    """Have stop signals do nothing but what the HTTP server has them do while it runs."""
    for number in STOP_SIGNALS:
        # uvicorn raises the signal again once it has shut down; by default that would kill what comes after.
        signal.signal(number, ignore_signal)


def ignore_signal(_number: int, _frame: FrameType | None) -> None:
    """Nothing: the server has its own handler while it runs."""
