"""The door, on a real broker: forms, answers, limits and abuse."""

from __future__ import annotations

import asyncio
import gzip
import resource
from dataclasses import replace

import httpx
import orjson
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.limits import BODY_BYTES_MAX, EVENTS_PER_REQUEST_MAX
from ingest.config import GatewayConfig
from tests.ingest.conftest import OTHER_KEY, Ask, ReadLog, RunGateway, Running

GOOD = {"id": "a", "type": "t", "subject": "s", "properties": {"n": 1}}


def is_problem(response: httpx.Response, status: int, code: str) -> bool:
    """Whether an answer is the problem document expected."""
    document = response.json()
    return (
        response.headers["content-type"] == "application/problem+json"
        and (response.status_code, document["status"], document["code"]) == (status, status, code)
        and document["type"].endswith(code)
    )


def test_a_thousand_events_with_one_bad_one(ask: Ask, config: GatewayConfig, read_log: ReadLog) -> None:
    """999 accepted, the bad one named by its index, and exactly the 999 are in the log when the answer comes."""
    events: list[dict[str, object]] = [{**GOOD, "id": f"e{i}"} for i in range(1000)]
    events[333]["subject"] = ""

    async def test(running: Running) -> None:
        response = await running.post(orjson.dumps(events))
        assert response.status_code == 207
        said = response.json()
        assert said["accepted"] == 999
        (rejected,) = said["rejected"]
        assert (rejected["index"], rejected["id"], rejected["code"]) == (333, "e333", "subject_empty")

    ask(test)
    envelopes = read_log(config.kafka, config.topic)
    ids = [one for envelope in envelopes for one in envelope.events.column("event_id").to_pylist()]
    assert sorted(ids) == sorted(str(event["id"]) for event in events if event["subject"])
    assert len({(envelope.producer, envelope.sequence) for envelope in envelopes}) <= len(envelopes)


@pytest.mark.parametrize("encoding", ["", "gzip", "zstd"])
@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson", "application/cloudevents-batch+json"])
def test_every_form_and_packing_is_accepted(ask: Ask, kind: str, encoding: str) -> None:
    """JSON array, NDJSON and CloudEvents batch, plain or packed."""
    event = {"specversion": "1.0", "id": "a", "source": "x", "type": "t", "subject": "s", "data": {"n": 1}}
    lines = kind.endswith("ndjson")
    body = b"\n".join([orjson.dumps(event)] * 3) if lines else orjson.dumps([event] * 3)
    packed = {"": body, "gzip": gzip.compress(body), "zstd": zstandard.compress(body)}[encoding]

    async def test(running: Running) -> None:
        response = await running.post(packed, content_type=kind, content_encoding=encoding)
        assert (response.status_code, response.json()) == (202, {"accepted": 3, "rejected": []})

    ask(test)


def test_a_single_object_without_an_id_is_given_one(ask: Ask) -> None:
    """And is told that a retry would count twice."""

    async def test(running: Running) -> None:
        response = await running.post(b'{"customer_id":"c","sku_id":"gpu","amount":1,"sent_at":null}')
        said = response.json()
        assert response.status_code == 202
        assert said["retry_safe"] is False
        assert said["generated"][0]["index"] == 0
        assert said["generated"][0]["id"].startswith("evt_")

    ask(test)


def test_wrong_requests_are_told_what_is_wrong(ask: Ask) -> None:
    """Each with its status and code, as a problem document."""
    body = orjson.dumps(GOOD)
    many = orjson.dumps([{}] * (EVENTS_PER_REQUEST_MAX + 1))

    async def test(running: Running) -> None:
        post = running.post
        assert is_problem(await post(body, authorization="Bearer bb_wrong-key-wrong-key"), 401, "unauthorized")
        assert is_problem(await post(body, authorization="Bearer x"), 401, "unauthorized")
        assert is_problem(await post(body, authorization=""), 401, "unauthorized")
        assert is_problem(await post(body, authorization=f"Bearer {OTHER_KEY}"), 403, "scope_missing")
        assert is_problem(await post(body, content_type="text/html"), 415, "media_type_unknown")
        assert is_problem(await post(body, content_type="application/json; charset=latin1"), 415, "charset_unknown")
        assert is_problem(await post(body, ce_specversion="1.0"), 415, "cloudevents_binary_mode")
        assert is_problem(await post(body, content_encoding="br"), 415, "encoding_unknown")
        assert is_problem(await post(body, content_encoding="gzip, gzip"), 415, "encoding_unknown")
        assert is_problem(await post(body, content_encoding="gzip"), 400, "encoding_broken")
        cut = zstandard.compress(body)[:-3]
        assert is_problem(await post(cut, content_encoding="zstd"), 400, "encoding_broken")
        assert is_problem(await post(b"{"), 400, "json_malformed")
        assert is_problem(await post(b"[]"), 422, "no_events")
        assert is_problem(await post(many), 413, "too_many_events")
        assert is_problem(await post(b" " * (BODY_BYTES_MAX + 1)), 413, "body_too_large")
        assert is_problem(await post(b"[{}]"), 422, "all_rejected")
        cloud = "application/cloudevents+json"
        assert (await post(body, content_type=cloud)).json()["rejected"][0]["code"] == "specversion_missing"
        wrong = await running.client.post("/v1/events?backfill=maybe", headers={"authorization": "Bearer x"})
        assert is_problem(wrong, 401, "unauthorized")
        assert is_problem(await running.client.get("/v1/events"), 405, "method_not_allowed")
        assert is_problem(await running.client.get("/nothing"), 404, "not_found")

    ask(test)


def test_a_body_without_a_length_is_bounded_too(ask: Ask) -> None:
    """Chunked uploads are cut off at the cap."""

    async def chunks() -> object:
        for _ in range(100):
            yield b" " * 65_536

    async def test(running: Running) -> None:
        headers = {"authorization": "Bearer bb_good-key-of-a-merchant"}
        response = await running.client.post("/v1/events", content=chunks(), headers=headers)  # type: ignore[arg-type]
        assert is_problem(response, 413, "body_too_large")

    ask(test)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_refused_with_memory_flat(ask: Ask, encoding: str) -> None:
    """A hundred megabytes in a few kilobytes: 413, and the process does not grow by more than the cap."""
    flood = b" " * 100_000_000
    bomb = zstandard.compress(flood) if encoding == "zstd" else gzip.compress(flood)
    del flood

    async def test(running: Running) -> None:
        await running.post(orjson.dumps(GOOD))
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(20):
            assert is_problem(await running.post(bomb, content_encoding=encoding), 413, "body_too_large")
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
        assert grown_kb < 64 * 1024
        assert running.gateway.pending.held == 0

    ask(test)


def test_too_much_at_once_is_sent_away_until_there_is_room(config: GatewayConfig, run_gateway: RunGateway) -> None:
    """429 with Retry-After, nothing held afterwards, and the next request is accepted."""
    body = orjson.dumps([{**GOOD, "id": str(i)} for i in range(500)])

    async def main() -> None:
        async with run_gateway(replace(config, pending_bytes_max=2 * len(body) + 20_000)) as running:
            answers = await asyncio.gather(*(running.post(body) for _ in range(20)))
            statuses = {answer.status_code for answer in answers}
            refused = [answer for answer in answers if answer.status_code == 429]
            assert statuses == {202, 429}
            assert all(is_problem(answer, 429, "too_much_pending") for answer in refused)
            assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
            assert running.gateway.pending.held == 0
            assert (await running.post(body)).status_code == 202

    asyncio.run(main())


def test_single_events_of_many_senders_share_envelopes(
    config: GatewayConfig, run_gateway: RunGateway, read_log: ReadLog
) -> None:
    """Five hundred requests at once need few messages, and each answer covers its own event."""

    async def main() -> None:
        async with run_gateway(config) as running:
            posts = (running.post(orjson.dumps({**GOOD, "id": f"e{i}"})) for i in range(500))
            answers = await asyncio.gather(*posts)
            assert {answer.status_code for answer in answers} == {202}

    asyncio.run(main())
    envelopes = read_log(config.kafka, config.topic)
    ids = {one for envelope in envelopes for one in envelope.events.column("event_id").to_pylist()}
    assert ids == {f"e{i}" for i in range(500)}
    assert len(envelopes) < 200


def test_readiness_and_metrics_are_told(ask: Ask) -> None:
    """The names are those of ``core.metrics``."""

    async def test(running: Running) -> None:
        assert (await running.client.get("/healthz")).status_code == 200
        ready = await running.client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (200, True)
        await running.post(orjson.dumps([GOOD, {}]))
        text = (await running.client.get("/metrics")).text
        assert "millrace_events_accepted_total 1.0" in text
        assert 'millrace_events_rejected_total{code="type_missing"} 1.0' in text
        assert 'millrace_requests_total{status="207"} 1.0' in text
        assert "millrace_accept_seconds_count 1.0" in text

    ask(test)


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*GOOD, "specversion", "data", "sku_id", "customer_id", "amount"]), inner)
    ),
    max_leaves=10,
)


def test_nothing_that_is_sent_is_our_error(ask: Ask) -> None:
    """Arbitrary bytes and arbitrary JSON, in any form and packing: never a 5xx, and verdicts add up."""

    async def test(running: Running) -> None:
        loop = asyncio.get_running_loop()
        kinds = st.sampled_from(["application/json", "application/x-ndjson", "application/cloudevents+json"])
        bodies = st.binary(max_size=300) | JSON_LIKE.map(lambda value: orjson.dumps(value, default=str))

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(bodies, kinds, st.sampled_from(["", "gzip", "zstd"]))
        def fuzz(body: bytes, kind: str, encoding: str) -> None:
            post = running.post(body, content_type=kind, content_encoding=encoding)
            answer = asyncio.run_coroutine_threadsafe(post, loop).result(30)
            assert answer.status_code in {202, 207, 400, 413, 415, 422}, answer.text
            assert orjson.loads(answer.content)

        await asyncio.to_thread(fuzz)

    ask(test)
