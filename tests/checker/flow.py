"""I8 and I9: the stream catches up in time, and every event that the log held has exactly one fate."""

from __future__ import annotations

from collections import defaultdict

from core.clock import Clock
from runtime.traffic.account import Account
from tests.checker.result import InvariantResult
from tests.checker.stores import Stores, events_in_log, log_bounds, open_consumer

FATES = ("stored", "duplicate", "conflict", "held", "rejected", "retraction")
BY_PLACE = """
    SELECT toInt64(incarnation), toInt64(partition), fate, toInt64(count()) FROM usage_events
    GROUP BY incarnation, partition, fate
"""
BLOCKS = """
    SELECT b.incarnation, b.partition, b.first_offset, b.last_offset, b.received, b.redelivered, (
        SELECT count(*) FROM dead_letters AS d WHERE d.topic = b.topic AND d.incarnation = b.incarnation
            AND d.partition = b.partition AND d.position < 0
            AND d.kafka_offset BETWEEN b.first_offset AND b.last_offset)
    FROM stream_blocks AS b WHERE b.topic = %(topic)s AND b.state = 'sealed' ORDER BY 1, 2, 3
"""
PLACES = "SELECT partition, incarnation, next_offset FROM stream_partitions WHERE topic = %(topic)s ORDER BY 1"
OPEN = "SELECT count(*) FROM stream_blocks WHERE topic = %(topic)s AND state = 'intent'"
NEWEST = "SELECT max(incarnation) FROM stream_incarnations WHERE topic = %(topic)s"


def caught_up(stores: Stores, clock: Clock, within_s: float) -> InvariantResult:
    """I8: wait until the log is sealed to its end; broken when that takes longer than ``within_s``."""
    began_s = clock.steady_s()
    topic = stores.settings.topic
    while True:
        behind = messages_behind(stores, topic)
        waited_s = clock.steady_s() - began_s
        if behind == 0 or waited_s > within_s:
            break
    faults = () if behind == 0 else (f"{behind} messages and open blocks are left after {waited_s:.0f} s",)
    figures: dict[str, int | str] = {"behind": behind, "seconds": f"{waited_s:.1f}", "allowed": f"{within_s:g}"}
    return InvariantResult("I8", "the lag returns to nothing", figures, faults)


def messages_behind(stores: Stores, topic: str) -> int:
    """Messages that are not sealed, open blocks, and partitions that have not entered the newest log."""
    newest = stores.sql(NEWEST, topic=topic)[0][0]
    with open_consumer(stores.settings) as consumer:
        behind = 0
        for partition, incarnation, next_offset in stores.sql(PLACES, topic=topic):
            end = log_bounds(consumer, topic, partition)[1]
            behind += abs(end - next_offset) if incarnation == newest else max(end, 1)
    return behind + int(stores.sql(OPEN, topic=topic)[0][0])


def conserved(stores: Stores, account: Account) -> InvariantResult:
    """I9, by incarnation and partition: log = received + redelivered, and received = the six fates."""
    topic = stores.settings.topic
    fates: dict[tuple[int, int], dict[str, int]] = defaultdict(dict)
    for incarnation, partition, fate, count in stores.usage(BY_PLACE):
        fates[int(incarnation), int(partition)][fate] = int(count)
    received: dict[tuple[int, int], int] = defaultdict(int)
    unreadable: dict[tuple[int, int], int] = defaultdict(int)
    blocks = stores.sql(BLOCKS, topic=topic)
    for incarnation, partition, _first, _last, count, _redelivered, unread in blocks:
        received[incarnation, partition] += count
        unreadable[incarnation, partition] += unread
    faults = [
        f"incarnation {place[0]}, partition {place[1]}: received {received[place]}, "
        f"fates for {sum(fates[place].values()) + unreadable[place]}"
        for place in sorted(set(received) | set(fates))
        if received[place] != sum(fates[place].values()) + unreadable[place]
    ]
    produced, unlike = against_log(stores, topic, blocks)
    total = sum(received.values())
    if not account.accepted <= total <= account.accepted + account.maybe_repeated:
        faults.append(f"{total} events were received, {account.accepted} acknowledged")
    figures: dict[str, int | str] = {
        "acknowledged": account.accepted,
        "received": total,
        **{fate: sum(found.get(fate, 0) for found in fates.values()) for fate in FATES},
        "read in the log": produced,
    }
    return InvariantResult(
        "I9", "received = stored + duplicates + conflicts + held + rejected + retractions", figures, (*faults, *unlike)
    )


def against_log(stores: Stores, topic: str, blocks: list[tuple[int, ...]]) -> tuple[int, list[str]]:
    """Count the events in the log itself, as far as it goes back, and compare block by block."""
    newest = stores.sql(NEWEST, topic=topic)[0][0]
    total = 0
    faults = []
    with open_consumer(stores.settings) as consumer:
        for partition in sorted({block[1] for block in blocks if block[0] == newest}):
            own = [block for block in blocks if block[:2] == (newest, partition)]
            first, end = log_bounds(consumer, topic, partition)
            held = events_in_log(consumer, topic, partition, first, min(end, own[-1][3] + 1))
            total += sum(held.values())
            for _, _, begins, ends, received, redelivered, _ in own:
                if begins >= first and ends < end:
                    found = sum(held.get(offset, 0) for offset in range(begins, ends + 1))
                    if found != received + redelivered:
                        faults.append(
                            f"partition {partition}, offsets {begins} to {ends}: the log holds {found} events, "
                            f"the ledger {received} and {redelivered} redelivered"
                        )
    return total, faults
