"""The broker is killed and comes back empty: nothing that was acknowledged may be missing from its new log."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from ingest.config import GatewayConfig
from ingest.event import Envelope
from ingest.sealed import SealedState
from tests.ingest.conftest import Broker, ReadLog, RunGateway, Running
from tests.runtime.faults.broker_proxy import BrokerProxy

TOPIC = "loss.usage-events"


def config_for(broker: Broker, journal_dir: Path | None) -> GatewayConfig:
    """A gateway that looks at its log often, so that tests are short."""
    return GatewayConfig(
        kafka=broker.address, topic=TOPIC, journal_dir=journal_dir, watch_interval_s=0.1, sealed_interval_s=0.1
    )


def event_ids(envelopes: list[Envelope]) -> set[str]:
    """All ids in some envelopes."""
    return {one for envelope in envelopes for one in envelope.events.column("event_id").to_pylist()}


async def send(running: Running, event_id: str, acknowledged: set[str]) -> int:
    """Send one event and note it down if it was acknowledged."""
    answer = await running.post(orjson.dumps({"id": event_id, "type": "t", "subject": "s"}))
    if answer.status_code == 202:
        acknowledged.add(event_id)
    return answer.status_code


async def all_delivered(running: Running) -> None:
    """Wait until the present log has every entry of the journal."""
    gateway = running.gateway
    assert gateway.journal, "this is about journals"
    for _ in range(200):
        await asyncio.sleep(0.1)
        if gateway.watcher.log_answers and not gateway.delivery.in_flight:
            state = await asyncio.to_thread(gateway.probe.look)
            if state.topic_id == gateway.delivery.topic_id and not gateway.journal.undelivered(state.topic_id):
                return
    pytest.fail("the journal was not sent again")


def test_acknowledged_events_survive_a_broker_that_forgets(
    broker: Broker, tmp_path: Path, run_gateway: RunGateway, read_log: ReadLog
) -> None:
    """It is killed twice in mid-stream; every request is answered 202 or asks to come again."""
    acknowledged: set[str] = set()

    async def stream(running: Running, name: str, statuses: set[int], stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            statuses.add(await send(running, f"{name}-{number}", acknowledged))

    async def main() -> None:
        async with run_gateway(config_for(broker, tmp_path / "journal")) as running:
            statuses: set[int] = set()
            stop = asyncio.Event()
            tasks = [asyncio.create_task(stream(running, f"s{i}", statuses, stop)) for i in range(8)]
            for pause_s in (0.3, 0.0):
                await asyncio.sleep(1)
                before = len(acknowledged)
                broker.kill()
                await asyncio.sleep(pause_s)
                await asyncio.to_thread(broker.start)
                for _ in range(100):
                    await asyncio.sleep(0.1)
                    if len(acknowledged) > before + 100:
                        break
                assert len(acknowledged) > before + 100, "it goes on without a restart of the gateway"
            stop.set()
            await asyncio.gather(*tasks)
            assert statuses <= {202, 503}
            await all_delivered(running)

    asyncio.run(main())
    assert acknowledged <= event_ids(read_log(broker.address, TOPIC))


def test_a_gateway_that_comes_back_sends_what_its_journal_holds(
    broker: Broker, tmp_path: Path, run_gateway: RunGateway, read_log: ReadLog
) -> None:
    """With the producer and sequence that the envelopes had, so that the stream knows them again."""
    config = config_for(broker, tmp_path / "journal")
    acknowledged: set[str] = set()

    async def first() -> None:
        async with run_gateway(config) as running:
            for number in range(20):
                await send(running, f"e{number}", acknowledged)

    async def second() -> None:
        async with run_gateway(config) as running:
            await all_delivered(running)

    asyncio.run(first())
    before = read_log(broker.address, TOPIC)
    broker.kill()
    broker.start()
    asyncio.run(second())

    after = read_log(broker.address, TOPIC)
    assert len(acknowledged) == 20
    assert event_ids(after) == acknowledged
    assert {(one.producer, one.sequence) for one in before} == {(one.producer, one.sequence) for one in after}


def test_what_is_sealed_is_forgotten_and_not_sent_again(
    broker: Broker, tmp_path: Path, run_gateway: RunGateway, read_log: ReadLog
) -> None:
    """The journal's files go, and a broker that forgot is given only what was not sealed."""
    config = config_for(broker, tmp_path / "journal")
    sealed_by: dict[int, dict[str, list[list[int]]]] = {}

    async def main() -> None:
        async with run_gateway(config, lambda _topic: SealedState(sealed_by)) as running:
            for number in range(20):
                await send(running, f"early-{number}", set())
            ranges = {running.gateway.producer.hex: [[1, 1000]]}
            sealed_by.update(dict.fromkeys(range(4), ranges))
            await asyncio.sleep(1)
            assert list((tmp_path / "journal" / TOPIC).rglob("*.segment")) == []
            sealed_by.clear()
            await send(running, "late", set())
            broker.kill()
            await asyncio.to_thread(broker.start)
            await asyncio.sleep(0.5)
            await all_delivered(running)

    asyncio.run(main())
    assert event_ids(read_log(broker.address, TOPIC)) == {"late"}


def test_nothing_is_acknowledged_while_the_broker_is_gone(
    broker: Broker, tmp_path: Path, run_gateway: RunGateway
) -> None:
    """503 with Retry-After in bounded time, refused at once after a while, and 202 again when it is back."""
    config = GatewayConfig(
        kafka=broker.address,
        topic=TOPIC,
        watch_interval_s=0.1,
        delivery_timeout_ms=2000,
        answer_time_limit_s=3,
        stall_s=0.5,
    )

    async def main() -> None:
        async with run_gateway(config) as running:
            assert await send(running, "before", set()) == 202
            broker.kill()
            waiting = asyncio.create_task(running.post(b'{"id":"x","type":"t","subject":"s"}'))
            await asyncio.sleep(1)
            at_once = await asyncio.wait_for(running.post(b'{"id":"y","type":"t","subject":"s"}'), 0.5)
            assert (at_once.status_code, at_once.json()["code"]) == (503, "log_unavailable")
            answer = await asyncio.wait_for(waiting, 5)
            assert (answer.status_code, answer.json()["code"]) == (503, "not_confirmed")
            assert int(answer.headers["retry-after"]) >= 1
            assert (await running.client.get("/readyz")).status_code == 503
            assert running.gateway.pending.held == 0
            await asyncio.to_thread(broker.start)
            statuses = []
            for number in range(50):
                statuses.append(await send(running, f"after-{number}", set()))
                if statuses[-1] == 202:
                    break
                await asyncio.sleep(0.2)
            assert statuses[-1] == 202

    asyncio.run(main())


def test_a_connection_that_swallows_everything_is_recovered_from(
    broker: Broker, tmp_path: Path, run_gateway: RunGateway, read_log: ReadLog
) -> None:
    """Messages time out while nothing arrives; afterwards the same gateway goes on, though its producer is disowned."""
    acknowledged: set[str] = set()

    async def main() -> None:
        with BrokerProxy(broker.address) as proxy:
            config = replace(config_for(broker, tmp_path / "journal"), kafka=proxy.address, delivery_timeout_ms=1000)
            async with run_gateway(replace(config, answer_time_limit_s=2, stall_s=0.5)) as running:
                assert await send(running, "before", acknowledged) == 202
                proxy.turn("silent")
                for number in range(3):
                    assert await send(running, f"swallowed-{number}", acknowledged) == 503
                proxy.turn("open")
                statuses = []
                for number in range(50):
                    statuses.append(await send(running, f"after-{number}", acknowledged))
                    if statuses[-5:] == [202] * 5:
                        break
                    await asyncio.sleep(0.2)
                assert statuses[-5:] == [202] * 5
                await all_delivered(running)

    asyncio.run(main())
    assert acknowledged <= event_ids(read_log(broker.address, TOPIC))


def test_a_gateway_may_start_before_its_broker(broker: Broker, run_gateway: RunGateway) -> None:
    """It is not ready and says so, then serves without a restart."""
    broker.kill()
    config = config_for(broker, None)

    async def main() -> None:
        async with run_gateway(config) as running:
            assert await send(running, "early", set()) == 503
            assert (await running.client.get("/readyz")).json()["checks"]["broker"] is False
            await asyncio.to_thread(broker.start)
            for _ in range(50):
                await asyncio.sleep(0.1)
                if (await running.client.get("/readyz")).status_code == 200:
                    break
            assert await send(running, "late", set()) == 202

    asyncio.run(main())


def test_a_journal_that_cannot_be_written_acknowledges_nothing(
    broker: Broker, tmp_path: Path, run_gateway: RunGateway
) -> None:
    """503, and not ready; once there is a disk again events are taken."""
    root = tmp_path / "journal"

    async def main() -> None:
        async with run_gateway(config_for(broker, root)) as running:
            assert await send(running, "before", set()) == 202
            journal = running.gateway.journal
            assert journal
            folder = journal.claim.path
            journal.writer.rotate()
            await asyncio.sleep(0.1)
            folder.rename(tmp_path / "elsewhere")
            answer = await running.post(b'{"id":"x","type":"t","subject":"s"}')
            assert (answer.status_code, answer.json()["code"]) == (503, "journal_unavailable")
            assert (await running.client.get("/readyz")).json()["checks"]["journal"] is False
            (tmp_path / "elsewhere").rename(folder)
            assert await send(running, "after", set()) == 202
            assert (await running.client.get("/readyz")).status_code == 200

    asyncio.run(main())
