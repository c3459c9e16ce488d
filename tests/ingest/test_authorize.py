"""Keys and how long they are remembered."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from core.clock import ManualClock
from core.errors import Refused, Transient
from ingest.authorize import KNOWN_MAX, REFRESH_S, REMEMBER_S, UNKNOWN_MAX, Authorizer, Identity
from ingest.problems import Unavailable

GOOD = "bb_good-key-good-key"


class Books:
    """Keys that may be revoked, and look-ups counted."""

    def __init__(self) -> None:
        self.keys = {GOOD: Identity("mer_1", "merchant")}
        self.asked: Counter[str] = Counter()
        self.gone = False

    def find(self, key: str) -> Identity | None:
        """Look a key up."""
        self.asked[key] += 1
        if self.gone:
            raise Transient("no answer")
        return self.keys.get(key)


def test_a_key_is_looked_up_once_however_many_ask(clock: ManualClock) -> None:
    """At the same time or soon after."""
    books = Books()
    authorizer = Authorizer(books.find, clock)

    async def main() -> None:
        found = await asyncio.gather(*(authorizer.identify(GOOD) for _ in range(50)))
        clock.advance(seconds=REFRESH_S - 1)
        found.append(await authorizer.identify(GOOD))
        assert {one.merchant_id for one in found} == {"mer_1"}

    asyncio.run(main())
    assert books.asked[GOOD] == 1


def test_a_revoked_key_works_half_a_minute_at_most(clock: ManualClock) -> None:
    """Even if nobody used it in between."""
    books = Books()
    authorizer = Authorizer(books.find, clock)

    async def main() -> None:
        await authorizer.identify(GOOD)
        books.keys.clear()
        clock.advance(seconds=REMEMBER_S)
        with pytest.raises(Refused) as refused:
            await authorizer.identify(GOOD)
        assert refused.value.status == 401

    asyncio.run(main())


def test_a_key_in_use_is_refreshed_without_anybody_waiting(clock: ManualClock) -> None:
    """Late in its time the next request starts a look-up and goes on."""
    books = Books()
    authorizer = Authorizer(books.find, clock)

    async def main() -> None:
        await authorizer.identify(GOOD)
        clock.advance(seconds=REFRESH_S)
        await authorizer.identify(GOOD)
        await asyncio.gather(*authorizer.lookups.values())
        clock.advance(seconds=REFRESH_S - 1)
        books.gone = True
        await authorizer.identify(GOOD)

    asyncio.run(main())
    assert books.asked[GOOD] == 2


def test_wrong_keys_are_remembered_too_and_cannot_push_out_good_ones(clock: ManualClock) -> None:
    """A flood of made-up keys costs bounded memory."""
    books = Books()
    authorizer = Authorizer(books.find, clock)

    async def try_key(key: str) -> int:
        with pytest.raises(Refused) as refused:
            await authorizer.identify(key)
        return refused.value.status

    async def main() -> None:
        await authorizer.identify(GOOD)
        assert [await try_key("bb_wrong-key-wrong") for _ in range(3)] == [401] * 3
        for number in range(UNKNOWN_MAX + 10):
            await authorizer.ask(number.to_bytes(4, "big"), f"bb_made-up-{number}")
        await authorizer.identify(GOOD)

    asyncio.run(main())
    assert books.asked["bb_wrong-key-wrong"] == 1
    assert books.asked[GOOD] == 1
    assert len(authorizer.unknown) == UNKNOWN_MAX <= KNOWN_MAX


@pytest.mark.parametrize("key", ["", "bb_", "bb_short", "sk_good-key-good-key", GOOD + "\n", "bb_" + "é" * 20])
def test_what_cannot_be_a_key_is_not_even_looked_up(clock: ManualClock, key: str) -> None:
    """With the same answer as any wrong key."""
    books = Books()
    authorizer = Authorizer(books.find, clock)

    with pytest.raises(Refused) as refused:
        asyncio.run(authorizer.identify(key))

    assert (refused.value.status, refused.value.code) == (401, "unauthorized")
    assert not books.asked


def test_books_that_do_not_answer_are_not_a_wrong_key(clock: ManualClock) -> None:
    """503 for a key that is not remembered, and nothing wrong is remembered."""
    books = Books()
    books.gone = True
    authorizer = Authorizer(books.find, clock)

    async def main() -> None:
        with pytest.raises(Unavailable):
            await authorizer.identify(GOOD)
        books.gone = False
        assert (await authorizer.identify(GOOD)).merchant_id == "mer_1"

    asyncio.run(main())
