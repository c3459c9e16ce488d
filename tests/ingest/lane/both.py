"""Both lanes side by side: what the rules say of a body and what the kernels say of it, compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import count
from typing import Any

import pyarrow as pa
import pytest

from core.errors import Refused
from ingest import validate
from ingest.columns import build_batch, join_keys, split_by_partition
from ingest.decode import Layout, decode_events
from ingest.lane.lane import FastLane
from ingest.needs import DoorCatalog, Needs, build_catalog
from ingest.texts import is_plain_ascii
from ingest.validate import Rules, judge
from ingest.verdict import Verdict

NOON = 1_700_481_600_000_000
CATALOG: DoorCatalog = build_catalog(1, {("mer_1", "t"): ("n",)}, {("mer_1", "t"): ("o",), ("mer_1", "u"): ("n",)})
NEEDS: Mapping[str, Needs] = CATALOG.of("mer_1")
PARTITIONS = 3


@cache
def shared_lane() -> FastLane:
    """One for all, as in a process."""
    return FastLane()


def rules_of(*, cloud_only: bool = False, backfill: bool = False) -> Rules:
    """Rules of a request received at noon."""
    return Rules("mer_1", NOON, NEEDS, backfill=backfill, cloud_only=cloud_only)


def judge_slowly(body: bytes, layout: Layout, rules: Rules) -> Verdict:
    """What the rules say."""
    verdict = Verdict()
    judge(decode_events(body, layout), 0, replace(rules, plain_ascii=is_plain_ascii(body)), verdict)
    verdict.rejections.sort(key=lambda one: one.index)
    return verdict


def batches_of(verdict: Verdict) -> list[tuple[int, pa.RecordBatch]]:
    """What the slow lane would put into the log."""
    if not verdict.rows:
        return []
    return split_by_partition(build_batch(verdict.rows), join_keys(verdict.rows), PARTITIONS)


def compare(body: bytes, layout: Layout = "document", fast_lane: FastLane | None = None, **options: bool) -> bool:
    """Judge a body in both lanes and compare all that follows; returns whether the fast lane took it."""
    lane = fast_lane or shared_lane()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validate, "new_id", counted_ids())
        try:
            slow: Verdict | None = judge_slowly(body, layout, rules_of(**options))
            refused = ""
        except Refused as error:
            slow, refused = None, error.code
        patch.setattr(validate, "new_id", counted_ids())
        if refused == "too_many_values":
            with pytest.raises(Refused):
                lane.judge(body, layout, rules_of(**options), CATALOG)
            return True
        fast = lane.judge(body, layout, rules_of(**options), CATALOG)
    if fast is None:
        return False
    assert slow is not None, "the fast lane took what is refused as a whole"
    assert fast.body() == slow.body()
    written = lane.write(fast.kept, PARTITIONS) if fast.kept else []
    batches = batches_of(slow)
    assert [partition for partition, _value in written] == [partition for partition, _batch in batches]
    for (_partition, value), (_same, batch) in zip(written, batches, strict=True):
        found = pa.ipc.open_stream(value).read_next_batch()
        found.validate(full=True)
        assert found.equals(batch)
        assert value == stream_of(found)
    keys = [key for part in fast.kept for key in part.keys]
    assert keys == [key for rows in slow.rows for key in rows.keys]
    return True


def counted_ids() -> Any:
    """Ids that are the same in both lanes."""
    numbers = count()
    return lambda prefix: f"{prefix}_{next(numbers)}"


def stream_of(batch: pa.RecordBatch) -> bytes:
    """The bytes that Arrow writes for columns of their own."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(
            pa.Table.from_batches([batch]).take(list(range(len(batch)))).combine_chunks().to_batches()[0]
        )
    whole: bytes = sink.getvalue().to_pybytes()
    return whole


def cloud(**changes: object) -> dict[str, object]:
    """A plain CloudEvent."""
    event = {
        "specversion": "1.0",
        "id": "a",
        "source": "s",
        "type": "t",
        "subject": "c",
        "time": "2023-11-20T11:00:00Z",
    }
    return {**event, "data": {"n": 1.5, "user": "u", "b": True}, **changes}


def plain(**changes: object) -> dict[str, object]:
    """A plain event of the plain form."""
    return {"id": "a", "type": "u", "subject": "c", "properties": {"z": "1", "n": "2.50", "a": "x"}, **changes}
