"""The gateway alone: CPU-microseconds of its process by the size of a request, beside ``orjson.loads`` of the bytes.

``python -m benchmarks.gateway`` starts a broker and a gateway with a journal, and posts seeded bodies to it. Figures
of one run compare with one another only.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NamedTuple

import orjson
import psutil
import typer
import uvicorn

from core.clock import SystemClock
from ingest.app import build_app
from ingest.authorize import Identity
from ingest.config import GatewayConfig, GatewayParts
from ingest.needs import build_catalog
from ingest.sealed import SealedState
from runtime.commands.gateway import server_config, settle_memory
from runtime.embedded.broker import broker_part
from runtime.embedded.ports import free_port
from runtime.traffic.connection import Connection, Target
from runtime.traffic.meters import METERS
from runtime.traffic.plan import plan_for_last_month
from runtime.traffic.requests import CONTENT_TYPE, requests_of

CLOCK = SystemClock()
KEY = "bb_benchmark-of-the-gateway"
SIZES = (1, 10, 100, 500, 1_000)
CONNECTIONS = 8
# Until compiled code is loaded.
WARM_UP_S = 3.0


class Pace(NamedTuple):
    """Requests a second, or (0) as fast as answers come, over so many connections."""

    rate: float
    connections: int


def serve(port: int, kafka: str, journal: Path) -> None:
    """Be the gateway: one key, one merchant, one required value for each event type."""
    catalog = build_catalog(1, {("mer_1", meter.type): ("value",) for meter in METERS})
    parts = GatewayParts(CLOCK, lambda _key: Identity("mer_1", "ingest"), lambda: catalog, lambda _topic: SealedState())
    app = build_app(GatewayConfig(kafka=kafka, topic="events", journal_dir=journal), parts)
    settle_memory()
    uvicorn.Server(server_config(app, "127.0.0.1", port)).run()


def bodies_of(size: int, events: int) -> list[bytes]:
    """Requests of one merchant."""
    plan = plan_for_last_month(CLOCK.now(), seed=size, events=events, merchants=1, request_events=size)
    return [request.body for chunk in requests_of(plan) for request in chunk if len(request.ordinals) == size]


async def post_all(port: int, bodies: list[bytes], pace: Pace) -> list[float]:
    """Post bodies; how long each answer took."""
    headers = b"Authorization: Bearer %s\r\nContent-Type: %s\r\n" % (KEY.encode(), CONTENT_TYPE)
    waits_s: list[float] = []
    queue = enumerate(bodies)
    start_s = CLOCK.steady_s()

    async def carry() -> None:
        connection = Connection(Target.of(f"http://127.0.0.1:{port}/v1/events"))
        for place, body in queue:
            due_s = start_s + place / pace.rate if pace.rate else CLOCK.steady_s()
            await asyncio.sleep(max(0.0, due_s - CLOCK.steady_s()))
            answer = await connection.post(headers, body)
            assert answer.status in {202, 207, 422}, answer.body
            waits_s.append(CLOCK.steady_s() - due_s)
        await connection.close()

    await asyncio.gather(*(carry() for _ in range(pace.connections)))
    return waits_s


def measure(gateway: psutil.Process, port: int, size: int, events: int, pace: Pace) -> dict[str, float]:
    """One size of request."""
    bodies = bodies_of(size, events)
    before = sum(gateway.cpu_times()[:2])
    waits_s = sorted(asyncio.run(post_all(port, bodies, pace)))
    cpu_us = (sum(gateway.cpu_times()[:2]) - before) * 1e6
    ceiling_us = measure_ceiling(bodies) / len(bodies) / size
    event_us = cpu_us / len(bodies) / size
    return {
        "events_a_request": size,
        "requests": len(bodies),
        "cpu_us_a_request": round(cpu_us / len(bodies), 1),
        "cpu_us_an_event": round(event_us, 3),
        "over_orjson_loads": round(event_us / ceiling_us, 2),
        "p50_ms": round(waits_s[len(waits_s) // 2] * 1e3, 2),
        "p99_ms": round(waits_s[len(waits_s) * 99 // 100] * 1e3, 2),
    }


def measure_ceiling(bodies: list[bytes]) -> float:
    """Microseconds of ``orjson.loads`` for all bodies, at its best: others may be using the processor."""
    passes_s = []
    for _ in range(7):
        start_s = CLOCK.steady_s()
        for body in bodies:
            orjson.loads(body)
        passes_s.append(CLOCK.steady_s() - start_s)
    return min(passes_s) * 1e6


def wait_until_ready(port: int) -> None:
    """Until the gateway takes events."""

    async def look() -> int:
        connection = Connection(Target.of(f"http://127.0.0.1:{port}/v1/events"))
        headers = b"Authorization: Bearer %s\r\n" % KEY.encode()
        answer = await connection.post(headers, b"[]")
        await connection.close()
        return answer.status

    for _ in range(100):
        with suppress(OSError):
            if asyncio.run(look()) == 422:
                break
        asyncio.run(asyncio.sleep(0.1))
    asyncio.run(asyncio.sleep(WARM_UP_S))


def bench(
    *,
    sizes: Annotated[list[int] | None, typer.Option(help="Events a request; several may be given.")] = None,
    events: Annotated[int, typer.Option(help="Events of each size.")] = 500_000,
    rate: Annotated[float, typer.Option(help="Requests a second; 0 as fast as answers come.")] = 0,
    connections: Annotated[int, typer.Option(help="Senders, each of which waits for its answers.")] = CONNECTIONS,
    serve_on: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Print one line of JSON for each size of request."""
    if serve_on:
        port_text, kafka, journal = serve_on.split(",")
        serve(int(port_text), kafka, Path(journal))
        return
    port, broker_port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as home:
        broker = subprocess.Popen(broker_part(Path(home), broker_port).argv, stdout=subprocess.DEVNULL)
        serving = f"{port},127.0.0.1:{broker_port},{home}/journal"
        gateway = subprocess.Popen([sys.executable, "-m", "benchmarks.gateway", "--serve-on", serving])
        try:
            wait_until_ready(port)
            process = psutil.Process(gateway.pid)
            measure(process, port, 100, 20_000, Pace(0, connections))
            pace = Pace(rate, connections)
            for size in sizes or SIZES:
                print(orjson.dumps(measure(process, port, size, min(events, size * 10_000), pace)).decode())
        finally:
            gateway.terminate()
            gateway.wait()
            broker.kill()
            broker.wait()


if __name__ == "__main__":
    typer.run(bench)
