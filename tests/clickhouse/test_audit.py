"""The stored events against the promise."""

from __future__ import annotations

from clickhouse.audit import doubled_keys, fates_by_partition
from clickhouse.client import UsageStore
from tests.clickhouse.builders import at, event, events_frame

CUTOFF = at("2023-12-01")


def test_every_event_shows_once_under_its_partition_and_fate(usage_store: UsageStore) -> None:
    """What came after the cut-off does not show yet."""
    rows = [event("a"), event("b"), event("a", fate="duplicate"), event("c", partition=0, fate="held")]
    late = event("d", stored_at=at("2023-12-02"))
    usage_store.insert_frame("usage_events", events_frame([*rows, late]), token="e")

    found = fates_by_partition(usage_store, CUTOFF)

    assert found.rows() == [
        (1, 0, "mer_1", "held", 1),
        (1, 3, "mer_1", "duplicate", 1),
        (1, 3, "mer_1", "stored", 2),
    ]


def test_an_event_counted_twice_is_found(usage_store: UsageStore) -> None:
    """A repeat that was told apart is none."""
    rows = [event("a"), event("a", kafka_offset=9), event("b"), event("b", fate="duplicate"), event("c")]
    usage_store.insert_frame("usage_events", events_frame(rows), token="e")

    found = doubled_keys(usage_store, at("2023-11-01"), at("2023-12-01"), CUTOFF)

    assert found.select("event_id", "copies").rows() == [("a", 2)]
    assert doubled_keys(usage_store, at("2023-12-01"), at("2024-01-01"), CUTOFF).is_empty()
