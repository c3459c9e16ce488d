"""A coroutine may be begun by one and awaited by another, as if nothing had come between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streams.at_once import Begun


async def waiting(told: list[str], event: asyncio.Event, turns: int = 0) -> str:
    """Say how far it came, and what ended it."""
    told.append("begun")
    try:
        for _ in range(turns):
            await asyncio.sleep(0)
        if turns:
            await event.wait()
    except asyncio.CancelledError:
        told.append("cancelled")
        raise
    finally:
        told.append("ended")
    return "answer"


def test_what_need_not_wait_is_done_at_once() -> None:
    """No task and no turn of the loop."""
    told: list[str] = []

    begun = Begun(waiting(told, asyncio.Event()))

    assert (begun.is_done, begun.answer, told) == (True, "answer", ["begun", "ended"])


@pytest.mark.parametrize("turns", [1, 3])
def test_the_rest_is_awaited_like_the_whole(turns: int) -> None:
    """By a task of its own, too; the answer can be asked for again."""

    async def run() -> tuple[bool, Any, list[str]]:
        told: list[str] = []
        event = asyncio.Event()
        begun = Begun(waiting(told, event, turns))
        done_at_once = begun.is_done
        task = asyncio.ensure_future(begun)
        await asyncio.sleep(0.02)
        assert not task.done()
        event.set()
        assert await task == await begun
        return done_at_once, begun.answer, told

    assert asyncio.run(run()) == (False, "answer", ["begun", "ended"])


def test_a_cancelled_rest_is_told_and_ends() -> None:
    """The coroutine may clean up."""

    async def run() -> list[str]:
        told: list[str] = []
        task = asyncio.ensure_future(Begun(waiting(told, asyncio.Event(), 1)))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return told

    assert asyncio.run(run()) == ["begun", "cancelled", "ended"]


@pytest.mark.parametrize("turns", [0, 1])
def test_errors_come_out_where_it_is_begun_or_awaited(turns: int) -> None:
    """Nothing is swallowed."""

    async def failing() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise ZeroDivisionError

    async def run() -> None:
        await Begun(failing())

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())
