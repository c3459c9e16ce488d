"""From rows of many requests to Arrow batches, one for each partition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.event import ENVELOPE_SCHEMA, INSTANT
from ingest.rows import Rows

KEY_BYTES = 16
# Parts of an event's body text before its property names: type, subject, and the time as it was given.
FIXED_PARTS = 3
# Below this many events, calling Arrow for each step costs more than cutting the texts in Python.
FEW = 64


def build_batch(gathered: Sequence[Rows]) -> pa.RecordBatch:
    """One batch of ``ENVELOPE_SCHEMA`` with the events of all rows, in order."""
    counts = [len(rows) for rows in gathered]
    size = sum(counts)
    if size < FEW:
        return build_few(gathered)
    hashes = np.frombuffer(b"".join(chain.from_iterable(rows.body_hashes for rows in gathered)), dtype=">u8")
    received = np.repeat(np.array([rows.received_us for rows in gathered], dtype=np.int64), counts)
    occurred = np.fromiter(chain.from_iterable(rows.occurred_us for rows in gathered), np.int64, size)
    merchant_ids, sources, event_ids = cut_identities(text_column(rows.identities for rows in gathered))
    types, subjects, properties = cut_bodies(text_column(rows.bodies for rows in gathered))
    arrays = [
        pa.Array.from_buffers(pa.binary(KEY_BYTES), size, [None, pa.py_buffer(join_keys(gathered))]),
        pa.array(hashes.astype("<u8")),
        merchant_ids,
        event_ids,
        sources,
        types,
        subjects,
        pa.array(occurred).cast(INSTANT),
        pa.array(received).cast(INSTANT),
        properties,
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=ENVELOPE_SCHEMA)


def build_few(gathered: Sequence[Rows]) -> pa.RecordBatch:
    """What ``build_batch`` gives, for a handful of events."""
    identities = [text.decode().split("\0") for rows in gathered for text in rows.identities]
    bodies = [text.decode().split("\0") for rows in gathered for text in rows.bodies]
    names: list[str] = []
    values: list[str] = []
    offsets = [0]
    for parts in bodies:
        names_end = FIXED_PARTS + (len(parts) - FIXED_PARTS) // 2
        names += parts[FIXED_PARTS:names_end]
        values += parts[names_end:]
        offsets.append(len(names))
    arrays = [
        pa.array([key for rows in gathered for key in rows.keys], pa.binary(KEY_BYTES)),
        pa.array([int.from_bytes(one, "big") for rows in gathered for one in rows.body_hashes], pa.uint64()),
        pa.array([merchant_id for merchant_id, _source, _event_id in identities], pa.string()),
        pa.array([event_id for _merchant_id, _source, event_id in identities], pa.string()),
        pa.array([source for _merchant_id, source, _event_id in identities], pa.string()),
        pa.array([parts[0] for parts in bodies], pa.string()),
        pa.array([parts[1] for parts in bodies], pa.string()),
        pa.array([occurred_us for rows in gathered for occurred_us in rows.occurred_us], INSTANT),
        pa.array([rows.received_us for rows in gathered for _key in rows.keys], INSTANT),
        pa.MapArray.from_arrays(
            pa.array(offsets, pa.int32()), pa.array(names, pa.string()), pa.array(values, pa.string())
        ),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=ENVELOPE_SCHEMA)


def join_keys(gathered: Sequence[Rows]) -> bytes:
    """All keys, one after the other."""
    return b"".join(chain.from_iterable(rows.keys for rows in gathered))


def text_column(columns: Iterable[list[bytes]]) -> pa.Array:
    """One string column out of UTF-8 texts, without making a Python string of any."""
    texts = list(chain.from_iterable(columns))
    offsets = np.zeros(len(texts) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(map(len, texts), np.int32, len(texts)), out=offsets[1:])
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(b"".join(texts)))


def cut_identities(identities: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Merchant, source and id."""
    parts = pc.split_pattern(identities, "\0").values
    starts = np.arange(0, len(parts), 3)
    merchant_ids, sources, event_ids = (parts.take(pa.array(starts + part)) for part in range(3))
    return merchant_ids, sources, event_ids


def cut_bodies(bodies: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Type, subject, and properties as a map."""
    lists = pc.split_pattern(bodies, "\0")
    parts, bounds = lists.values, lists.offsets.to_numpy()
    starts, lengths = bounds[:-1], np.diff(bounds)
    property_counts = (lengths - FIXED_PARTS) // 2
    # For each part: how far it stands after its event's fixed parts, and how many names that event has.
    places = np.arange(len(parts), dtype=np.int32) - np.repeat(starts + FIXED_PARTS, lengths)
    names_end = np.repeat(property_counts, lengths)
    names = parts.take(pa.array(np.flatnonzero((places >= 0) & (places < names_end))))
    values = parts.take(pa.array(np.flatnonzero((places >= 0) & (places >= names_end))))
    offsets = np.zeros(len(bodies) + 1, dtype=np.int32)
    np.cumsum(property_counts, out=offsets[1:])
    properties = pa.MapArray.from_arrays(pa.array(offsets), names, values)
    return parts.take(pa.array(starts)), parts.take(pa.array(starts + 1)), properties


def split_by_partition(batch: pa.RecordBatch, keys: bytes, partitions: int) -> list[tuple[int, pa.RecordBatch]]:
    """Part a batch by each event's partition; the order within a partition is kept."""
    heads = np.frombuffer(keys, dtype=">u8")[::2]
    places = (heads % np.uint64(partitions)).astype(np.int64)
    first = int(places[0])
    if (places == first).all():
        return [(first, batch)]
    order = np.argsort(places, kind="stable")
    sorted_batch = batch.take(pa.array(order))
    bounds = np.searchsorted(places[order], np.arange(partitions + 1))
    spans = [(place, int(bounds[place]), int(bounds[place + 1])) for place in range(partitions)]
    return [(place, sorted_batch.slice(start, end - start)) for place, start, end in spans if end > start]
