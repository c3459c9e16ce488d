"""An envelope on its way, and the requests that wait for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ingest.codec import Headers
from ingest.segment import Entry

# Told once: that all is safe (``None``), or why that is not known.
Tell = Callable[[Exception | None], None]


@dataclass(slots=True, eq=False)
class Waiter:
    """One request: done when each parcel that holds its events is confirmed, failed when one of them fails."""

    tell: Tell
    remaining: int = 0
    told: bool = False

    def confirm(self) -> None:
        """One more of its parcels is safe."""
        self.remaining -= 1
        if self.remaining == 0 and not self.told:
            self.told = True
            self.tell(None)

    def fail(self, error: Exception) -> None:
        """One of its parcels may not be safe."""
        if not self.told:
            self.told = True
            self.tell(error)


@dataclass(slots=True, eq=False)
class Parcel:
    """A message of the log: ``sequence`` counts the gateway's envelopes of one partition.

    ``confirmations`` are still needed: one from the log, and one from the journal where there is one.
    """

    partition: int
    producer: bytes
    sequence: int
    value: bytes
    headers: Headers
    waiters: list[Waiter] = field(default_factory=list)
    confirmations: int = 1
    # What the journal knows about it, where there is one.
    entry: Entry | None = None
    shipped_s: float = 0.0
    settled: bool = False
    on_settled: Callable[[Parcel], None] | None = None

    def confirm(self) -> None:
        """The log or the journal has it."""
        self.confirmations -= 1
        if self.confirmations == 0 and not self.settled:
            for waiter in self.waiters:
                waiter.confirm()
            self.settle()

    def fail(self, error: Exception) -> None:
        """The log or the journal may not have it. Nobody who waits is told that it is safe."""
        if not self.settled:
            for waiter in self.waiters:
                waiter.fail(error)
            self.settle()

    def settle(self) -> None:
        """Whoever waited has been told; further news changes nothing for them."""
        self.settled = True
        self.waiters.clear()
        if self.on_settled:
            self.on_settled(self)
