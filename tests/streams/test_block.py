"""A block against plain Python: same fates, same windows, to the last place; the same bytes each time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.meter import Filter, Meter
from core.clock import ManualClock
from ingest.event import Envelope
from streams.block import BlockResult, Counts, Known, process_block
from streams.compiled import Compiled, compile_catalog
from streams.decode import Readable
from streams.key_index import KeyIndex
from streams.rows import EVENTS_SCHEMA, FATES, UNIQUES_SCHEMA, WINDOWS_SCHEMA
from streams.sequences import SealedSequences
from streams.window import BlockPlace
from tests.streams.builders import NOON, Said, compiled, envelope, messages, meter, snapshot
from tests.streams.naive import Naive, Total, Window

PLACE = BlockPlace(NOON, 1, 0, 0)
NOTHING_KNOWN = Known(KeyIndex(), SealedSequences())

METERS = (
    meter("calls", "count"),
    meter("by_model", "count", group_by=("model", "region")),
    meter("tokens", "sum"),
    meter("eu_tokens", "sum", group_by=("model",), filters=(Filter("region", "in", ("eu", "ch")),)),
    meter("not_eu", "sum", filters=(Filter("region", "ne", ("eu",)), Filter("model", "exists"))),
    meter("least", "min", event_type="probe"),
    meter("most", "max", event_type="probe", group_by=("region",)),
    meter("level", "latest", event_type="probe"),
    meter("used", "sum", event_type="use", expression="properties.tokens * properties.hours / 3600"),
    meter("least_used", "min", event_type="use", expression="min(properties.hours, 100) / properties.tokens"),
    meter("eu_used", "latest", event_type="use", group_by=("region",), expression="2 * properties.hours"),
    meter("models", "unique", "model", event_type="seen", group_by=("region",)),
    meter("other", "sum", merchant="mer_b"),
)
SUBJECTS = ("c-1", "c-2")
CATALOG = compile_catalog(snapshot(METERS, SUBJECTS))

numbers = st.one_of(
    st.decimals(-1000, 1000, places=3).map(str),
    st.sampled_from(["0", "1e3", "-0.000000000001", "0.0000000000001", "9999999999999999999", "1e19", "many", "nan"]),
)
texts = st.sampled_from(["eu", "us", "ch", 'q"uote', "new\nline", "é\\", "", "\x01"])
said = st.builds(
    Said,
    id=st.integers(0, 25).map(str),
    properties=st.fixed_dictionaries(
        {}, optional={"tokens": numbers, "hours": numbers, "model": texts, "region": texts}
    ),
    type=st.sampled_from(["call", "probe", "use", "seen", "unheard"]),
    subject=st.sampled_from(["c-1", "c-2", "c-3"]),
    merchant=st.sampled_from(["mer_a", "mer_a", "mer_a", "mer_b"]),
    at=st.integers(0, 180 * 4).map(lambda quarter: NOON + timedelta(seconds=quarter / 4)),
)
logs = st.lists(st.lists(said, max_size=12), max_size=6)


def run(groups: Sequence[Sequence[Said]], catalog: Compiled = CATALOG, known: Known = NOTHING_KNOWN) -> BlockResult:
    """One block of one message a group."""
    return process_block(messages(groups), PLACE, catalog, known)


def fates(result: BlockResult) -> list[tuple[str, str, str]]:
    """Id, fate and reason of each event, in the order of the log."""
    rows = result.events.select(["event_id", "fate", "reason"]).to_pylist()
    return [(row["event_id"], FATES[row["fate"]], row["reason"]) for row in rows]


def totals(results: Sequence[BlockResult]) -> dict[Window, Total]:
    """The windows of several blocks put together, as a reader of ClickHouse would."""
    found: dict[Window, Total] = {}
    for row in (row for result in results for row in result.windows.to_pylist()):
        total = found.setdefault((row["meter"], row["subject"], row["window_start"], row["group_key"]), Total())
        total.events += row["events"]
        total.sum += row["sum"]
        if row["aggregation"] not in {"count", "unique"}:
            total.min = row["min"] if total.min is None else min(total.min, row["min"])
            total.max = row["max"] if total.max is None else max(total.max, row["max"])
        if row["aggregation"] == "latest":
            last = (row["last_at"], row["last_key"], row["last"])
            total.last = last if total.last is None else max(total.last, last)
    for row in (row for result in results for row in result.uniques.to_pylist()):
        found[row["meter"], row["subject"], row["window_start"], row["group_key"]].values.add(row["value"])
    return found


@given(logs)
@settings(max_examples=150, deadline=None)
def test_fates_and_windows_are_those_of_plain_python(groups: list[list[Said]]) -> None:
    """Every event's fate and reason, and every window's numbers, equal a naive one-by-one computation."""
    naive = Naive(METERS, SUBJECTS)
    naive.feed(event for group in groups for event in group)

    result = run(groups)

    assert fates(result) == naive.fates
    assert totals([result]) == naive.windows


@given(logs, st.lists(st.integers(1, 5), max_size=6))
@settings(max_examples=100, deadline=None)
def test_cuts_into_blocks_change_neither_fates_nor_totals(groups: list[list[Said]], cuts: list[int]) -> None:
    """However the log is cut into blocks, the events' fates and the sums of the deltas stay the same."""
    log = messages(groups)
    whole = process_block(log, PLACE, CATALOG, NOTHING_KNOWN)
    known, pieces, start = NOTHING_KNOWN, [], 0
    for length in [*cuts, len(log)]:
        piece = process_block(log[start : start + length], PLACE, CATALOG, known)
        known = Known(known.index.with_added(piece.claimed, 0), known.sequences.with_added(piece.sequences))
        pieces.append(piece)
        start += length

    assert [fate for piece in pieces for fate in fates(piece)] == fates(whole)
    assert totals(pieces) == totals([whole])


@given(st.lists(said, max_size=20, unique_by=lambda event: event.id), st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_order_of_events_does_not_change_their_windows(events: list[Said], chance: object) -> None:
    """Distinct events in any order give the same window rows, byte for byte."""
    shuffled = list(events)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    first, second = run([events]), run([shuffled])

    assert first.windows.equals(second.windows)
    assert first.uniques.equals(second.uniques)


@given(logs)
@settings(max_examples=40, deadline=None)
def test_a_redo_gives_the_same_bytes(groups: list[list[Said]]) -> None:
    """The same messages in other Arrow buffers give equal tables and the same digest."""
    first = run(groups)
    log = [Readable(m.offset, envelope_in_other_buffers(m)) for m in messages(groups) if isinstance(m, Readable)]

    second = process_block(log, PLACE, CATALOG, NOTHING_KNOWN)

    assert first.digest == second.digest
    assert first.events.equals(second.events)


def envelope_in_other_buffers(message: Readable) -> Envelope:
    """The same envelope, its events a slice of a longer batch."""
    batch = message.envelope.events
    longer = pa.concat_batches([batch, batch, batch]).slice(batch.num_rows, batch.num_rows)
    return Envelope(message.envelope.producer, message.envelope.sequence, longer)


@given(logs)
@settings(max_examples=60, deadline=None)
def test_counts_conserve_events(groups: list[list[Said]]) -> None:
    """Received = stored + duplicates + conflicts + held + rejected, and each rejection has its letter."""
    result = run(groups)
    counts = result.counts

    assert counts.received == sum(map(len, groups))
    assert counts.received == (counts.stored + counts.duplicates + counts.conflicts + counts.held + counts.rejected)
    assert len(result.dead_letters) == counts.rejected


def test_rows_have_the_tables_schemas() -> None:
    """Every column is there, in the tables' order and type, also in a block without any event."""
    for result in (run([]), run([[Said("1", {"tokens": "5"})]])):
        assert result.events.schema == EVENTS_SCHEMA
        assert result.windows.schema == WINDOWS_SCHEMA
        assert result.uniques.schema == UNIQUES_SCHEMA


def test_another_value_gives_another_digest() -> None:
    """The digest sees a single changed digit."""
    assert run([[Said("1", {"tokens": "5"})]]).digest != run([[Said("1", {"tokens": "6"})]]).digest


def test_a_window_says_whose_and_when() -> None:
    """One event makes one window of its minute with the customer's and the meter's names and the block's place."""
    event = Said("1", {"tokens": "5", "model": "m1"}, at=NOON + timedelta(seconds=61))

    result = run([[event]], compiled(meter("tokens", group_by=("model", "region"))))

    row = result.windows.to_pylist()[0]
    assert row["window_start"] == NOON + timedelta(minutes=1)
    assert (row["customer_id"], row["subject"], row["meter_id"]) == ("cus_c-1", "c-1", "mtr_mer_a_tokens")
    assert row["group_key"] == '{"model":"m1","region":null}'
    assert (row["events"], row["sum"], row["stored_at"]) == (1, Decimal(5), NOON)


def test_a_corrected_event_counts_under_its_old_id() -> None:
    """A rejected event claims no key: its sender may mend it and send it again, in the same block or later."""
    bad, good = Said("1", {"tokens": "five"}), Said("1", {"tokens": "5"})

    assert [fate for _, fate, _ in fates(run([[bad, good, good]]))] == ["rejected", "stored", "duplicate"]


def test_a_held_event_claims_its_key() -> None:
    """A copy of a held event is a duplicate: only the first will count once its customer appears."""
    event = Said("1", {"tokens": "5"}, subject="c-9")

    assert [fate for _, fate, _ in fates(run([[event, event]]))] == ["held", "duplicate"]


@pytest.mark.parametrize("meters", [(), METERS])
@pytest.mark.parametrize("subjects", [(), SUBJECTS])
def test_what_a_catalog_knows_nothing_of_is_held(meters: tuple[Meter, ...], subjects: tuple[str, ...]) -> None:
    """A new installation's has neither meters nor customers; the worker starts with it, and events may come first."""
    catalog = compile_catalog(snapshot(meters, subjects))

    good = {"tokens": "2", "model": "m", "region": "eu"}
    log = messages([[Said("1", good), Said("2", good, merchant="mer_z")]])
    result = process_block(log, PLACE, catalog, NOTHING_KNOWN)

    counted = 1 if meters and subjects else 0
    assert (result.counts.received, result.counts.stored, result.counts.held) == (2, counted, 2 - counted)
    assert bool(result.windows.num_rows) == bool(counted)


def test_a_key_is_forgotten_after_the_horizon() -> None:
    """The horizon is counted from the block's own time, so that a redo at any later moment answers alike."""
    clock = ManualClock(NOON)
    event = Said("1", {"tokens": "5"})
    first = process_block(messages([[event]]), PLACE, CATALOG, NOTHING_KNOWN)
    known = Known(KeyIndex().with_added(first.claimed, 0), SealedSequences())
    found = []
    for days in (35, 36):
        place = BlockPlace(clock.now() + timedelta(days=days), 1, 0, 1)
        found.append(fates(process_block(messages([[event]], 1), place, CATALOG, known))[0][1])

    assert found == ["duplicate", "stored"]


def test_a_time_that_cannot_be_stored_is_rejected() -> None:
    """An event of 1969 would wrap round in ClickHouse; it is set aside and its neighbours are not."""
    result = run(
        [[Said("1", {"tokens": "1"}, at=datetime(1969, 12, 31, tzinfo=NOON.tzinfo)), Said("2", {"tokens": "1"})]]
    )

    assert fates(result) == [("1", "rejected", "time_out_of_range"), ("2", "stored", "")]


def test_a_dead_letter_tells_what_was_wrong() -> None:
    """The letter names the place, the meter, the property and the text, and holds the event as it came."""
    result = run([[], [Said("ok", {"tokens": "1"}), Said("bad", {"tokens": "n/a"})]], compiled(meter()))

    letter = result.dead_letters[0]
    assert (letter.kafka_offset, letter.position, letter.event_id) == (1, 1, "bad")
    assert (letter.code, letter.message) == ("value_not_numeric", "meter tokens needs property tokens, which is 'n/a'")
    assert letter.payload is not None
    assert letter.payload["properties"] == {"tokens": "n/a"}


def test_redelivered_envelopes_stand_outside_the_count() -> None:
    """An envelope sealed before is left out whole, and so is a second one of the same sequence in the block."""
    event = Said("1", {"tokens": "5"})
    known = Known(KeyIndex(), SealedSequences().with_added([(envelope([], 1).producer, 1)]))
    log = [Readable(0, envelope([event], 1)), Readable(1, envelope([event], 2)), Readable(2, envelope([event], 2))]

    result = process_block(log, PLACE, CATALOG, known)

    assert result.counts == Counts(received=1, stored=1, redelivered=2)


def test_sums_near_the_bound_stay_exact() -> None:
    """A thousand of the largest values add up without wrapping."""
    largest, sum_of_all = "9999999999999999999.999999999999", Decimal("9999999999999999999999.999999999")
    result = run([[Said(str(number), {"tokens": largest}) for number in range(1000)]], compiled(meter()))

    assert result.windows.column("sum").to_pylist() == [sum_of_all]
