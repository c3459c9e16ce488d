"""Both doors asked the same: straight from the connection, and through the application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.limits import EVENTS_PER_REQUEST_MAX
from ingest.config import GatewayConfig
from ingest.desk import HEADS_MAX
from tests.ingest.conftest import ReadLog
from tests.ingest.doors import AskDoors, Doors, Wire, ask_once, event_of, open_doors, request_of, wire_to
from tests.ingest.odd_requests import odd_bodies, odd_heads
from tests.ingest.test_app import JSON_LIKE


@pytest.fixture
def ask_doors(config: GatewayConfig) -> AskDoors:
    """Run an asynchronous test against both doors."""

    def run(test: Callable[[Doors], Awaitable[None]]) -> None:
        async def main() -> None:
            async with open_doors(config) as doors:
                await test(doors)

        asyncio.run(main())

    return run


@pytest.mark.parametrize("requests", [odd_heads, odd_bodies])
def test_both_doors_answer_alike_byte_by_byte(ask_doors: AskDoors, requests: Callable[[], list[bytes]]) -> None:
    """In one piece, again when the head is known, and in pieces."""

    async def test(doors: Doors) -> None:
        for request in requests():
            wanted = await ask_once(doors.ordinary, request)
            assert not wanted.startswith(b"HTTP/1.1 5")
            head = request.find(b"\r\n\r\n") + 4
            for pieces in ([request], [request], [request[:head], request[head:]], [request[:20], request[20:]]):
                given = await ask_once(doors.direct, *[piece for piece in pieces if piece])
                assert given == wanted, request[:300]
        assert doors.gateway.pending.held == 0

    ask_doors(test)


def test_a_generated_id_is_told_at_both_doors(ask_doors: AskDoors) -> None:
    """And that a retry would count twice; alone, and among others of the same moment."""
    body = b'{"customer_id":"c","sku_id":"gpu","amount":1,"sent_at":null}'

    async def test(doors: Doors) -> None:
        for port, askers in ((doors.ordinary, 1), (doors.direct, 1), (doors.direct, 20)):
            for answer in await asyncio.gather(*(ask_once(port, request_of(body)) for _ in range(askers))):
                said = orjson.loads(answer.partition(b"\r\n\r\n")[2])
                (made,) = said.pop("generated")
                assert said == {"accepted": 1, "rejected": [], "retry_safe": False}
                assert made["index"] == 0
                assert made["id"].startswith("evt_")

    ask_doors(test)


# Bodies that are none by themselves, and would be events if one went on in the next.
HALVES = [
    b'[{"id":"x","type":"t","subject":"s","properties":[1]', b'[2]}]',
    b'[{"id":"y","type":"t","subject":"s"},{"id":"z"}', b'{"id":"u","type":"t","subject":"s"}},{"id":"v"}',
    b'[{"id":"u","type":"t","subject":"s"}{"id":"v","type":"t","subject":"s"}]',
    b'{"id":"u","type":"t","subject":"s"} {"id":"v","type":"t","subject":"s"}',
]  # fmt: skip


def test_requests_of_the_same_moment_get_the_answers_that_each_would_get_alone(
    ask_doors: AskDoors, config: GatewayConfig, read_log: ReadLog
) -> None:
    """Good ones, bad ones and halves; and exactly the accepted events are in the log."""

    async def test(doors: Doors) -> None:
        good = [event_of(f"g{i}", doors.gateway) for i in range(60)]
        bad = [b"{}", b'{"id":"a"}', b'{"id":"b","type":"metered","subject":"s"}', b"[{}]", b"nonsense", b"[]"]
        for others in ([], bad[:4], [*bad, *HALVES]):
            bodies = [*good[:20], *others, *(b"[%s]" % one for one in good[20:40]), *others, *good[40:]]
            wanted = [await ask_once(doors.ordinary, request_of(body)) for body in [*others, good[0]]]
            expected = dict(zip([*others, good[0]], wanted, strict=True))
            wires = [await asyncio.open_connection("127.0.0.1", doors.direct) for _ in bodies]
            for turn in range(3):
                for (_, writer), body in zip(wires, bodies, strict=True):
                    writer.write(request_of(body))
                answers = [await asyncio.wait_for(Wire(*wire).answer(), 30) for wire in wires]
                for body, answer in zip(bodies, answers, strict=True):
                    assert answer == expected.get(body, expected[good[0]]), (turn, body)
            for _, writer in wires:
                writer.close()
        assert doors.gateway.pending.held == 0
        assert not doors.protocol.desk.singles.groups

    ask_doors(test)
    envelopes = read_log(config.kafka, config.topic)
    ids = {one for envelope in envelopes for one in envelope.events.column("event_id").to_pylist()}
    assert ids == {f"g{i}" for i in range(60)}


def test_arbitrary_bodies_of_the_same_moment_are_answered_as_alone(ask_doors: AskDoors) -> None:
    """Whatever they are, and whoever came before."""

    async def test(doors: Doors) -> None:
        loop = asyncio.get_running_loop()
        kinds = st.sampled_from([b"application/json", b"application/x-ndjson", b"application/cloudevents-batch+json"])
        named = JSON_LIKE.map(lambda value: [{"id": "a", "type": "t", "subject": "s", "properties": {"p": value}}])
        some = JSON_LIKE | named | named.map(lambda one: one[0])
        bodies = st.binary(max_size=60) | some.map(lambda value: orjson.dumps(value, default=str))

        async def compare(asked: list[tuple[bytes, bytes]]) -> None:
            requests = [request_of(body, kind=kind) for body, kind in asked]
            wanted = [await ask_once(doors.ordinary, request) for request in requests]
            given = await asyncio.gather(*(ask_once(doors.direct, request) for request in requests))
            for request, one, other in zip(requests, wanted, given, strict=True):
                assert without_made(one) == without_made(other), request

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(st.tuples(bodies, kinds), min_size=1, max_size=12))
        def fuzz(asked: list[tuple[bytes, bytes]]) -> None:
            asyncio.run_coroutine_threadsafe(compare(asked), loop).result(60)

        await asyncio.to_thread(fuzz)

    ask_doors(test)


def without_made(answer: bytes) -> tuple[bytes, object]:
    """An answer without the ids that were made for it."""
    head, _, body = answer.partition(b"\r\n\r\n")
    said = orjson.loads(body)
    for one in said.get("generated", []):
        one["id"] = ""
    return (head, said)


def test_requests_that_come_before_their_turn_are_answered_in_order(ask_doors: AskDoors) -> None:
    """Several in one piece, and a known head with the next request behind its body."""

    async def test(doors: Doors) -> None:
        bodies = [event_of("a", doors.gateway), b"{}", b"[]", event_of("b", doors.gateway), b"[", b"{}"]
        wanted = [await ask_once(doors.ordinary, request_of(body)) for body in bodies]
        for _ in range(2):
            async with wire_to(doors.direct) as wire:
                await wire.send(b"".join(map(request_of, bodies)))
                assert [await wire.answer() for _ in bodies] == wanted
                for body, answer in zip(bodies, wanted, strict=True):
                    assert await wire.ask(request_of(body)) == answer
                await wire.send(request_of(bodies[0]) + request_of(bodies[1])[:50], request_of(bodies[1])[50:])
                assert [await wire.answer(), await wire.answer()] == wanted[:2]

    ask_doors(test)


def test_a_known_head_is_no_way_around_anything(ask_doors: AskDoors) -> None:
    """A key that is revoked, a body shorter or longer than said, and a flood of heads."""

    async def test(doors: Doors) -> None:
        desk = doors.protocol.desk
        request = request_of(event_of("a", doors.gateway))
        async with wire_to(doors.direct) as wire:
            assert (await wire.ask(request)).startswith(b"HTTP/1.1 202")
            assert len(desk.known) == 1
            assert (await wire.ask(request)).startswith(b"HTTP/1.1 202")
            assert (await wire.ask(request[:-5], request[-5:])).startswith(b"HTTP/1.1 202")
            for place in range(HEADS_MAX + 10):
                answer = await wire.ask(request_of(b"[]", b"X-Trace: %d" % place))
                assert answer.startswith(b"HTTP/1.1 422")
            assert len(desk.known) <= HEADS_MAX
            assert (await wire.ask(request)).startswith(b"HTTP/1.1 202")
            doors.gateway.authorizer.find_key = lambda _key: None
            doors.gateway.authorizer.known.clear()
            assert (await wire.ask(request)).startswith(b"HTTP/1.1 401")

    ask_doors(test)


def test_too_much_at_once_is_sent_away_and_nothing_stays_held(config: GatewayConfig) -> None:
    """429 with Retry-After, whether one came alone or among many, and whether its sender waits or goes."""

    async def main() -> None:
        async with open_doors(replace(config, pending_bytes_max=60_000)) as doors:
            request = request_of(event_of("a", doors.gateway))
            answers = await asyncio.gather(*(ask_once(doors.direct, request) for _ in range(200)))
            assert {answer[9:12] for answer in answers} == {b"202", b"429"}
            busy = {answer for answer in answers if answer[9:12] == b"429"}
            held, doors.gateway.pending.held = doors.gateway.pending.held, 60_000
            assert busy == {await ask_once(doors.ordinary, request)}
            doors.gateway.pending.held = held
            large = request_of(b" " * 100_000)
            assert {await ask_once(doors.direct, large), await ask_once(doors.direct, large[:-1], large[-1:])} == busy
            for stop in (100, len(request) - 5, len(request)):
                for _ in range(20):
                    async with wire_to(doors.direct) as wire:
                        await wire.send(request[:stop])
            for _ in range(100):
                await asyncio.sleep(0.02)
                if doors.gateway.pending.held == 0:
                    break
            assert doors.gateway.pending.held == 0
            assert (await ask_once(doors.direct, request)).startswith(b"HTTP/1.1 202")

    asyncio.run(main())


def test_a_body_that_does_not_arrive_is_not_waited_for(config: GatewayConfig) -> None:
    """408 at both doors, alike."""

    async def main() -> None:
        async with open_doors(replace(config, body_time_limit_s=0.2)) as doors:
            request = request_of(event_of("a", doors.gateway))
            answers = {await ask_once(port, request[:-5]) for port in (doors.direct, doors.ordinary)}
            assert len(answers) == 1
            assert answers.pop().startswith(b"HTTP/1.1 408")
            assert doors.gateway.pending.held == 0

    asyncio.run(main())


def test_a_large_body_does_not_keep_small_ones_waiting_and_is_answered_alike(ask_doors: AskDoors) -> None:
    """Ten thousand events beside single ones, at either door."""

    async def test(doors: Doors) -> None:
        events = [event_of(f"e{i}", doors.gateway) for i in range(EVENTS_PER_REQUEST_MAX)]
        events[7_000] = b"{}"
        large = request_of(b"[%s]" % b",".join(events))
        small = request_of(events[0])
        for port in (doors.direct, doors.ordinary):
            asked = [asyncio.ensure_future(ask_once(port, one)) for one in (large, *[small] * 20, large)]
            answers = await asyncio.gather(*asked)
            assert answers[0] == answers[-1]
            assert answers[0] == await ask_once(doors.ordinary, large)
            assert answers[0].startswith(b"HTTP/1.1 207")
            assert {answer[9:12] for answer in answers[1:-1]} == {b"202"}
        assert doors.gateway.pending.held == 0

    ask_doors(test)
