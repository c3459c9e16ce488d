"""Seeded blocks of rows, made by the gateway's and the stream's own code from the simulator's requests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import polars as pl
import pyarrow as pa

from catalog.meter import Filter, Meter
from catalog.snapshot import Snapshot
from core.ids import MerchantId, MeterId
from ingest.codec import encode_envelope
from ingest.columns import build_batch
from ingest.decode import decode_events
from ingest.event import Envelope
from ingest.rows import Rows
from ingest.validate import Rules, judge
from ingest.verdict import Verdict
from runtime.traffic.meters import METERS
from runtime.traffic.plan import TrafficPlan
from runtime.traffic.requests import Request, requests_of
from streams.block import HORIZON_S, BlockResult, Known, process_block
from streams.compiled import compile_catalog
from streams.decode import Message, read_message
from streams.key_index import KeyIndex
from streams.rows import EVENTS, UNIQUES, WINDOWS
from streams.sequences import SealedSequences
from streams.window import BlockPlace

FIRST_AT = datetime(2026, 1, 2, tzinfo=UTC)
ENVELOPE_EVENTS = 2_000
# From the intent of one block to that of the next.
PACE = timedelta(milliseconds=400)


def seeded_plan(events: int, merchants: int, span_s: int) -> TrafficPlan:
    """236-byte CloudEvents of 20 meters and Zipf customers over so many seconds of usage time."""
    return TrafficPlan(first_at=FIRST_AT, seed=1, events=events, merchants=merchants, span_s=span_s)


def seeded_blocks(plan: TrafficPlan, rows_max: int) -> Iterator[dict[str, pa.Table]]:
    """The rows of each block by table; blocks of whole messages, about ``rows_max`` events each."""
    catalog = compile_catalog(snapshot_of(plan))
    known, first, number = Known(KeyIndex(), SealedSequences()), 0, 0
    for messages in gathered(messages_of(plan), rows_max):
        stored_at = FIRST_AT + timedelta(seconds=plan.span_s) + number * PACE
        result = process_block(messages, BlockPlace(stored_at, 1, 0, first), catalog, known)
        yield {EVENTS: result.events, WINDOWS: result.windows, UNIQUES: result.uniques}
        known = known_after(known, result, stored_at)
        first, number = first + len(messages), number + 1


def known_after(known: Known, result: BlockResult, stored_at: datetime) -> Known:
    """What the next block must know."""
    index = known.index.with_added(result.claimed, int(stored_at.timestamp()) - HORIZON_S)
    return Known(index, known.sequences.with_added(result.sequences))


def gathered(messages: Iterator[tuple[Message, int]], rows_max: int) -> Iterator[list[Message]]:
    """Messages in blocks; what is left at the end is no full block and is left out."""
    block: list[Message] = []
    rows = 0
    for message, events in messages:
        block.append(message)
        rows += events
        if rows >= rows_max:
            yield block
            block, rows = [], 0


def messages_of(plan: TrafficPlan) -> Iterator[tuple[Message, int]]:
    """The plan as the messages of one partition, each with its number of events."""
    waiting: list[Rows] = []
    number = 0
    for request in (request for chunk in requests_of(plan) for request in chunk):
        waiting += judged(request, plan)
        if sum(map(len, waiting)) >= ENVELOPE_EVENTS:
            batch = build_batch(waiting)
            value, headers = encode_envelope(Envelope(UUID(int=1), number + 1, batch))
            yield read_message(number, value, headers), batch.num_rows
            waiting, number = [], number + 1


def judged(request: Request, plan: TrafficPlan) -> list[Rows]:
    """What the gateway takes of a request."""
    received_us = int(FIRST_AT.timestamp() + plan.span_s) * 1_000_000
    rules = Rules(merchant_id(plan, request.merchant), received_us, needs={}, plain_ascii=True)
    verdict = Verdict()
    judge(decode_events(request.body, "document"), 0, rules, verdict)
    return verdict.rows


def snapshot_of(plan: TrafficPlan) -> Snapshot:
    """The simulated merchants' catalog, with ids as long as real ones."""
    owners = [merchant_id(plan, number) for number in range(plan.merchants)]
    wanted = [(owner, meter) for owner in owners for meter in METERS[: plan.meters]]
    meters = [
        Meter(
            MeterId(f"mtr_{number:026d}"),
            owner,
            meter.code,
            meter.type,
            meter.aggregation,
            meter.value,
            meter.group_by,
            (Filter("region", "eq", ("eu",)),) if meter.only_eu else (),
        )
        for number, (owner, meter) in enumerate(wanted)
    ]
    known = [(owner, plan.customer_key(customer)) for owner in owners for customer in range(plan.customers)]
    customers = pl.DataFrame(
        [(owner, subject, f"cus_{number:026d}") for number, (owner, subject) in enumerate(known)],
        schema={"merchant_id": pl.String, "subject": pl.String, "customer_id": pl.String},
        orient="row",
    )
    return Snapshot(1, tuple(meters), customers)


def merchant_id(plan: TrafficPlan, number: int) -> MerchantId:
    """An id of the length that merchants have."""
    return MerchantId(f"mer_{plan.merchant_code(number):0>26}")
