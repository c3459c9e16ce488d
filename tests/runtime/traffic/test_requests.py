from __future__ import annotations

import json
from collections import Counter

import numpy as np

from runtime.traffic.events import Kind, identify
from runtime.traffic.requests import chunk_count, chunk_ordinals, requests_of
from runtime.traffic.rows import EVENT_BYTES
from tests.runtime.traffic.plans import all_requests, sent_events, small_plan


def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others() -> None:
    """Two generators of one plan agree to the byte."""
    first = [request.body for request in all_requests(small_plan(seed=5))]
    assert first == [request.body for request in all_requests(small_plan(seed=5))]
    assert first != [request.body for request in all_requests(small_plan(seed=6))]


def test_generators_that_share_a_plan_make_together_what_one_makes_alone() -> None:
    """The chunks of two generators are those of one."""
    plan = small_plan()
    alone = [request.body for request in all_requests(plan)]
    shared = [chunk for start in (0, 1) for chunk in requests_of(plan, start, 2)]
    together = [request.body for chunk in sorted(shared, key=lambda c: c[0].chunk) for request in chunk]
    assert together == alone


def test_every_event_is_a_cloud_event_of_236_bytes_sent_once_in_a_request_of_its_merchant() -> None:
    """All ordinals are sent exactly once, in requests no larger than asked for."""
    plan = small_plan(request_events=300)
    ordinals: list[int] = []
    for request in all_requests(plan):
        assert len(request.body) == len(request.ordinals) * (EVENT_BYTES + 1) + 1
        assert len(request.ordinals) <= 300
        ordinals += request.ordinals.tolist()
    assert EVENT_BYTES == 236
    assert sorted(ordinals) == list(range(plan.events))


def test_kinds_have_the_shares_that_the_plan_asks_for() -> None:
    """In a million events each share lies within five standard deviations."""
    plan = small_plan(events=1_000_000)
    chunks = range(chunk_count(plan))
    kinds = np.concatenate([identify(plan, chunk_ordinals(plan, chunk)).kinds for chunk in chunks])
    counts = Counter(kinds.tolist())
    for kind, share in (
        (Kind.REPEAT, 0.02),
        (Kind.LATE, 0.01),
        (Kind.UNKNOWN_CUSTOMER, 0.00025),
        (Kind.BAD_TIME, 0.00025),
        (Kind.NOT_NUMERIC, 0.00025),
        # Those drawn in the first tenth find no earlier chunk.
        (Kind.CONFLICT, 0.00009),
    ):
        expected = share * plan.events
        assert abs(counts[kind] - expected) < 5 * expected**0.5, kind


def test_half_of_the_repeats_follow_soon_and_the_others_any_time_later() -> None:
    """About half of the distances are below two thousand; the others spread over all that was sent."""
    plan = small_plan(events=400_000)
    identity = identify(plan, chunk_ordinals(plan, chunk_count(plan) - 1))
    repeats = identity.kinds == Kind.REPEAT
    distances = (identity.ordinals - identity.roots)[repeats]
    assert 0.45 < float((distances <= 2_010).mean()) < 0.55
    assert distances.max() > 200_000
    assert distances.min() >= 1


def test_a_repeat_is_equal_to_its_first_copy_and_a_conflict_differs_in_its_value_alone() -> None:
    """Read from the bytes: same id and body, or same id and another value."""
    plan = small_plan(conflict_share=0.005)
    events = {ordinal: event for _merchant, ordinal, event in sent_events(plan)}
    identity = identify(plan, np.arange(plan.events, dtype=np.int64))
    seen = Counter[Kind]()
    for ordinal, root in zip(identity.ordinals.tolist(), identity.roots.tolist(), strict=True):
        kind = Kind(identity.kinds[ordinal])
        seen[kind] += 1
        if kind is Kind.REPEAT:
            assert events[ordinal] == events[root]
        elif kind is Kind.CONFLICT:
            copy, first = events[ordinal], events[root]
            assert copy["data"].pop("value") != first["data"]["value"]
            assert copy | {"data": None} == first | {"data": None}
        else:
            assert events[ordinal].get("id") == plan.event_id(ordinal)
    assert seen[Kind.CONFLICT] > 50
    assert seen[Kind.REPEAT] > 300


def test_a_request_with_a_conflict_waits_for_all_chunks_before_its_own() -> None:
    """Its first copies lie in earlier chunks, and nothing else waits."""
    plan = small_plan(conflict_share=0.005)
    for request in all_requests(plan):
        identity = identify(plan, request.ordinals)
        conflicts = identity.kinds == Kind.CONFLICT
        assert request.after == (request.chunk if conflicts.any() else 0)
        assert (identity.roots[conflicts] < request.chunk * plan.chunk_events).all()


def test_invalid_events_show_their_fault_in_the_bytes() -> None:
    """Each kind of bad event lacks or spoils exactly one field."""
    plan = small_plan(invalid_share=0.02, unknown_share=0.01)
    kinds = identify(plan, np.arange(plan.events, dtype=np.int64)).kinds
    for _merchant, ordinal, event in sent_events(plan):
        kind = Kind(kinds[ordinal])
        assert (kind is Kind.BAD_TIME) == event["time"].startswith("2023-13-45")
        assert (kind is Kind.NO_SUBJECT) == ("subject" not in event)
        assert (kind is Kind.NO_TYPE) == (event["type"] == "")
        assert (kind is Kind.NOT_NUMERIC) == (event["data"]["value"] == "n/a")
        assert (kind is Kind.UNKNOWN_CUSTOMER) == event.get("subject", "").startswith("x-")
        assert (kind is Kind.UNKNOWN_TYPE) == (event["type"] == "nothing.known")


def test_no_two_events_share_an_instant_even_when_late_and_dense() -> None:
    """First copies of a dense plan have times of their own, so that "latest" has one answer."""
    plan = small_plan(events=30_000, span_s=1, late_share=0.4, repeat_share=0, conflict_share=0, invalid_share=0)
    times = [event["time"] for _merchant, _ordinal, event in sent_events(plan)]
    assert len(set(times)) == len(times)


def test_numbers_are_written_as_json_numbers_with_their_type_s_decimal_places() -> None:
    """Spaces fill up only outside of quotes; what is read back has the places of its type."""
    bodies = b"".join(request.body for request in all_requests(small_plan()))
    places: dict[str, set[int]] = {}
    for event in json.loads(bodies.replace(b"][", b","), parse_float=str, parse_int=str):
        value = event["data"]["value"]
        if value != "n/a":
            places.setdefault(event["type"], set()).add(len(value.partition(".")[2]))
        assert event["type"] == event["type"].strip()
        assert event["data"]["model"] == event["data"]["model"].strip()
    assert places["llm.request"] == {0}
    assert places["compute.job"] == {3}
    assert places["storage.hour"] == {6}
