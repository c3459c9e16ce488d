"""A worker's computing by itself: messages of the real log in blocks, with the dedupe index and without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from time import process_time

import numpy as np
import numpy.typing as npt

from benchmarks.log_messages import Read
from benchmarks.scene import Scene
from catalog.version import current_version
from core.db import transaction
from streams.block import HORIZON_S, BlockResult, Known, process_block
from streams.catalog_cache import CatalogCache
from streams.compiled import Compiled
from streams.decode import read_message
from streams.key_index import KeyIndex, KeyRun
from streams.sequences import SealedSequences
from streams.window import BlockPlace

BLOCK_EVENTS = 25_000
STORED_AT = datetime(2026, 1, 2, tzinfo=UTC)


class NoIndex(KeyIndex):
    """Knows of no key, ever: what an engine without the promise would do. Here for the comparison only."""

    def probe(
        self, high: npt.NDArray[np.uint64], low: npt.NDArray[np.uint64], since_s: int
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint64]]:
        """Nothing is known."""
        del low, since_s
        return np.zeros(len(high), dtype=np.bool_), np.zeros(len(high), dtype=np.uint64)

    def with_added(self, run: KeyRun, since_s: int) -> KeyIndex:
        """Nothing is remembered."""
        del run, since_s
        return self


@dataclass(slots=True)
class Spent:
    """CPU seconds and events of a pass over the messages."""

    cpu_s: float = 0.0
    events: int = 0
    duplicates: int = 0

    @property
    def us(self) -> float:
        """CPU-microseconds an event."""
        return self.cpu_s / max(self.events, 1) * 1e6


def load_catalog(scene: Scene) -> Compiled:
    """The catalog as the worker has it."""
    with transaction(scene.parts.books) as connection:
        version = current_version(connection)
    return CatalogCache(scene.parts.books)(version)


def compute(messages: list[Read], catalog: Compiled, index: KeyIndex) -> Iterator[tuple[BlockResult, float]]:
    """Each block's result, and the CPU seconds of it with what the index took."""
    known = Known(index, SealedSequences())
    for some in in_blocks(messages):
        begun_s = process_time()
        read = [read_message(one.offset, one.value, one.headers) for one in some]
        result = process_block(read, BlockPlace(STORED_AT, 1, 0, some[0].offset), catalog, known)
        index = known.index.with_added(result.claimed, int(STORED_AT.timestamp()) - HORIZON_S)
        spent_s = process_time() - begun_s
        known = Known(index, known.sequences.with_added(result.sequences))
        yield result, spent_s


def passed(messages: list[Read], catalog: Compiled, index: KeyIndex) -> Spent:
    """One pass over all messages."""
    spent = Spent()
    for result, cpu_s in compute(messages, catalog, index):
        spent.cpu_s += cpu_s
        spent.events += result.counts.received
        spent.duplicates += result.counts.duplicates
    return spent


def in_blocks(messages: list[Read]) -> Iterator[list[Read]]:
    """Messages together until they hold enough; by their bytes, which is near enough for blocks of like size."""
    if not messages:
        return
    probe = read_message(messages[0].offset, messages[0].value, messages[0].headers)
    rows = probe.envelope.events.num_rows if hasattr(probe, "envelope") else 1
    some: list[Read] = []
    held = 0.0
    for one in messages:
        some.append(one)
        held += len(one.value) / max(len(messages[0].value), 1) * rows
        if held >= BLOCK_EVENTS:
            yield some
            some, held = [], 0.0
    if some:
        yield some
