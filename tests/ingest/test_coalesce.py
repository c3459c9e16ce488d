"""Gathering requests into parcels."""

from __future__ import annotations

import asyncio
import random
from uuid import uuid4

import pytest

from core.clock import ManualClock
from core.limits import ENVELOPE_BYTES_MAX, ENVELOPE_EVENTS_MAX
from ingest.coalesce import BUSY_LINGER_S, COUNTED_S, CROWD, CROWD_LINGER_S, Coalescer
from ingest.codec import decode_envelope
from ingest.event import event_key, partition_of
from ingest.parcel import Parcel
from ingest.problems import Unavailable
from ingest.rows import Rows


def rows_of(count: int, text: str = "x", first: int = 0) -> list[Rows]:
    """A request of so many events."""
    rows = Rows(received_us=5)
    for i in range(first, first + count):
        rows.keys.append(event_key("m", "", f"e{i}"))
        rows.body_hashes.append(bytes(8))
        rows.identities.append(f"m\0\0e{i}".encode())
        rows.bodies.append(f"t\0s\0\0p\0{text}".encode())
        rows.occurred_us.append(7)
    return [rows]


def coalescer_of(shipped: list[Parcel], clock: ManualClock, partitions: int = 4) -> Coalescer:
    """One that collects what it ships."""
    return Coalescer(uuid4(), partitions, 0.005, shipped.append, clock)


def test_a_request_is_answered_by_the_parcels_of_its_own_events(clock: ManualClock) -> None:
    """One parcel's failure fails the requests that have events in it, and no other."""
    shipped: list[Parcel] = []

    async def main() -> None:
        coalescer = coalescer_of(shipped, clock)
        futures = [coalescer.submit(rows_of(1, first=i), 100) for i in range(20)]
        await asyncio.sleep(0)
        failing = shipped[0]
        for parcel in shipped:
            if parcel is failing:
                parcel.fail(Unavailable("x", "y"))
            else:
                parcel.confirm()
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        for i, outcome in enumerate(outcomes):
            in_failing = partition_of(event_key("m", "", f"e{i}"), 4) == failing.partition
            assert isinstance(outcome, Unavailable) == in_failing

    asyncio.run(main())
    assert len(shipped) == len({parcel.partition for parcel in shipped}) <= 4


def test_nothing_waits_while_nothing_is_under_way_and_the_rest_is_gathered(clock: ManualClock) -> None:
    """The first request ships at once; those that come meanwhile share the next parcels."""
    shipped: list[Parcel] = []

    async def main() -> None:
        coalescer = coalescer_of(shipped, clock, partitions=1)
        coalescer.submit(rows_of(1), 100)
        await asyncio.sleep(0)
        assert len(shipped) == 1
        for i in range(10):
            coalescer.submit(rows_of(1, first=i + 1), 100)
            await asyncio.sleep(0)
        assert len(shipped) == 1
        shipped[0].confirm()
        assert len(shipped) == 2
        assert [parcel.sequence for parcel in shipped] == [1, 2]

    asyncio.run(main())
    assert len(decode_envelope(shipped[1].value, shipped[1].headers).events) == 10


def test_a_crowd_is_waited_for_until_all_are_here_or_for_its_linger(clock: ManualClock) -> None:
    """As many as shared the last messages share the next at once; fewer wait for the others, but not for long."""
    shipped: list[Parcel] = []

    async def main() -> None:
        coalescer = coalescer_of(shipped, clock, partitions=1)
        futures = [coalescer.submit(rows_of(1, first=i), 100) for i in range(CROWD)]
        await asyncio.sleep(0)
        shipped[0].confirm()
        await asyncio.gather(*futures)
        for i in range(CROWD - 1):
            coalescer.submit(rows_of(1, first=10 + i), 100)
        await asyncio.sleep(CROWD_LINGER_S / 4)
        assert len(shipped) == 1
        coalescer.submit(rows_of(1, first=20), 100)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(shipped) == 2
        shipped[1].confirm()
        coalescer.submit(rows_of(1, first=30), 100)
        await asyncio.sleep(4 * CROWD_LINGER_S)
        assert len(shipped) == 3
        shipped[2].confirm()
        coalescer.submit(rows_of(1, first=40), 100)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(shipped) == 4, "the crowd has gone"

    asyncio.run(main())


def test_in_busy_times_requests_share_messages_though_none_is_under_way(clock: ManualClock) -> None:
    """A little later than at once; and at once again when it is quiet."""
    shipped: list[Parcel] = []

    async def send(coalescer: Coalescer, number: int, events: int) -> None:
        coalescer.submit(rows_of(events, first=number * 10_000), 100)
        await asyncio.sleep(0)

    async def main() -> None:
        coalescer = coalescer_of(shipped, clock, partitions=1)
        await send(coalescer, 0, 9_000)
        shipped[0].confirm()
        assert len(shipped) == 1, "nobody knows yet that it is busy"
        clock.advance(seconds=COUNTED_S * 1.01)
        await send(coalescer, 1, 9_000)
        await send(coalescer, 2, 500)
        assert len(shipped) == 1
        await asyncio.sleep(BUSY_LINGER_S * 2)
        assert [len(decode_envelope(parcel.value, parcel.headers).events) for parcel in shipped[1:]] == [9_500]
        shipped[1].confirm()

        clock.advance(seconds=10)
        await send(coalescer, 4, 1)
        assert len(shipped) == 3, "it is quiet again"

    asyncio.run(main())


def test_whoever_gathers_is_asked_before_events_are_packed(clock: ManualClock) -> None:
    """Its events share the next messages, each request with the partition of its one event."""
    shipped: list[Parcel] = []
    told: list[tuple[int, Exception | None]] = []

    async def main() -> None:
        coalescer = coalescer_of(shipped, clock)
        rows = rows_of(12)
        homes = [partition_of(key, 4) for key in rows[0].keys]

        def hand_on() -> None:
            tells = [lambda error, place=place: told.append((place, error)) for place in range(12)]
            coalescer.submit_each(rows, 100, list(zip(homes, tells, strict=True)))

        for place in range(12):
            coalescer.hold_back(hand_on, full=place == 11)
        assert {parcel.partition for parcel in shipped} == set(homes)
        shipped[0].fail(Unavailable("x", "y"))
        for parcel in shipped[1:]:
            parcel.confirm()
        await asyncio.sleep(0)
        assert len(told) == 12
        assert {place for place, error in told if error} == {
            place for place, home in enumerate(homes) if home == shipped[0].partition
        }

    asyncio.run(main())


def test_a_parcel_that_is_not_confirmed_in_time_fails(clock: ManualClock) -> None:
    """And a confirmation that comes late changes nothing for whoever was told."""
    shipped: list[Parcel] = []

    async def main() -> None:
        coalescer = coalescer_of(shipped, clock)
        future = coalescer.submit(rows_of(1), 100)
        await asyncio.sleep(0)
        clock.advance(seconds=10)
        assert coalescer.oldest_age_s() == 10
        coalescer.expire(9)
        with pytest.raises(Unavailable):
            await future
        shipped[0].confirm()
        assert coalescer.oldest_age_s() == 0

    asyncio.run(main())


def test_envelopes_stay_within_their_limits(clock: ManualClock) -> None:
    """In events however many requests come at once, and in bytes however little can be packed."""
    shipped: list[Parcel] = []
    noise = random.Random(1)

    async def main() -> None:
        coalescer = coalescer_of(shipped, clock, partitions=1)
        for i in range(5):
            coalescer.submit(rows_of(4000, first=4000 * i), 100)
        coalescer.flush()
        text = "".join(chr(noise.randrange(33, 127)) for _ in range(4000))
        coalescer.submit(rows_of(1, text), 100)
        big = rows_of(0)
        for i in range(5000):
            (one,) = rows_of(1, text[i % 1000 :] + "".join(noise.sample(text, 3000)), first=20_000 + i)
            big[0].keys += one.keys
            big[0].body_hashes += one.body_hashes
            big[0].identities += one.identities
            big[0].bodies += one.bodies
            big[0].occurred_us += one.occurred_us
        coalescer.submit(big, 100)
        coalescer.flush()

    asyncio.run(main())
    envelopes = [decode_envelope(parcel.value, parcel.headers) for parcel in shipped]
    assert sum(len(one.events) for one in envelopes) == 25_001
    assert max(len(one.events) for one in envelopes) <= ENVELOPE_EVENTS_MAX
    assert max(len(parcel.value) for parcel in shipped) <= ENVELOPE_BYTES_MAX
    assert [parcel.sequence for parcel in shipped] == list(range(1, len(shipped) + 1))
