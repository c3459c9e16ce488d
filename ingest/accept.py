"""The life of one request for events or corrections, from its head to its durable answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from core.errors import Refused
from ingest.body import Incoming, Receive, SenderGone, drain, read_body
from ingest.decode import Decoded, decode_events
from ingest.gateway import Gateway
from ingest.needs import DoorCatalog
from ingest.problems import Answer, Busy, answer_busy, answer_json, answer_problem, answer_refused
from ingest.request import Head, bearer_key, read_head
from ingest.texts import is_plain_ascii
from ingest.times import micros_of
from ingest.validate import Rules, judge
from ingest.verdict import Verdict

# Events judged before others get their turn: a millisecond or two.
EVENTS_AT_ONCE = 500


# What is done with a body: gateway, merchant, head and body in, a durable answer out.
Take = Callable[[Gateway, str, Head, bytes], Awaitable[Answer]]


async def accept(gateway: Gateway, scope: MutableMapping[str, Any], receive: Receive, take: Take) -> Answer | None:
    """Let a request in, read its body and hand it on; ``None`` when its sender has gone. Bad input never raises."""
    incoming = Incoming(receive)
    try:
        headers = collect_headers(scope)
        identity = await gateway.authorizer.identify(bearer_key(headers))
        head = read_head(scope, headers)
        gateway.admit()
        with gateway.pending.open() as hold:
            # The body is handed over, not kept: it is let go of once it is judged.
            answer = await take(
                gateway,
                identity.merchant_id,
                head,
                await read_body(incoming, head, hold, gateway.config.body_time_limit_s),
            )
    except Refused as refused:
        answer = answer_refused(refused)
    except Busy as busy:
        answer = answer_busy(busy)
    except SenderGone:
        return None
    if not incoming.ended:
        await drain(incoming)
    gateway.metrics.count_request(answer.status)
    return answer


async def take_events(gateway: Gateway, merchant_id: str, head: Head, body: bytes) -> Answer:
    """Judge the events of a body and answer once the good ones are safe."""
    begun_s = gateway.parts.clock.steady_s()
    verdict = await judge_in_turns(gateway, body, head, merchant_id)
    if verdict is None:
        verdict = await judge_body(gateway, body, head, merchant_id)
    size = len(body)
    del body
    kept = verdict.kept
    if kept:
        await gateway.keep(kept, size)
    gateway.metrics.count_verdict(verdict, gateway.parts.clock.steady_s() - begun_s)
    return answer_verdict(verdict)


def collect_headers(scope: MutableMapping[str, Any]) -> dict[bytes, bytes]:
    """Headers by lower-case name; one that is stacked by repetition is joined, and so refused where only one may be."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        headers[name] = headers[name] + b"," + value if name in headers else value
    return headers


def rules_of(gateway: Gateway, head: Head, merchant_id: str, catalog: DoorCatalog | None) -> Rules:
    """What holds for the events of a request that is received now."""
    return Rules(
        merchant_id=merchant_id,
        received_us=micros_of(gateway.parts.clock.now()),
        needs=catalog.of(merchant_id) if catalog else {},
        backfill=head.backfill,
        cloud_only=head.cloud_only,
        layouts=gateway.layouts.of(merchant_id, catalog),
    )


def judge_at_once(gateway: Gateway, body: bytes, head: Head, merchant_id: str) -> Verdict | None:
    """Judge a plain body in the fast lane; ``None`` when it is not plain, or the lane not open yet."""
    lane = gateway.lanes.lane
    if lane is None:
        return None
    catalog = gateway.parts.catalog()
    return lane.judge(body, head.layout, rules_of(gateway, head, merchant_id, catalog), catalog)


async def judge_in_turns(gateway: Gateway, body: bytes, head: Head, merchant_id: str) -> Verdict | None:
    """``judge_at_once``, but that others get their turn while a large body is judged."""
    lane = gateway.lanes.lane
    if lane is None:
        return None
    catalog = gateway.parts.catalog()
    return await lane.judge_in_turns(body, head.layout, rules_of(gateway, head, merchant_id, catalog), catalog)


async def judge_body(gateway: Gateway, body: bytes, head: Head, merchant_id: str) -> Verdict:
    """Decode and judge all events of a body, giving way to other requests now and then."""
    rules = rules_of(gateway, head, merchant_id, gateway.parts.catalog())
    rules.plain_ascii = is_plain_ascii(body)
    decoded = decode_events(body, head.layout)
    verdict = Verdict()
    for first in range(0, len(decoded), EVENTS_AT_ONCE):
        if first:
            await asyncio.sleep(0)
        part: Decoded = decoded[first : first + EVENTS_AT_ONCE]
        judge(part, first, rules, verdict)
    verdict.rejections.sort(key=lambda one: one.index)
    return verdict


def answer_verdict(verdict: Verdict) -> Answer:
    """202 when all was accepted, 207 when some was, 422 when nothing was."""
    body = verdict.body()
    if not verdict.rejections:
        return answer_json(202, body)
    if verdict.kept:
        return answer_json(207, body)
    detail = "no event of this request was accepted; see rejected for each"
    return answer_problem(422, "all_rejected", detail, more=body)
