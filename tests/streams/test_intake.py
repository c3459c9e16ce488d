"""Messages wait for more of them as long as that pays, and no longer."""

from __future__ import annotations

import asyncio

import pytest

from streams.intake import Intake, Patience

PATIENCE = Patience(linger_s=0.05, linger_busy_s=0.4, busy_bytes=10, worth_bytes=100, bytes_max=200)
# A loop that has nothing else to do is late by no more.
LATE_S = 0.15


async def take(intake: Intake[int]) -> list[int]:
    """What a partition's loop does when it has a place at once."""
    await intake.due()
    return intake.taken()


async def waited_s(*sizes: int, patience: Patience = PATIENCE) -> float:
    """How long it takes until messages of these sizes, which come at once, are handed on."""
    intake = Intake[int](patience)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await intake.put(enumerate(sizes))
    assert await take(intake) == list(range(len(sizes)))
    return loop.time() - began_s


@pytest.mark.parametrize(
    ("sizes", "wait_s"),
    [((1,), 0.05), ((4, 5), 0.05), ((5, 5), 0.4), ((60, 39), 0.4), ((60, 40), 0.0)],
)
def test_messages_wait_by_how_much_has_come(sizes: tuple[int, ...], wait_s: float) -> None:
    """Briefly on a quiet log, longer on a busy one, and not at all once there is enough for good blocks."""
    assert wait_s - 0.01 <= asyncio.run(waited_s(*sizes)) < wait_s + LATE_S


def test_what_comes_meanwhile_goes_along_and_puts_nothing_off() -> None:
    """The wait counts from the first message, however many follow."""

    async def run() -> tuple[list[int], float]:
        intake = Intake[int](PATIENCE)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        taking = asyncio.create_task(take(intake))
        for number in range(6):
            await intake.put([(number, 10)])
            await asyncio.sleep(0.05)
        return await taking, loop.time() - began_s

    taken, took_s = asyncio.run(run())

    assert taken == list(range(6))
    assert took_s < PATIENCE.linger_busy_s + LATE_S


def test_a_message_that_comes_during_a_block_has_waited_when_the_block_is_done() -> None:
    """It goes at once if it waited long enough."""

    async def run() -> float:
        intake = Intake[int](PATIENCE)
        await intake.put([(1, 1)])
        await asyncio.sleep(2 * PATIENCE.linger_s)
        began_s = asyncio.get_running_loop().time()
        assert await take(intake) == [1]
        return asyncio.get_running_loop().time() - began_s

    assert asyncio.run(run()) < PATIENCE.linger_s


def test_a_full_intake_takes_no_more_until_it_is_emptied() -> None:
    """What lies in memory is bounded, and nothing is lost or told twice."""

    async def run() -> None:
        intake = Intake[int](PATIENCE)
        putting = asyncio.create_task(intake.put([(1, 150), (2, 50)]))
        await asyncio.sleep(0.05)
        assert not putting.done()

        assert await take(intake) == [1, 2]

        await asyncio.wait_for(putting, 1)
        await intake.put([(3, 1)])
        assert await take(intake) == [3]

    asyncio.run(run())
