"""A stream of poison stops the worker before anything of it is stored; a bad event or a bad sender does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

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
from tests.streams.builders import NOON, Said, compiled, messages, meter, parts
from tests.streams.test_block import run


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


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        ({"gb": "1"}, "value_missing", "meter used needs property hours"),
        ({"hours": "x", "gb": ""}, "value_not_numeric", "meter used needs property gb, which is ''"),
        (
            {"gb": "1", "hours": "0.0"},
            "value_divided_by_zero",
            "the expression of meter used divides by zero for gb = ",
        ),
        (
            {"gb": "1e18", "hours": "0.01"},
            "value_too_large",
            "the expression of meter used comes to too large a number",
        ),
        ({"gb": "1e19", "hours": "0"}, "value_too_large", "meter used needs property gb, which is '1e19'"),
    ],
)
def test_a_dead_letter_tells_what_an_expression_came_to(said: dict[str, str], code: str, message: str) -> None:
    """Which property has no value, or what became of those that all have one; other events are not touched."""
    used = meter("used", expression="properties.gb / properties.hours")
    result = run([[Said("bad", said), Said("good", {"gb": "1", "hours": "3"})]], compiled(used))

    (letter,) = result.dead_letters
    assert (letter.event_id, letter.code, letter.message[: len(message)]) == ("bad", code, message)
    assert result.windows["sum"].to_pylist() == [Decimal("0.333333333333")]
