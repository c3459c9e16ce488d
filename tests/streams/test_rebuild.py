"""The index read back in slices is the index read back at once."""

from __future__ import annotations

from datetime import timedelta

from clickhouse.client import UsageStore
from streams.block import Known, process_block
from streams.key_index import KeyIndex
from streams.plan import Intent
from streams.rebuild import KeysWanted, claimed_keys
from streams.rows import EVENTS
from streams.sequences import SealedSequences
from streams.store import ClickHouseStore
from streams.window import BlockPlace
from tests.streams.builders import NOON, Said, compiled, messages

INTENT = Intent(1, 0, 0, 1, NOON)


def test_slices_join_without_gap_or_overlap(usage_store: UsageStore) -> None:
    """However many slices the keys are read in, each key comes once, in the order of the high words."""
    result = process_block(
        messages([[Said(str(number), {"tokens": "1"}) for number in range(500)]]),
        BlockPlace(NOON, 1, 0, 0),
        compiled(),
        Known(KeyIndex(), SealedSequences()),
    )
    ClickHouseStore(usage_store).insert(EVENTS, result.events, "t")
    since = NOON - timedelta(days=1)

    for keys_at_once in (1000, 130, 7):
        found = claimed_keys(usage_store.query_frame, KeysWanted(0, since, ()), keys_at_once=keys_at_once)

        assert found.high.tolist() == result.claimed.high.tolist()
        assert found.body.tolist() == result.claimed.body.tolist()
