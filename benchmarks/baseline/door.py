"""``python -m benchmarks.baseline.door KAFKA TOPIC PORT``: an endpoint that puts every event on the log as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Request


def build_app(kafka: str, topic: str) -> FastAPI:
    """The application; it connects when it starts."""
    producers: list[AIOKafkaProducer] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        producer = AIOKafkaProducer(bootstrap_servers=kafka)
        await producer.start()
        producers.append(producer)
        yield
        await producer.stop()

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/events", status_code=202)
    async def take(request: Request) -> dict[str, int]:
        """Answer once the log has every event."""
        events: list[dict[str, Any]] = await request.json()
        for event in events:
            key = str(event.get("subject", "")).encode()
            await producers[0].send_and_wait(topic, json.dumps(event).encode(), key=key)
        return {"accepted": len(events)}

    return app


if __name__ == "__main__":
    uvicorn.run(build_app(sys.argv[1], sys.argv[2]), host="127.0.0.1", port=int(sys.argv[3]), access_log=False)
