"""A log in memory with everything that the stream may meet: partitions, lives that end, times without an answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.errors import Transient
from ingest.codec import Headers
from streams.desk import Record


@dataclass
class Life:
    """One incarnation of the topic."""

    topic_id: str
    messages: list[list[tuple[bytes, Headers]]]


@dataclass
class MemoryLog:
    """``partitions`` lists of messages. ``answers`` is False while the broker cannot be reached."""

    partitions: int
    answers: bool = True
    lives: list[Life] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lose()

    @property
    def topic_id(self) -> str:
        """The id of the present life."""
        return self.lives[-1].topic_id

    def lose(self) -> None:
        """Come back empty, under a new id."""
        self.lives.append(Life(f"life-{len(self.lives) + 1}", [[] for _ in range(self.partitions)]))

    def look(self) -> str:
        """The topic's id; raises ``Transient``."""
        self.check()
        return self.topic_id

    def end(self, partition: int) -> int:
        """The offset that the next message will have."""
        return len(self.lives[-1].messages[partition])

    def append(self, partition: int, value: bytes, headers: Headers) -> None:
        """Write a message; raises ``Transient``."""
        self.check()
        self.lives[-1].messages[partition].append((value, headers))

    def read(self, partition: int, offset: int, count: int) -> list[Record]:
        """Some messages from ``offset`` on. An offset beyond the end is taken for the start, as consumers do."""
        if not self.answers:
            return []
        held = self.lives[-1].messages[partition]
        start = offset if offset <= len(held) else 0
        return [
            Record(partition, place, *held[place], (partition, place))
            for place in range(start, min(start + count, len(held)))
        ]

    def check(self) -> None:
        """Raise ``Transient`` while the broker cannot be reached."""
        if not self.answers:
            raise Transient("the broker does not answer")
