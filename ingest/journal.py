"""Envelopes on disk until they are sealed: what keeps the promise when the log lives in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from core.clock import Clock
from core.logs import get_logger
from ingest.journal_folder import Claim, claim_dead, claim_new
from ingest.journal_writer import Job, JournalWriter
from ingest.sealed import SealedState
from ingest.segment import Entry, Segment, read_segment, read_values

SEGMENT_BYTES_MAX = 32 * 1024 * 1024
SEGMENT_S_MAX = 30.0


class Journal:
    """An index over segment files: our own, and those of gateways that died. All but the writer runs on the loop."""

    def __init__(self, root: Path, name: str, clock: Clock, observe_bytes: Callable[[int], None]) -> None:
        self.root = root
        self.observe_bytes = observe_bytes
        self.claim = claim_new(root, name)
        self.adopted: list[Claim] = []
        self.segments: list[Segment] = []
        self.healthy = True
        self.log = get_logger("ingest.journal")
        self.writer = JournalWriter(
            self.claim.path,
            clock,
            self.note_written,
            self.note_failed,
            segment_bytes_max=SEGMENT_BYTES_MAX,
            segment_s_max=SEGMENT_S_MAX,
        )

    @property
    def size(self) -> int:
        """Bytes in files that are still needed."""
        return sum(segment.size for segment in self.segments)

    def append(self, entry: Entry, value: bytes, done: Callable[[OSError | None], None]) -> None:
        """Write an envelope; ``done`` is called on the loop once it is durable, or with the error."""
        self.writer.append((entry, value, done))

    def note_written(self, segment: Segment, jobs: list[Job]) -> None:
        """Records are durable."""
        self.healthy = True
        if segment not in self.segments:
            self.segments.append(segment)
        for entry, _value, done in jobs:
            segment.entries.append(entry)
            done(None)
        self.observe_bytes(self.size)

    def note_failed(self, jobs: list[Job], error: OSError) -> None:
        """Records are not durable, and are nobody's any more."""
        self.healthy = False
        self.log.error("the journal cannot be written", error=str(error))
        for _entry, _value, done in jobs:
            done(error)

    async def adopt(self) -> bool:
        """Take over what dead gateways left; returns whether there was anything."""
        adopted = await asyncio.to_thread(adopt_dead, self.root)
        for claim, segments in reversed(adopted):
            self.adopted.append(claim)
            self.segments = segments + self.segments
            entries = sum(len(segment.entries) for segment in segments)
            self.log.info("adopted a journal", folder=claim.path.name, envelopes=entries)
        self.observe_bytes(self.size)
        return bool(adopted)

    def undelivered(self, topic_id: str) -> list[tuple[Segment, Entry]]:
        """Entries that the log of this ``topic_id`` has not confirmed and that are not on their way, in order."""
        return [
            (segment, entry)
            for segment in self.segments
            for entry in segment.entries
            if entry.topic_id != topic_id and not entry.in_flight
        ]

    async def read(self, segment: Segment, entries: list[Entry]) -> list[bytes]:
        """The values of some entries of one segment."""
        return await asyncio.to_thread(read_values, segment.path, entries)

    def forget_sealed(self, sealed: SealedState) -> None:
        """Drop sealed entries, delete segments that have none left, and let go of folders that are empty."""
        kept = []
        for segment in self.segments:
            segment.entries = [
                entry
                for entry in segment.entries
                if entry.in_flight or not sealed.holds(entry.partition, entry.producer, entry.sequence)
            ]
            if segment.entries or not segment.closed:
                kept.append(segment)
            else:
                segment.path.unlink(missing_ok=True)
            if not segment.closed and not segment.entries:
                self.writer.rotate()
        self.segments = kept
        for claim in [claim for claim in self.adopted if not claim.segments()]:
            claim.release()
            self.adopted.remove(claim)
        self.observe_bytes(self.size)

    def close(self) -> None:
        """Stop writing and let go of all folders; the files stay for the next gateway. Blocks."""
        self.writer.close()
        for claim in (self.claim, *self.adopted):
            claim.release()


def adopt_dead(root: Path) -> list[tuple[Claim, list[Segment]]]:
    """Claim the folders of dead gateways and read their segments."""
    return [(claim, [read_segment(path) for path in claim.segments()]) for claim in claim_dead(root)]
