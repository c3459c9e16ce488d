"""Request bodies: events of one merchant in JSON arrays, in the order in which they are to be sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np

from runtime.traffic.draws import Ints
from runtime.traffic.events import Facts, Identity, Kind, Shape, facts_of, identify, merchants_of, shape_of
from runtime.traffic.plan import TrafficPlan
from runtime.traffic.rows import ROW, Writer, empty_rows, make_writer

SLICE_EVENTS = 8_192
WIDTH = ROW.itemsize
CONTENT_TYPE = b"application/cloudevents-batch+json"


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One body for one merchant. ``ordinals`` are its events in order.

    ``after`` is a chunk: the request may go out only when all requests of chunks before it are acknowledged
    (0: at once). A conflict must not overtake the event that it contradicts, or it would be the first copy.
    """

    merchant: int
    body: bytes
    ordinals: Ints
    chunk: int
    after: int


def requests_of(plan: TrafficPlan, first_chunk: int = 0, chunk_step: int = 1) -> Iterator[list[Request]]:
    """The plan's requests, one list a chunk.

    Several generators can share a plan: generator ``i`` of ``n`` takes ``first_chunk=i, chunk_step=n``.
    """
    shape, writer = shape_of(plan), make_writer(plan)
    for chunk in range(first_chunk, chunk_count(plan), chunk_step):
        yield chunk_requests(plan, shape, writer, chunk)


def chunk_count(plan: TrafficPlan) -> int:
    """How many chunks the plan's events make."""
    return -(-plan.events // plan.chunk_events)


def chunk_ordinals(plan: TrafficPlan, chunk: int) -> Ints:
    """The ordinals of one chunk."""
    first = chunk * plan.chunk_events
    return np.arange(first, min(first + plan.chunk_events, plan.events), dtype=np.int64)


def chunk_requests(plan: TrafficPlan, shape: Shape, writer: Writer, chunk: int) -> list[Request]:
    """Make the requests of one chunk, ordered by their first event."""
    identity = identify(plan, chunk_ordinals(plan, chunk))
    merchants = merchants_of(plan, shape, identity)
    # Sixteen bits are sorted by counting, several times faster than wider ones.
    order = np.argsort(merchants.astype(np.uint16 if plan.merchants < 2**16 else np.int64), kind="stable")
    identity = Identity(identity.ordinals[order], identity.kinds[order], identity.roots[order])
    facts = facts_of(plan, shape, identity)
    scratch = empty_rows(SLICE_EVENTS)
    requests: list[Request] = []
    for slice_ in _slices(_pieces(plan, facts)):
        first, last = slice_[0][0], slice_[-1][1]
        rows = scratch[: last - first]
        part = Identity(*(column[first:last] for column in _columns(identity)))
        writer.write(rows, part, Facts(*(column[first:last] for column in _columns(facts))))
        text = memoryview(rows.view(np.uint8).data).cast("B")
        requests += [
            Request(
                merchant=int(facts.merchants[start]),
                # The last comma becomes the closing bracket.
                body=b"".join((b"[", text[(start - first) * WIDTH : (stop - first) * WIDTH - 1], b"]")),
                ordinals=identity.ordinals[start:stop],
                chunk=chunk,
                after=chunk if bool((identity.kinds[start:stop] == Kind.CONFLICT).any()) else 0,
            )
            for start, stop in slice_
        ]
    return sorted(requests, key=lambda request: int(request.ordinals[0]))


def _columns(record: Identity | Facts) -> list[Any]:
    return [getattr(record, field.name) for field in fields(record)]


def _pieces(plan: TrafficPlan, facts: Facts) -> Iterator[tuple[int, int]]:
    """Bounds of runs of one merchant, cut to the size of a request."""
    edges = np.flatnonzero(np.diff(facts.merchants)) + 1
    for first, last in pairwise([0, *edges.tolist(), len(facts.merchants)]):
        for start in range(first, last, plan.request_events):
            yield start, min(start + plan.request_events, last)


def _slices(pieces: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Neighbouring pieces together, up to ``SLICE_EVENTS``."""
    slice_: list[tuple[int, int]] = []
    for piece in pieces:
        if slice_ and piece[1] - slice_[0][0] > SLICE_EVENTS:
            yield slice_
            slice_ = []
        slice_.append(piece)
    if slice_:
        yield slice_
