"""Order, repeats and cuts: the same events however they arrive give the same windows, byte for byte."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta

import orjson
import pytest

from catalog.meter import Filter
from core.clock import ManualClock
from streams.claim import Claims, LogSeen
from streams.decode import Message
from streams.ledger_memory import MemoryLedger
from streams.store_memory import MemoryStore
from tests.simulation.clients import split
from tests.simulation.totals import as_texts, totals_of
from tests.streams.builders import NOON, Said, messages, meter, parts

PARTITIONS = 2
EVENTS = 7_200
METERS = (
    meter("calls", "count", group_by=("model",)),
    meter("tokens", "sum", group_by=("model", "region")),
    meter("eu_tokens", "sum", filters=(Filter("region", "eq", ("eu",)),)),
    meter("least", "min"),
    meter("most", "max"),
    meter("level", "latest", group_by=("region",)),
    meter("models", "unique", "model"),
)


def two_hours() -> list[Said]:
    """An event a second, many of them at the same instant as another."""
    chance = random.Random(2)
    return [
        Said(
            f"e{number}",
            {
                "tokens": f"{chance.randint(-999, 10**9)}.{chance.randint(0, 10**12 - 1):012}",
                "model": f"m{chance.randint(0, 3)}",
                "region": chance.choice(("eu", "us", "ch")),
            },
            subject=chance.choice(("c-1", "c-1", "c-2")),
            at=NOON + timedelta(seconds=chance.randint(0, 7_199)),
        )
        for number in range(EVENTS)
    ]


def windows_of(events: Sequence[Said], chance: random.Random, *, rows_max: int) -> bytes:
    """Send events in envelopes of any size, in blocks of any size; the windows as JSON in an order of their own."""
    clock = ManualClock(NOON)
    ledger, store = MemoryLedger(clock, lambda: 1), MemoryStore()
    for partition, mine in split(events, PARTITIONS).items():
        log: list[Message] = []
        begun = 0
        while begun < len(mine):
            length = chance.randint(1, 400)
            log += messages([mine[begun : begun + length]], len(log))
            begun += length
        outside = parts(ledger, store, clock, *METERS)
        claimed = Claims(outside, LogSeen("usage", 1), owner="w", clock=clock, rows_max=rows_max).claim(partition)
        while log:
            arrived = log[: chance.randint(1, 12)]
            del log[: claimed.advance(arrived).count]
    return orjson.dumps(sorted([*window, *as_texts(total)] for window, total in totals_of(store).items()), default=str)


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_repeated_and_cut_anyhow_the_windows_are_the_same_bytes(seed: int) -> None:
    """Two hours of events in order, against all of them shuffled with half of them sent twice."""
    chance = random.Random(seed)
    events = two_hours()
    clean = windows_of(events, random.Random(0), rows_max=100_000)
    stirred = [*events, *chance.sample(events, EVENTS // 2)]
    chance.shuffle(stirred)

    assert windows_of(stirred, chance, rows_max=chance.choice((700, 2_000, 5_000))) == clean
