"""Make the next item in a thread while the present one is in use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

Item = TypeVar("Item")


async def ahead(items: Iterator[Item]) -> AsyncIterator[Item]:
    """The items of an iterator in order, always one of them made in advance. ``None`` is no item."""
    pending = asyncio.create_task(asyncio.to_thread(next, items, None))
    while (item := await pending) is not None:
        pending = asyncio.create_task(asyncio.to_thread(next, items, None))
        yield item
