"""Messages between the log and their blocks: gathered until they are worth one, but never for long.

A block costs the stores and the ledger about the same whether it holds ten events or ten thousand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

Item = TypeVar("Item")

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Patience:
    """How long messages wait for more of them, by what has come.

    The first waits ``linger_s``; ``linger_busy_s`` if ``busy_bytes`` or more have come by then; no longer than until
    there are ``worth_bytes``, which make blocks of about 16,000 events in each of four partitions. Beyond
    ``bytes_max`` no more are taken from the log. Bytes are those of all partitions of a worker together.
    """

    linger_s: float = 0.1
    linger_busy_s: float = 0.3
    busy_bytes: int = MIB // 8
    worth_bytes: int = 10 * MIB
    bytes_max: int = 40 * MIB

    def of_each(self, partitions: int) -> Patience:
        """What it comes to for one of so many partitions."""
        share = max(1, partitions)
        return replace(
            self,
            busy_bytes=self.busy_bytes // share,
            worth_bytes=self.worth_bytes // share,
            bytes_max=self.bytes_max // share,
        )


class Intake(Generic[Item]):
    """A queue whose items are taken all at once. For one that puts and one that takes, on one loop."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._items: list[Item] = []
        self._bytes = 0
        self._since_s = 0.0
        self._came = asyncio.Event()
        self._taken = asyncio.Event()

    async def put(self, items: Iterable[tuple[Item, int]]) -> None:
        """Add items with their sizes in bytes, and wait until there is room for more."""
        if not self._items:
            self._since_s = asyncio.get_running_loop().time()
        for item, size_bytes in items:
            self._items.append(item)
            self._bytes += size_bytes
        self._came.set()
        while self._bytes >= self.patience.bytes_max:
            self._taken.clear()
            await self._taken.wait()

    async def due(self) -> None:
        """Wait until the items at hand have waited long enough; there is at least one then."""
        while not self._items:
            await self._news(None)
        while (left_s := self._since_s + self._wait_s() - asyncio.get_running_loop().time()) > 0:
            await self._news(left_s)

    def taken(self) -> list[Item]:
        """All items at hand, due or not."""
        items, self._items, self._bytes = self._items, [], 0
        self._taken.set()
        return items

    def _wait_s(self) -> float:
        """How long the first item waits at most, as things are."""
        patience = self.patience
        if self._bytes >= patience.worth_bytes:
            return 0
        return patience.linger_busy_s if self._bytes >= patience.busy_bytes else patience.linger_s

    async def _news(self, within_s: float | None) -> None:
        """Wait until something comes."""
        self._came.clear()
        try:
            await asyncio.wait_for(self._came.wait(), within_s)
        except TimeoutError:
            return
