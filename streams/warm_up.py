"""The kernels of a block are compiled, or loaded from disk, before any event waits for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import polars as pl
import pyarrow as pa

from catalog.meter import AGGREGATIONS, Filter, Meter
from catalog.snapshot import SUBJECTS, Snapshot
from core.ids import MerchantId, MeterId
from ingest.event import ENVELOPE_SCHEMA, Envelope
from streams.block import BlockResult, Known, process_block
from streams.compiled import compile_catalog
from streams.decode import Readable
from streams.key_index import KeyIndex
from streams.native import native_block
from streams.rows import UNIQUES, WINDOWS
from streams.sequences import SealedSequences
from streams.window import BlockPlace

AT = datetime(2026, 1, 1, tzinfo=UTC)
MERCHANT, KIND, SUBJECT = "mer_", "call", "c-1"
# A plain number, one that Polars must read, a text that JSON must escape, and none.
VALUES = ("1.50", "1e3", '"', None)


def warm_up() -> BlockResult:
    """Compute a small block of all there is, in memory alone. Takes seconds on a machine's first start."""
    envelope = Envelope(UUID(int=1), 1, trial_events())
    result = process_block(
        [Readable(0, envelope)],
        BlockPlace(AT, 1, 0, 0),
        compile_catalog(trial_catalog()),
        Known(KeyIndex(), SealedSequences()),
    )
    for table, rows in ((WINDOWS, result.windows), (UNIQUES, result.uniques)):
        native_block(table, rows)
    return result


def trial_events() -> pa.RecordBatch:
    """An event for each value, and one of nobody."""
    count = len(VALUES) + 1
    columns = {
        "key": [number.to_bytes(16, "big") for number in range(count)],
        "body_hash": range(count),
        "merchant_id": [MERCHANT] * len(VALUES) + ["nobody"],
        "event_id": map(str, range(count)),
        "source": [""] * count,
        "type": [KIND] * count,
        "subject": [SUBJECT] * count,
        "occurred_at": [AT] * count,
        "received_at": [AT] * count,
        "properties": [[("n", value), ("g", value)] if value else [] for value in (*VALUES, None)],
    }
    arrays = [pa.array(list(columns[field.name]), field.type) for field in ENVELOPE_SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=ENVELOPE_SCHEMA)


def trial_catalog() -> Snapshot:
    """A meter of each aggregation, with a group and a filter, and one that works its value out."""
    meters = tuple(
        Meter(
            MeterId(f"mtr_{kind}"),
            MerchantId(MERCHANT),
            kind,
            KIND,
            kind,
            None if kind == "count" else "n",
            ("g",),
            (Filter("g", "ne", ("x",)),),
        )
        for kind in sorted(AGGREGATIONS)
    )
    worked_out = replace(
        meters[0],
        meter_id=MeterId("mtr_expression"),
        code="expression",
        aggregation="sum",
        value_property=None,
        expression="properties.n * 2",
    )
    return Snapshot(
        1, (*meters, worked_out), pl.DataFrame([(MERCHANT, SUBJECT, "cus_")], schema=SUBJECTS, orient="row")
    )
