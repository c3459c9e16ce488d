"""Corrections and fills: columns that come back from the bytes of a message as they were put in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pyarrow as pa
import pytest

from core.errors import BadEvent
from ingest.codec import decode_envelope, encode_envelope
from ingest.correction import (
    Content,
    Correction,
    FillAsked,
    as_corrections,
    build_corrections,
    build_fill,
    check_corrections,
    fill_spans,
    has_repeats,
    read_fill,
)
from ingest.event import AMEND, BACKFILL, CORRECTION_SCHEMA, ENVELOPE_SCHEMA, RETRACT, Envelope, event_key

NOON = datetime(2023, 11, 20, 12, tzinfo=UTC)
AMENDED = Content("call", "c-1", NOON, {"tokens": "7"}, 99)


def two() -> pa.RecordBatch:
    """A retraction and an amendment."""
    return build_corrections(
        [
            Correction(RETRACT, "mer_a", "", "1", "cor_1"),
            Correction(AMEND, "mer_a", "src", "2", "cor_1", AMENDED),
        ],
        NOON,
    )


def test_corrections_come_back_from_a_message() -> None:
    """With the same headers as events, small and packed."""
    for times in (1, 4000):
        batch = two() if times == 1 else many(times)
        value, headers = encode_envelope(Envelope(UUID(int=1), 5, batch))
        found = decode_envelope(value, headers)
        assert (found.kind, found.sequence) == ("corrections", 5)
        assert found.events.equals(batch)


def many(count: int) -> pa.RecordBatch:
    """Enough rows to be packed."""
    return build_corrections([Correction(RETRACT, "mer_a", "", str(n), "cor_1") for n in range(count)], NOON)


def test_a_retraction_names_its_event_and_says_nothing_else() -> None:
    """An amendment carries the whole new content."""
    rows = two().to_pylist()

    assert rows[0]["key"] == event_key("mer_a", "", "1")
    assert (rows[0]["type"], rows[0]["subject"], rows[0]["properties"], rows[0]["body_hash"]) == ("", "", [], 0)
    assert (rows[1]["type"], rows[1]["properties"], rows[1]["body_hash"]) == ("call", [("tokens", "7")], 99)


def test_events_become_corrections_column_by_column() -> None:
    """What the gateway validated, with an action and an id."""
    events = pa.RecordBatch.from_arrays([two().column(field.name) for field in ENVELOPE_SCHEMA], schema=ENVELOPE_SCHEMA)

    found = as_corrections(events, BACKFILL, "bkf_1")

    assert found.schema.equals(CORRECTION_SCHEMA)
    assert found.column("action").to_pylist() == [BACKFILL, BACKFILL]
    assert found.column("correction_id").to_pylist() == ["bkf_1", "bkf_1"]


def test_a_key_may_be_corrected_once_a_message() -> None:
    """The order of two would decide, so nobody may send them together."""
    twice = pa.concat_batches([two(), two()])

    assert has_repeats(twice)
    with pytest.raises(BadEvent, match="more than once"):
        check_corrections(twice)


@pytest.mark.parametrize("action", [0, 5, -1])
def test_an_action_that_nobody_knows_is_refused(action: int) -> None:
    """Numbers from 1 to 4 have a meaning."""
    batch = two().set_column(10, CORRECTION_SCHEMA.field("action"), pa.array([action, 1], pa.int8()))

    with pytest.raises(BadEvent, match="no action"):
        check_corrections(batch)


def test_a_fill_comes_back_from_a_message() -> None:
    """One row that says which meter and which span."""
    asked = FillAsked("fil_1", "mer_a", "mtr_1", NOON, NOON + timedelta(hours=3))

    value, headers = encode_envelope(Envelope(UUID(int=1), 1, build_fill(asked, NOON)))

    found = decode_envelope(value, headers)
    assert found.kind == "fill"
    assert read_fill(found.events) == asked


@pytest.mark.parametrize("span", [("x", "y"), ("2023-11-20T12:00:30+00:00", "2023-11-20T13:00:00+00:00"), ("", "")])
def test_a_fill_without_a_span_of_whole_minutes_is_refused(span: tuple[str, str]) -> None:
    """Windows are minutes: a part of one cannot be restated."""
    good = build_fill(FillAsked("fil_1", "mer_a", "mtr_1", NOON, NOON + timedelta(hours=3)), NOON)
    place = good.schema.names.index("properties")
    said = pa.array([[("from", span[0]), ("to", span[1])]], good.schema.field(place).type)

    with pytest.raises(BadEvent, match="span"):
        read_fill(good.set_column(place, good.schema.field(place), said))


def test_a_long_span_is_asked_for_in_parts() -> None:
    """They follow each other without gap, and each is short enough."""
    spans = list(fill_spans(NOON, NOON + timedelta(days=2, minutes=5)))

    assert [start for start, _ in spans] == [NOON, NOON + timedelta(days=1), NOON + timedelta(days=2)]
    assert spans[-1][1] == NOON + timedelta(days=2, minutes=5)
    for start, end in spans:
        assert read_fill(build_fill(FillAsked("f", "m", "t", start, end), NOON)).ends_at == end
