"""One import from first row to last: batches in flight, marks on the way, failures by row."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from core.clock import Clock
from core.errors import Refused
from runtime.bring_in.batches import Batch, batches_of
from runtime.bring_in.csv_rows import CsvRows
from runtime.bring_in.identity import file_digest, import_id
from runtime.bring_in.mapping import Mapping, check_columns
from runtime.bring_in.ndjson_rows import NdjsonRows
from runtime.bring_in.parquet_rows import ParquetRows
from runtime.bring_in.resume import Mark, clear_mark, mark_path, read_mark, write_mark
from runtime.bring_in.row import RowFailure, RowSource
from runtime.traffic.ahead import ahead
from runtime.traffic.connection import Connection, Target
from runtime.traffic.deliver import deliver

FAILURES_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who hears of an import as it goes: the share of the file read with the rows so far, and each failure."""

    on_progress: Callable[[float, int], None] = lambda _share, _rows: None
    on_failure: Callable[[RowFailure], None] = lambda _failure: None


@dataclass(frozen=True, slots=True)
class Door:
    """Where and how to send. With ``backfill`` the gateway takes events older than its usual limit."""

    gateway_url: str
    key: str
    backfill: bool = True
    batch_events: int = 1_000
    connections: int = 4
    give_up_after_s: float = 120.0


@dataclass(slots=True)
class Outcome:
    """What an import came to. ``failures`` holds the first thousand; ``failed_by_code`` counts all of this run."""

    resumed_after_row: int = 0
    rows: int = 0
    accepted: int = 0
    failed: int = 0
    failed_by_code: Counter[str] = field(default_factory=Counter)
    failures: list[RowFailure] = field(default_factory=list)
    seconds: float = 0.0


def bring_in(
    path: Path,
    mapping: Mapping,
    door: Door,
    home: Path,
    clock: Clock,
    *,
    format_: str | None = None,
    delimiter: str = ",",
    watcher: Watcher | None = None,
) -> Outcome:
    """Send every row of a file through the gateway; a run that was cut off goes on where it stopped.

    Raises ``Refused`` when file, mapping or key are wrong as a whole, ``Transient`` when the gateway stays away;
    either way the rows answered until then are marked.
    """
    if not path.is_file():
        raise Refused("file_missing", f"{path} is not a file")
    source = open_rows(path, format_ or format_of(path), delimiter)
    try:
        check_columns(mapping, source.columns)
        import_ = import_id(file_digest(path), mapping.type)
        mark_file = mark_path(home, import_, mapping.source, door.gateway_url)
        mark = read_mark(mark_file)
        batches = batches_of(source, mapping, import_, events_max=door.batch_events, after_row=mark.row)
        return _Run(door, clock, mark, mark_file, watcher or Watcher()).whole(batches)
    finally:
        source.close()


def format_of(path: Path) -> str:
    """``csv``, ``ndjson`` or ``parquet``, by the file's name; raises ``Refused`` for another."""
    formats = {".csv": "csv", ".tsv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet"}
    found = formats.get(path.suffix.lower())
    if found is None:
        raise Refused("format_unknown", f"say with --format what {path.name} is: csv, ndjson or parquet")
    return found


def open_rows(path: Path, format_: str, delimiter: str) -> RowSource:
    """Open a file of a format."""
    if format_ == "csv":
        return CsvRows(path, "\t" if path.suffix.lower() == ".tsv" and delimiter == "," else delimiter)
    if format_ == "ndjson":
        return NdjsonRows(path)
    if format_ == "parquet":
        return ParquetRows(path)
    raise Refused("format_unknown", f"{format_!r} is none of csv, ndjson and parquet")


class _Run:
    """The running state of one import."""

    def __init__(self, door: Door, clock: Clock, mark: Mark, mark_file: Path, watcher: Watcher) -> None:
        self.door = door
        self.clock = clock
        self.mark = mark
        self.mark_file = mark_file
        self.watcher = watcher
        self.outcome = Outcome(resumed_after_row=mark.row, accepted=mark.accepted, failed=mark.failed)
        # Answered batches that wait for an earlier one, so that the mark never passes over a hole.
        self.answered: dict[int, Mark] = {}
        self.next_batch = 0

    def whole(self, batches: Iterator[Batch]) -> Outcome:
        """Send all batches, then forget the mark."""
        start_s = self.clock.steady_s()
        try:
            asyncio.run(self._send(batches))
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        clear_mark(self.mark_file)
        self.outcome.seconds = self.clock.steady_s() - start_s
        return self.outcome

    async def _send(self, batches: Iterator[Batch]) -> None:
        queue: asyncio.Queue[tuple[int, Batch] | None] = asyncio.Queue(maxsize=1)
        async with asyncio.TaskGroup() as group:
            for _ in range(self.door.connections):
                group.create_task(self._carry(queue))
            count = 0
            async for batch in ahead(batches):
                await queue.put((count, batch))
                count += 1
            for _ in range(self.door.connections):
                await queue.put(None)

    async def _carry(self, queue: asyncio.Queue[tuple[int, Batch] | None]) -> None:
        query = "?backfill=true" if self.door.backfill else ""
        connection = Connection(Target.of(f"{self.door.gateway_url}/v1/events{query}"))
        headers = b"Authorization: Bearer %s\r\nContent-Type: application/json\r\n" % self.door.key.encode()
        try:
            while (item := await queue.get()) is not None:
                index, batch = item
                failures = [*batch.failures, *await self._refused(connection, headers, batch)]
                self._note(index, batch, sorted(failures, key=lambda failure: failure.row))
        finally:
            await connection.close()

    async def _refused(self, connection: Connection, headers: bytes, batch: Batch) -> list[RowFailure]:
        if not batch.rows:
            return []
        verdict = await deliver(
            connection,
            headers,
            batch.body,
            clock=self.clock,
            give_up_at_s=self.clock.steady_s() + self.door.give_up_after_s,
            on_retry=lambda _maybe_stored: None,
        )
        return [RowFailure(batch.rows[index], *why) for index, why in verdict.refused.items()]

    def _note(self, index: int, batch: Batch, failures: list[RowFailure]) -> None:
        outcome = self.outcome
        rows = len(batch.rows) + len(batch.failures)
        outcome.rows += rows
        outcome.failed += len(failures)
        outcome.accepted += rows - len(failures)
        for failure in failures:
            outcome.failed_by_code[failure.code] += 1
            if len(outcome.failures) < FAILURES_KEPT:
                outcome.failures.append(failure)
            self.watcher.on_failure(failure)
        self.answered[index] = Mark(batch.last_row, rows - len(failures), len(failures))
        while (done := self.answered.pop(self.next_batch, None)) is not None:
            self.mark = Mark(done.row, self.mark.accepted + done.accepted, self.mark.failed + done.failed)
            self.next_batch += 1
        write_mark(self.mark_file, self.mark)
        self.watcher.on_progress(batch.share_read, outcome.rows)
