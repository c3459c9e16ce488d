"""Traffic in a thread of its own, so that a test can kill things meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from core.clock import SystemClock
from runtime.traffic.ledger import SimulatorLedger
from runtime.traffic.requests import chunk_count, requests_of
from runtime.traffic.send import SendOptions, send_plan, send_requests


class TrafficThread:
    """Sends a ledger's plan, or one chunk of it, as soon as it is made.

    ``finish`` waits for the end and raises what went wrong.
    """

    def __init__(
        self,
        ledger: SimulatorLedger,
        gateway_url: str,
        keys: Sequence[str],
        *,
        rate: float = 0.0,
        give_up_after_s: float = 120.0,
        chunk: int | None = None,
    ) -> None:
        self.ledger = ledger
        self._chunk = chunk
        self.answered = 0
        self._options = SendOptions(gateway_url, keys, rate=rate, give_up_after_s=give_up_after_s)
        self._failure: BaseException | None = None
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self._thread.start()

    def wait_for(self, events: int, within_s: float = 60.0) -> None:
        """Return once so many events were answered."""
        with self._moved:
            arrived = self._moved.wait_for(lambda: self.answered >= events or self._failure is not None, within_s)
        if self._failure is not None:
            raise self._failure
        assert arrived, f"only {self.answered} events were answered within {within_s:g} s"

    @property
    def finished(self) -> bool:
        """Whether all was sent, or sending went wrong."""
        return not self._thread.is_alive()

    def finish(self, within_s: float = 180.0) -> SimulatorLedger:
        """The ledger, once everything was answered."""
        self._thread.join(within_s)
        if self._failure is not None:
            raise self._failure
        assert not self._thread.is_alive(), f"only {self.answered} events were answered within {within_s:g} s"
        return self.ledger

    def _run(self) -> None:
        try:
            self._send()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            with self._moved:
                self._failure = error
                self._moved.notify_all()

    def _send(self) -> None:
        plan, chunk = self.ledger.plan, self._chunk
        if chunk is None:
            send_plan(self.ledger, self._options, SystemClock(), self._advance)
            return
        only = requests_of(plan, chunk, chunk_count(plan))
        send_requests(self.ledger, only, self._options, SystemClock(), self._advance)
        self.ledger.save()

    def _advance(self, events: int) -> None:
        with self._moved:
            self.answered += events
            self._moved.notify_all()
