"""A stream of poison stops the worker before anything of it is stored; a bad event or a bad sender does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pytest

from core.clock import ManualClock
from core.errors import Stop
from core.limits import DEAD_LETTER_EVENTS_MIN, DEAD_LETTER_PERCENT_MAX
from streams.claim import Claims, LogSeen
from streams.dead_letter import refuse_poison
from streams.ledger_memory import MemoryLedger
from streams.partition import Partition
from streams.rows import EVENTS, REJECTED, STORED
from streams.store_memory import MemoryStore
from tests.streams.builders import NOON, Said, messages, meter, parts


def events(*groups: tuple[str, int, int]) -> pa.Table:
    """Events of merchants: (merchant, good ones, bad ones)."""
    merchants = [merchant for merchant, good, bad in groups for _ in range(good + bad)]
    fates = [fate for _, good, bad in groups for fate in [STORED] * good + [REJECTED] * bad]
    return pa.table({"merchant_id": merchants, "fate": pa.array(fates, pa.int8())})


@pytest.mark.parametrize(
    "groups",
    [
        [("a", 500, 500)],
        [("a", 0, 999)],
        [("a", 0, 5_000), ("b", 3, 0), ("c", 3, 0)],
        [("a", 9_000, 0), *((name, 0, 1) for name in "bcdefgh")],
    ],
    ids=["as many as may be", "too few to tell", "one bad sender", "one bad event each of many"],
)
def test_what_senders_do_wrong_stops_nothing(groups: Sequence[tuple[str, int, int]]) -> None:
    """Up to the limit, in small blocks, and whenever the fault is not everybody's."""
    refuse_poison(events(*groups), DEAD_LETTER_PERCENT_MAX)
    assert DEAD_LETTER_EVENTS_MIN == 1_000


@pytest.mark.parametrize(
    "groups",
    [[("a", 499, 501)], [("a", 0, 1_000)], [("a", 10, 600), ("b", 10, 600), ("c", 100, 0)]],
    ids=["one more than may be", "nothing but bad", "most merchants"],
)
def test_poison_of_everybody_stops_the_worker(groups: Sequence[tuple[str, int, int]]) -> None:
    """Unless somebody says that it may pass."""
    with pytest.raises(Stop, match="dead letters"):
        refuse_poison(events(*groups), DEAD_LETTER_PERCENT_MAX)
    refuse_poison(events(*groups), 100)


def claim(ledger: MemoryLedger, store: MemoryStore, percent_max: int) -> Partition:
    """A worker with a limit."""
    clock = ManualClock(NOON)
    outside = replace(parts(ledger, store, clock, meter("tokens")), dead_letter_percent_max=percent_max)
    return Claims(outside, LogSeen("usage", 1), owner="w", clock=clock).claim(0)


def test_a_log_of_poison_is_not_drained_and_can_be_let_pass(memory: tuple[MemoryLedger, MemoryStore]) -> None:
    """Every worker stops at the same block with nothing stored or set aside, until one is told to go on."""
    ledger, store = memory
    ledger.register("usage", "id-1", 4)
    log = messages([[Said(str(number), {"tokens": "many"}) for number in range(DEAD_LETTER_EVENTS_MIN)]])
    for _ in range(2):
        with pytest.raises(Stop, match="1000 of 1000 events"):
            claim(ledger, store, DEAD_LETTER_PERCENT_MAX).advance(log)
        assert (store.tables[EVENTS].num_rows, ledger.dead_letters) == (0, [])

    assert claim(ledger, store, 100).advance(log).count == 1

    assert len(ledger.dead_letters) == store.tables[EVENTS].num_rows == DEAD_LETTER_EVENTS_MIN
