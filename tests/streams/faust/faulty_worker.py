"""The real worker with one thing wrong: ``python -m tests.streams.faust.faulty_worker FAULT FOLDER``.

The fault begins when the file ``armed`` appears in the folder. What has come about is told in the file ``said``: one
word a line, so that a test waits for something to happen instead of for time to pass.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from sys import argv
from typing import Any, Literal, get_args

import aiokafka
from aiokafka.errors import CommitFailedError, KafkaError
from faust.transport.drivers import aiokafka as kafka_transport

from core.logs import configure_logs
from runtime.commands.worker import work
from runtime.settings import load_settings
from streams.sink import Moment

Fault = Literal[
    # Nothing is wrong, but commits are told.
    "none",
    # The sink raises between events and windows.
    "raise",
    # The sink never comes back from there.
    "hang",
    # The broker refuses commits because of a rebalance; Faust takes that for granted and goes on.
    "commits_refused",
    # The broker refuses commits for another reason; Faust crashes.
    "commits_fail",
    # Commits get no answer.
    "commits_hang",
    # Acknowledgements get lost, so that Faust waits for them for ever. (A single one it would pass: that is F3.)
    "ack_lost",
    # Partitions are paused and resumed at each commit, as in a storm of rebalances.
    "paused",
    # Partitions are paused and never resumed.
    "paused_for_ever",
]
COMMIT_EVERY_S = 0.2
LOST = 3


class Faults:
    """What is wrong with this process, once it is armed."""

    def __init__(self, fault: Fault, folder: Path) -> None:
        self._fault = fault
        self._armed = folder / "armed"
        self._said = (folder / "said").open("a", buffering=1)

    def now(self, fault: Fault) -> bool:
        """Whether this is wrong at this moment."""
        return fault == self._fault and self._armed.exists()

    def say(self, word: str) -> None:
        """Tell the test."""
        self._said.write(f"{word}\n")

    def at_failpoint(self, moment: Moment) -> None:
        """The sink's part."""
        if moment != "after_events":
            return
        if self.now("raise"):
            self.say("raised")
            raise ZeroDivisionError("something that nobody thought of")
        if self.now("hang"):
            self.say("hanging")
            threading.Event().wait()


def faulty_consumer(faults: Faults) -> type[Any]:
    """Faust's consumer, which commits often and says so, and has the faults that lie in it."""

    class FaultyConsumer(kafka_transport.Consumer):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.commit_interval = COMMIT_EVERY_S
            self.lost: list[int] = []

        async def force_commit(self, *args: Any, **kwargs: Any) -> bool:
            assigned = self.assignment()
            pausing = assigned and (faults.now("paused") or faults.now("paused_for_ever"))
            if pausing:
                self.stop_flow()
                self.pause_partitions(assigned)
            did_commit = bool(await super().force_commit(*args, **kwargs))
            if pausing and not faults.now("paused_for_ever"):
                self.resume_partitions(assigned)
                self.resume_flow()
            faults.say("paused" if pausing else "commit")
            return did_commit

        def ack(self, message: Any) -> bool:
            if faults.now("ack_lost") and message.partition == 0 and len(self.lost) < LOST:
                self.lost.append(message.offset)
                faults.say("lost")
                return False
            return bool(super().ack(message))

    return FaultyConsumer


def faulty_commit(faults: Faults) -> Callable[..., Any]:
    """The Kafka client's commit, with the faults that come from the broker."""
    commit = aiokafka.AIOKafkaConsumer.commit

    async def commit_or_not(consumer: Any, offsets: Mapping[Any, Any]) -> None:
        if faults.now("commits_refused"):
            faults.say("refused")
            raise CommitFailedError("Commit cannot be completed since the group has already rebalanced")
        if faults.now("commits_fail"):
            faults.say("failed")
            raise KafkaError("the broker does not want to")
        if faults.now("commits_hang"):
            faults.say("hanging")
            await asyncio.Event().wait()
        await commit(consumer, offsets)

    return commit_or_not


def main(arguments: Iterable[str]) -> None:
    """Work until told to stop, or until the fault ends it."""
    name, folder = arguments
    fault = next(known for known in get_args(Fault) if known == name)
    faults = Faults(fault, Path(folder))
    setattr(kafka_transport, "Consumer", faulty_consumer(faults))  # noqa: B010 - a class is no variable to mypy
    aiokafka.AIOKafkaConsumer.commit = faulty_commit(faults)
    configure_logs()
    raise SystemExit(asyncio.run(work(load_settings(), faults.at_failpoint)))


if __name__ == "__main__":
    main(argv[1:])
