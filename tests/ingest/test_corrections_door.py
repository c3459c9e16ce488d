"""The doors for corrections, on a real broker: verdicts, one message a partition, limits and abuse."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.limits import BODY_BYTES_MAX, EVENTS_PER_REQUEST_MAX
from ingest.app import build_app
from ingest.backfill import Backfill
from ingest.config import GatewayConfig
from ingest.event import AMEND, BACKFILL, RETRACT, event_key, partition_of
from tests.ingest.conftest import KEY, OTHER_KEY, Ask, ReadLog, Running, parts_with

EVENT = {"id": "a", "type": "t", "subject": "s", "time": "2023-11-01T00:00:00Z", "properties": {"n": 1}}
SPAN = (datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 2, 1, tzinfo=UTC))


async def send(running: Running, method: str, path: str, body: object = None, key: str = KEY) -> httpx.Response:
    """A request with a JSON body, or with raw bytes."""
    content = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    return await running.client.request(method, path, content=content, headers=headers, timeout=30)


def rows_of(read_log: ReadLog, config: GatewayConfig) -> list[dict[str, Any]]:
    """All corrections in the log, by event id."""
    envelopes = [one for one in read_log(config.kafka, config.topic) if one.kind == "corrections"]
    return sorted((row for one in envelopes for row in one.events.to_pylist()), key=lambda row: str(row["event_id"]))


def test_a_request_of_both_kinds_is_one_message_a_partition(ask: Ask, config: GatewayConfig, read_log: ReadLog) -> None:
    """Each item has its verdict; what is accepted lies in its event's partition, apart from the events of others."""
    items: list[dict[str, Any]] = [{"action": "retract", "id": f"r{i}", "source": "x"} for i in range(200)]
    items += [{"action": "amend", "event": {**EVENT, "id": f"u{i}"}, "correction_id": "mine"} for i in range(200)]
    items[7]["id"] = ""
    items[9] = {"action": "undo", "id": "r9"}
    items[250]["event"] = {**EVENT, "id": "u50", "type": "metered", "properties": {"tokens": "many"}}
    items[260]["event"] = {**EVENT, "id": "u1"}

    async def test(running: Running) -> None:
        events = [{**EVENT, "id": f"e{i}", "time": None} for i in range(50)]
        answers = await asyncio.gather(
            running.post(orjson.dumps(events)),
            send(running, "POST", "/v1/corrections", items),
            running.post(orjson.dumps(events)),
        )
        assert [answer.status_code for answer in answers] == [202, 207, 202]
        said = answers[1].json()
        assert said["accepted"] == 396
        assert [(one["index"], one["id"], one["code"], one["field"]) for one in said["rejected"]] == [
            (7, "", "id_empty", "id"),
            (9, None, "action_unknown", "action"),
            (250, "u50", "value_not_numeric", "event.properties.tokens"),
            (260, "u1", "correction_repeated", "id"),
        ]
        assert said["correction_id"].startswith("cor_")

    ask(test)
    envelopes = read_log(config.kafka, config.topic)
    corrections = [one for one in envelopes if one.kind == "corrections"]
    assert len(corrections) == 4
    assert len(
        {(one.producer, one.sequence, partition_of(one.events["key"][0].as_py(), 4)) for one in envelopes}
    ) == len(envelopes)
    rows = rows_of(read_log, config)
    assert len(rows) == 396
    for row in rows:
        amended = row["event_id"].startswith("u")
        assert row["key"] == event_key("mer_1", "" if amended else "x", row["event_id"])
        assert row["action"] == (AMEND if amended else RETRACT)
        assert row["correction_id"] == "mine" if amended else row["correction_id"].startswith("cor_")
        assert (row["type"], row["subject"]) == (("t", "s") if amended else ("", ""))


def test_one_event_is_corrected_at_its_own_address(ask: Ask, config: GatewayConfig, read_log: ReadLog) -> None:
    """POST …/retract and PUT, also of ids with slashes; the body or the address names source and correction."""

    async def test(running: Running) -> None:
        done = await send(running, "POST", "/v1/events/a%2Fb/retract?source=x")
        assert (done.status_code, done.json()["accepted"]) == (202, 1)
        body = {"source": "y", "correction_id": "c-1", "reason": "sent by a test"}
        assert (await send(running, "POST", "/v1/events/b/retract", body)).json() == {"accepted": 1, "rejected": []}
        put = await send(running, "PUT", "/v1/events/c?correction_id=c-2", {**EVENT, "id": None})
        assert put.json() == {"accepted": 1, "rejected": []}
        cloud = {"specversion": "1.0", "id": "d", "source": "x", "type": "t", "subject": "s", "time": EVENT["time"]}
        assert (await send(running, "PUT", "/v1/events/d", cloud)).status_code == 202
        flat = {"id": "e", "customer_id": "s", "sku_id": "t", "amount": 2, "sent_at": 1_700_000_000}
        assert (await send(running, "PUT", "/v1/events/e", flat)).status_code == 202

    ask(test)
    rows = rows_of(read_log, config)
    assert [(row["event_id"], row["source"], row["action"]) for row in rows] == [
        ("a/b", "x", RETRACT),
        ("b", "y", RETRACT),
        ("c", "", AMEND),
        ("d", "x", AMEND),
        ("e", "", AMEND),
    ]
    assert (rows[1]["correction_id"], dict(rows[1]["properties"])) == ("c-1", {"reason": "sent by a test"})
    assert (rows[2]["correction_id"], dict(rows[4]["properties"])) == ("c-2", {"amount": "2"})


@pytest.mark.parametrize(
    ("door", "body", "status", "code"),
    [
        ("POST /v1/corrections", b"{", 422, "json_malformed"),
        ("POST /v1/corrections", b"[{]", 400, "json_malformed"),
        ("POST /v1/corrections", b"[]", 422, "no_corrections"),
        ("POST /v1/corrections", [{"action": "retract"}] * (EVENTS_PER_REQUEST_MAX + 1), 413, "too_many_events"),
        ("POST /v1/corrections", b" " * (BODY_BYTES_MAX + 1), 413, "body_too_large"),
        ("POST /v1/corrections", [{"action": "retract"}], 422, "id_missing"),
        ("POST /v1/corrections", [{"action": "retract", "id": "a\u0007"}], 422, "id_control_character"),
        ("POST /v1/corrections", [{"action": "retract", "id": 5}], 422, "wrong_type"),
        ("POST /v1/corrections", [{"action": "retract", "id": "a", "source": "x" * 257}], 422, "source_too_long"),
        ("POST /v1/corrections", [{"action": "retract", "id": "a", "reason": "x" * 1001}], 422, "reason_too_long"),
        ("POST /v1/corrections", [{"action": "amend", "id": "a"}], 422, "event_missing"),
        ("POST /v1/corrections", [{"action": "amend", "id": "b", "event": EVENT}], 422, "id_differs"),
        ("POST /v1/corrections", [{"action": "amend", "event": {**EVENT, "id": None}}], 422, "id_missing"),
        ("POST /v1/corrections", [{"action": "amend", "event": {**EVENT, "time": None}}], 422, "time_missing"),
        ("POST /v1/corrections", [{"action": "amend", "event": {**EVENT, "subject": ""}}], 422, "subject_empty"),
        ("POST /v1/corrections", [{"action": "amend", "event": 7}], 422, "event_not_object"),
        ("PUT /v1/events/b", EVENT, 422, "id_differs"),
        ("PUT /v1/events/a", [EVENT, EVENT], 422, "one_event"),
        ("PUT /v1/events/a?source=x", {**EVENT, "source": "y"}, 422, "source_differs"),
        ("PUT /v1/events/%01", {**EVENT, "id": None}, 422, "id_control_character"),
        ("POST /v1/events/a/retract", {"id": "b"}, 422, "id_differs"),
        ("POST /v1/events/a/retract", b"nonsense", 400, "json_malformed"),
        ("POST /v1/backfills/bfl_1/events", EVENT, 404, "backfill_unknown"),
    ],
)
def test_what_cannot_be_meant_is_refused(ask: Ask, door: str, body: object, status: int, code: str) -> None:
    """As a problem document with its code, or with the code of the one item."""

    async def test(running: Running) -> None:
        method, path = door.split(" ")
        answer = await send(running, method, path, body)
        said = answer.json()
        codes = {said["code"], *(one["code"] for one in said.get("rejected", []))}
        assert (answer.status_code, code in codes) == (status, True), said
        assert answer.headers["content-type"] == "application/problem+json"

    ask(test)


def test_corrections_need_the_same_key_as_events(ask: Ask) -> None:
    """No key, a wrong one, and one of another scope, at every door."""

    async def test(running: Running) -> None:
        doors = (("POST", "/v1/corrections"), ("POST", "/v1/events/a/retract"), ("PUT", "/v1/events/a"))
        for method, path in (*doors, ("POST", "/v1/backfills/b/events")):
            for key, status in (("", 401), ("bb_wrong-key-wrong-key", 401), (OTHER_KEY, 403)):
                assert (await send(running, method, path, EVENT, key)).status_code == status
        assert (await running.client.get("/v1/corrections")).status_code == 405

    ask(test)


def test_events_of_a_backfill_wait_under_its_id(config: GatewayConfig, read_log: ReadLog) -> None:
    """Old ones too; those outside of its span and repeats are refused, and so is all when it is not open."""
    found = Backfill("bfl_1", "mer_1", "open", *SPAN, "", SPAN[1], None, None)
    state = {"open": found}

    def find(merchant_id: str, backfill_id: str) -> Backfill | None:
        return state["open"] if (merchant_id, backfill_id) == ("mer_1", "bfl_1") else None

    events = [{**EVENT, "id": f"e{i}", "time": f"2023-01-{1 + i % 31:02}T10:00:00Z"} for i in range(300)]
    events[3]["time"] = "2023-02-01T00:00:00Z"
    events[4]["id"] = "e0"
    events[5]["subject"] = ""

    async def main() -> None:
        app = build_app(config, replace(parts_with(), find_backfill=find))
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
        ):
            running = Running(app, client)
            answer = await send(running, "POST", "/v1/backfills/bfl_1/events", events)
            assert answer.status_code == 207, answer.text
            said = [(one["index"], one["id"], one["code"]) for one in answer.json()["rejected"]]
            assert said == [
                (3, "e3", "outside_backfill"),
                (4, "e0", "correction_repeated"),
                (5, "e5", "subject_empty"),
            ]
            assert (await send(running, "POST", "/v1/backfills/bfl_2/events", events)).status_code == 404
            state["open"] = replace(found, state="closing")
            late = await send(running, "POST", "/v1/backfills/bfl_1/events", events)
            assert (late.status_code, late.json()["code"]) == (409, "backfill_not_open")

    asyncio.run(main())
    rows = rows_of(read_log, config)
    assert {row["event_id"] for row in rows} == {f"e{i}" for i in range(300)} - {"e3", "e4", "e5"}
    assert {(row["action"], row["correction_id"]) for row in rows} == {(BACKFILL, "bfl_1")}


ITEM: st.SearchStrategy[dict[str, object]] = st.fixed_dictionaries(
    {},
    optional={
        "action": st.sampled_from(["retract", "amend", "undo", None, 1]),
        "id": st.sampled_from(["a", "b", "", None, 4]) | st.text(max_size=4),
        "source": st.sampled_from(["", "x", None, []]),
        "correction_id": st.none() | st.text(max_size=4),
        "event": st.just(EVENT) | st.dictionaries(st.sampled_from([*EVENT, "sku_id", "data"]), st.text(max_size=3)),
    },
)


def test_nothing_that_is_sent_is_our_error(ask: Ask) -> None:
    """Arbitrary bytes and arbitrary items: never a 5xx, and each item has its verdict."""

    async def test(running: Running) -> None:
        loop = asyncio.get_running_loop()

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.binary(max_size=200) | st.lists(ITEM, min_size=1, max_size=5))
        def fuzz(body: bytes | list[object]) -> None:
            asked = send(running, "POST", "/v1/corrections", body)
            answer = asyncio.run_coroutine_threadsafe(asked, loop).result(30)
            assert answer.status_code in {202, 207, 400, 413, 415, 422}, answer.text
            said = orjson.loads(answer.content)
            if isinstance(body, list):
                assert said["accepted"] + len(said["rejected"]) == len(body)

        await asyncio.to_thread(fuzz)

    ask(test)
