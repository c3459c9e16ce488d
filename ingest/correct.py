"""The doors for corrections: retractions and amendments, alone or many at once, and the events of a backfill."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa

from core.errors import Conflict, Problem, Refused, Transient
from ingest.accept import Take, judge_body
from ingest.backfill import Backfill
from ingest.columns import build_batch, join_keys
from ingest.correction import as_corrections
from ingest.event import BACKFILL
from ingest.gateway import Gateway
from ingest.judge_corrections import CorrectionVerdict, judge_corrections
from ingest.problems import Answer, Unavailable, answer_json, answer_problem
from ingest.read_corrections import Read, read_corrections, read_put, read_retraction
from ingest.request import Head
from ingest.texts import is_plain_ascii
from ingest.times import micros_of
from ingest.validate import Rules
from ingest.verdict import Rejection, Verdict

ReadBody = Callable[[bytes, Head], Read]


async def take_corrections(gateway: Gateway, merchant_id: str, head: Head, body: bytes) -> Answer:
    """``POST /v1/corrections``."""
    return await take(gateway, merchant_id, head, body, lambda body, head: read_corrections(body, head.layout))


def take_retraction(event_id: str, query: dict[str, str]) -> Take:
    """``POST /v1/events/{id}/retract``."""

    async def take_one(gateway: Gateway, merchant_id: str, head: Head, body: bytes) -> Answer:
        return await take(
            gateway, merchant_id, head, body, lambda body, _head: [read_retraction(body, event_id, query)]
        )

    return take_one


def take_amendment(event_id: str, query: dict[str, str]) -> Take:
    """``PUT /v1/events/{id}``."""

    async def take_one(gateway: Gateway, merchant_id: str, head: Head, body: bytes) -> Answer:
        return await take(
            gateway, merchant_id, head, body, lambda body, head: [read_put(body, head.layout, event_id, query)]
        )

    return take_one


async def take(gateway: Gateway, merchant_id: str, head: Head, body: bytes, read: ReadBody) -> Answer:
    """Judge corrections and answer once the good ones are safe."""
    catalog = gateway.parts.catalog()
    rules = Rules(
        merchant_id=merchant_id,
        received_us=micros_of(gateway.parts.clock.now()),
        needs=catalog.of(merchant_id) if catalog else {},
        # What is corrected may be as old as anything that was ever billed.
        backfill=True,
        cloud_only=False,
        plain_ascii=is_plain_ascii(body),
        layouts=gateway.layouts.of(merchant_id, catalog),
    )
    # In a thread of their own: ten thousand of them would keep the events of others waiting.
    verdict = await asyncio.to_thread(lambda: judge_corrections(read(body, head), rules))
    return await keep(gateway, verdict)


async def keep(gateway: Gateway, verdict: CorrectionVerdict) -> Answer:
    """Send what was accepted, each partition's in one message, and say what became of it."""
    if verdict.batches:
        await gateway.keep_apart(verdict.batch())
    gateway.metrics.count_rejected(verdict.rejections)
    body = verdict.body()
    if not verdict.rejections:
        return answer_json(202, body)
    if verdict.batches:
        return answer_json(207, body)
    return answer_problem(422, "all_rejected", "nothing of this request was accepted; see rejected for each", more=body)


def take_backfill(backfill_id: str) -> Take:
    """``POST /v1/backfills/{id}/events``: events that wait until their backfill is closed."""

    async def take_some(gateway: Gateway, merchant_id: str, head: Head, body: bytes) -> Answer:
        judged = await judge_body(gateway, body, replace(head, backfill=True), merchant_id)
        count = len(judged.rejections) + judged.accepted
        # Asked last, so that hardly any time passes before the events are in the log.
        backfill = await open_backfill_of(gateway, merchant_id, backfill_id)
        return await keep(gateway, judge_backfill(judged, count, backfill))

    return take_some


async def open_backfill_of(gateway: Gateway, merchant_id: str, backfill_id: str) -> Backfill:
    """The merchant's backfill, which must be open; raises ``Refused`` 404, ``Conflict`` or ``Unavailable``."""
    try:
        found = await asyncio.to_thread(gateway.parts.find_backfill, merchant_id, backfill_id)
    except Transient as error:
        raise Unavailable("books_unavailable", "backfills cannot be looked up at the moment") from error
    if found is None:
        raise Refused("backfill_unknown", "there is no such backfill", status=404)
    if found.state != "open":
        raise Conflict("backfill_not_open", f"the backfill is {found.state}: open another one")
    return found


def judge_backfill(judged: Verdict, count: int, backfill: Backfill) -> CorrectionVerdict:
    """Of judged events those that lie in the backfill's span, each key once, as corrections."""
    verdict = CorrectionVerdict(rejections=list(judged.rejections), generated=list(judged.generated))
    if not judged.rows:
        return verdict
    refused = {one.index for one in judged.rejections}
    indexes = [index for index in range(count) if index not in refused]
    keys = join_keys(judged.rows)
    occurred = [instant for rows in judged.rows for instant in rows.occurred_us]
    identities = [identity for rows in judged.rows for identity in rows.identities]
    first_us, end_us = micros_of(backfill.starts_at), micros_of(backfill.ends_at)
    seen: set[bytes] = set()
    kept = []
    for row, index in enumerate(indexes):
        key = keys[16 * row : 16 * row + 16]
        problem = None
        if not first_us <= occurred[row] < end_us:
            span = f"{backfill.starts_at.isoformat()} to {backfill.ends_at.isoformat()}"
            problem = Problem("outside_backfill", f"the event lies outside of the backfill's span, {span}", "time")
        elif key in seen:
            problem = Problem("correction_repeated", "the request holds an event of this id already", "id")
        if problem is None:
            seen.add(key)
            kept.append(row)
        else:
            verdict.rejections.append(Rejection(index, identities[row].decode().split("\0")[2], problem))
    verdict.rejections.sort(key=lambda one: one.index)
    if kept:
        events = build_batch(judged.rows).take(pa.array(kept))
        verdict.batches.append(as_corrections(events, BACKFILL, backfill.backfill_id))
    return verdict
