"""The journal's thread: writes what waits, makes it durable with one fsync, and tells the loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

from core.clock import Clock
from ingest.journal_folder import SEGMENT_SUFFIX, sync_folder
from ingest.segment import Entry, Segment, pack_record

Job = tuple[Entry, bytes, Callable[[OSError | None], None]]
OnWritten = Callable[[Segment, list[Job]], None]
OnFailed = Callable[[list[Job], OSError], None]


class JournalWriter:
    """Appends records to segment files in ``folder``. ``on_written`` and ``on_failed`` are called on the loop."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        on_written: OnWritten,
        on_failed: OnFailed,
        *,
        segment_bytes_max: int,
        segment_s_max: float,
    ) -> None:
        self.folder = folder
        self.clock = clock
        self.on_written = on_written
        self.on_failed = on_failed
        self.segment_bytes_max = segment_bytes_max
        self.segment_s_max = segment_s_max
        self.loop = asyncio.get_running_loop()
        self.numbers = count(1)
        self.waiting: list[Job] = []
        self.turn = threading.Condition()
        self.closing = False
        # Whether the thread is woken in this round of the loop.
        self.waking = False
        self.rotating = False
        self.segment: Segment | None = None
        self.file = -1
        self.begun_s = 0.0
        self.thread = threading.Thread(target=self.run, name="journal", daemon=True)
        self.thread.start()

    def append(self, job: Job) -> None:
        """Queue a record. What comes in the same round of the loop shares one fsync."""
        with self.turn:
            self.waiting.append(job)
        if not self.waking:
            self.waking = True
            self.loop.call_soon(self.wake)

    def wake(self) -> None:
        """Let the thread have what was queued."""
        self.waking = False
        with self.turn:
            self.turn.notify()

    def rotate(self) -> None:
        """Close the present segment, so that it can be deleted."""
        with self.turn:
            self.rotating = True
            self.turn.notify()

    def close(self) -> None:
        """Write what waits, then stop. Blocks."""
        with self.turn:
            self.closing = True
            self.turn.notify()
        self.thread.join()

    def run(self) -> None:
        """Take all that waits, again and again: the longer an fsync takes, the more shares the next."""
        while True:
            with self.turn:
                self.turn.wait_for(lambda: self.waiting or self.closing or self.rotating)
                jobs, self.waiting = self.waiting, []
                rotating, self.rotating = self.rotating, False
                closing = self.closing
            if jobs:
                self.write(jobs)
            if rotating or closing:
                self.end_segment()
            if closing and not jobs:
                return

    def write(self, jobs: list[Job]) -> None:
        """Write and sync some records; on failure none of them counts."""
        try:
            segment = self.open_segment()
            position = segment.size
            records = []
            for entry, value, _done in jobs:
                record = pack_record(entry, value)
                entry.position, entry.size = position, len(value)
                position += len(record)
                records.append(record)
            write_all(self.file, b"".join(records))
            os.fdatasync(self.file)
            segment.size = position
        except OSError as error:
            # What a failed write or sync left in the file is unknown: nothing may follow it there.
            self.end_segment()
            self.call(self.on_failed, jobs, error)
            return
        self.call(self.on_written, segment, jobs)

    def open_segment(self) -> Segment:
        """The present segment, or the next one when it is full or old."""
        if self.segment and (
            self.segment.size >= self.segment_bytes_max or self.clock.steady_s() - self.begun_s > self.segment_s_max
        ):
            self.end_segment()
        if self.segment is None:
            path = self.folder / f"{next(self.numbers):010d}{SEGMENT_SUFFIX}"
            self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self.segment = Segment(path)
            self.begun_s = self.clock.steady_s()
            sync_folder(self.folder)
        return self.segment

    def end_segment(self) -> None:
        """Close the present segment."""
        if self.segment is None:
            return
        os.close(self.file)
        self.segment.closed = True
        self.segment = None

    def call(self, function: Callable[..., None], *values: object) -> None:
        """Run something on the loop; when the loop is gone nobody waits any more."""
        try:
            self.loop.call_soon_threadsafe(function, *values)
        except RuntimeError:
            self.closing = True


def write_all(file: int, data: bytes) -> None:
    """Write every byte."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
