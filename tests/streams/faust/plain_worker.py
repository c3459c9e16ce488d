"""Plain Faust as its documentation shows it, one agent a pitfall: ``python -m ... KAFKA PREFIX FOLDER``.

Nothing of ours is in here. The file ``said`` tells each value that an agent has dealt with to the end.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust

MESSAGES = 40
POISON = 13
AT_ONCE = 10


class OnceOnly:
    """Goes wrong the first time: what comes later must not hide what was lost."""

    def __init__(self) -> None:
        self.went_wrong = False

    def __call__(self) -> None:
        """Raise, once."""
        if not self.went_wrong:
            self.went_wrong = True
            raise ZeroDivisionError("something that nobody thought of")


class Agents:
    """What the agents do with their streams, one after the name of each pitfall."""

    def __init__(self, done: Callable[[str, bytes], None]) -> None:
        self._done = done
        self._trouble = {name: OnceOnly() for name in ("f1", "f2", "f4")}

    async def f1(self, stream: Any) -> None:
        """Take batches; one raises."""
        async for values in stream.take(AT_ONCE, within=0.2):
            self._trouble["f1"]()
            for value in values:
                self._done("f1", value)

    async def f2(self, stream: Any) -> None:
        """Iterate; one value raises."""
        async for value in stream:
            if int(value) == POISON:
                self._trouble["f2"]()
            self._done("f2", value)

    async def f3(self, stream: Any) -> None:
        """Iterate twice at once; the first value takes for ever."""
        async for value in stream:
            if int(value) == 0:
                await asyncio.Event().wait()
            self._done("f3", value)

    async def f4(self, stream: Any) -> None:
        """Take batches and acknowledge by hand; one batch raises."""
        async for events in stream.noack_take(AT_ONCE, within=0.2):
            self._trouble["f4"]()
            for event in events:
                self._done("f4", event.value)
                await stream.ack(event)

    async def f5(self, stream: Any) -> None:
        """Take a batch that takes for ever."""
        async for values in stream.take(AT_ONCE, within=0.2):
            self._done("f5.in_hand", values[0])
            await asyncio.Event().wait()


async def run(kafka: str, prefix: str, folder: Path) -> None:
    """Work until SIGTERM."""
    app = faust.App(
        f"{prefix}.plain",
        broker=f"kafka://{kafka}",
        datadir=folder,
        store="memory://",
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=3,
        broker_rebalance_timeout=1.5,
        broker_heartbeat_interval=0.5,
        broker_commit_interval=0.2,
        stream_wait_empty=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
    )
    said = (folder / "said").open("a", buffering=1)
    agents = Agents(lambda name, value: print(name, value.decode(), file=said))
    for agent in (agents.f1, agents.f2, agents.f3, agents.f4, agents.f5):
        name = agent.__name__
        topic = app.topic(f"{prefix}.{name}", value_serializer="raw")
        app.agent(topic, name=name, concurrency=2 if name == "f3" else 1)(agent)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    running = asyncio.create_task(app.start())
    await stopping.wait()
    await app.stop()
    running.cancel()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
