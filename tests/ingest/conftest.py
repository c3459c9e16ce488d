"""A gateway in this process on a real broker, a broker that may be killed, and a reader of the log."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from fastapi import FastAPI

from core.clock import SystemClock
from ingest.app import build_app
from ingest.authorize import Identity
from ingest.codec import decode_envelope
from ingest.config import GatewayConfig, GatewayParts
from ingest.event import Envelope
from ingest.gateway import Gateway
from ingest.needs import DoorCatalog, build_catalog
from ingest.sealed import SealedState
from runtime.embedded.broker import broker_part
from runtime.embedded.endpoints import Endpoints
from runtime.embedded.ports import free_port
from runtime.embedded.probes import kafka_answers

KEY = "bb_good-key-of-a-merchant"
OTHER_KEY = "bb_key-with-another-scope"
PARTITIONS = 4


@dataclass
class Broker:
    """An embedded broker of our own, which forgets everything when it is killed."""

    home: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        argv = broker_part(self.home, self.port).argv
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            with suppress(OSError):
                if kafka_answers(self.port):
                    return
            time.sleep(0.05)
        raise AssertionError("the broker did not start")

    def kill(self) -> None:
        """``kill -9``."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker that the test may kill and start again."""
    one = Broker(tmp_path)
    one.start()
    yield one
    one.kill()


class Running:
    """A gateway whose application runs, and a client of it."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        self.gateway: Gateway = app.state.gateway
        self.client = client

    async def post(self, body: bytes, **headers: str) -> httpx.Response:
        """Send a body as JSON unless the headers say otherwise; underscores in their names become hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        all_headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json", **named}
        return await self.client.post("/v1/events", content=body, headers=all_headers, timeout=30)


def find_key(key: str) -> Identity | None:
    """Two known keys."""
    scopes = {KEY: "merchant", OTHER_KEY: "read"}
    return Identity("mer_1", scopes[key]) if key in scopes else None


def parts_with(sealed: Callable[[str], SealedState] = lambda _topic: SealedState()) -> GatewayParts:
    """What a gateway is handed; one event type needs a number."""
    catalog: DoorCatalog = build_catalog(1, {("mer_1", "metered"): ("tokens",)})
    return GatewayParts(clock=SystemClock(), find_key=find_key, catalog=lambda: catalog, sealed=sealed)


RunGateway = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def run_gateway() -> RunGateway:
    """An application that has started: to be entered with ``async with`` and a configuration."""

    @asynccontextmanager
    async def run(
        config: GatewayConfig, sealed: Callable[[str], SealedState] = lambda _topic: SealedState()
    ) -> AsyncIterator[Running]:
        app = build_app(config, parts_with(sealed))
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://gateway") as client,
        ):
            yield Running(app, client)

    return run


Ask = Callable[[Callable[[Running], Awaitable[None]]], None]


@pytest.fixture
def config(endpoints: Endpoints, topic: str) -> GatewayConfig:
    """A gateway without a journal on the shared broker."""
    return GatewayConfig(kafka=endpoints.kafka, topic=topic)


@pytest.fixture
def ask(config: GatewayConfig, run_gateway: RunGateway) -> Ask:
    """Run an asynchronous test against a gateway."""

    def run(test: Callable[[Running], Awaitable[None]]) -> None:
        async def main() -> None:
            async with run_gateway(config) as running:
                await test(running)

        asyncio.run(main())

    return run


ReadLog = Callable[[str, str], list[Envelope]]


@pytest.fixture
def read_log() -> ReadLog:
    """All envelopes of a topic, as the stream would read them."""

    def read(address: str, topic: str) -> list[Envelope]:
        # The embedded broker counts the end of a partition wrongly when asked for it, but not while it is read.
        settings = {"bootstrap.servers": address, "group.id": "reader", "enable.partition.eof": True}
        consumer = Consumer({**settings, "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, place, 0) for place in range(PARTITIONS)])
        envelopes: list[Envelope] = []
        ends = 0
        while ends < PARTITIONS:
            message = consumer.poll(5)
            assert message is not None, "the log did not answer"
            error = message.error()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ends += 1
                continue
            headers = [(name, value) for name, value in dict(message.headers() or []).items() if type(value) is bytes]
            envelopes.append(decode_envelope(message.value(), headers))
        consumer.close()
        return envelopes

    return read
