"""Percentiles, schedules and answers of the load generator."""

from __future__ import annotations

import pytest

from benchmarks.load.ledger import percentiles_ms
from benchmarks.load.schedule import RunSpec, due_times
from benchmarks.load.wire import head_of, read_answer


def test_percentiles_are_values_that_were_measured() -> None:
    """The highest of the values that so many lie below, never one between two."""
    assert percentiles_ms([number / 1000 for number in range(1, 1001)]) == {
        "p50": 501.0,
        "p90": 901.0,
        "p99": 991.0,
        "p99.9": 1000.0,
        "p100": 1000.0,
    }
    assert percentiles_ms([0.25]) == dict.fromkeys(("p50", "p90", "p99", "p99.9", "p100"), 250.0)
    assert percentiles_ms([]) == {}


def test_a_fixed_rate_makes_requests_due_at_equal_distances() -> None:
    """1,000 events a second in requests of 50 are one every 50 ms."""
    due = due_times(RunSpec(mode="open", rate=1_000), 50)

    assert [due(number) for number in (0, 1, 20)] == [0, 0.05, 1.0]


def test_a_ramp_rises_evenly_and_makes_as_many_requests_as_its_mean_rate() -> None:
    """From 100 to 300 requests a second in ten seconds are 2,000 requests."""
    due = due_times(RunSpec(mode="open", rate=100, ramp_to=300, seconds=10), 1)

    assert due(0) == 0
    assert due(2_000) == pytest.approx(10)
    # At half time the rate is 200: 100 * 5 + 20 * 25 / 2 requests were due before.
    assert due(750) == pytest.approx(5)


def test_an_answer_is_read_once_it_is_whole() -> None:
    """Whatever pieces it comes in, and with the next one behind it."""
    text = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy"

    assert [read_answer(text[:size]) for size in range(len(text))] == [None] * len(text)
    answer = read_answer(text + b"HTTP/1.1 2")
    assert answer is not None
    assert (answer.status, answer.body, answer.retry_after_s, answer.closes) == (429, b"busy", 7, False)
    assert answer.size == len(text)


def test_an_answer_may_end_the_connection() -> None:
    """Header names come in any case."""
    answer = read_answer(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nConnection: close\r\n\r\n")

    assert answer is not None
    assert answer.closes


def test_a_head_has_room_for_a_key() -> None:
    """Its length does not depend on whose key it is."""
    head = head_of("localhost", 80, 10)

    assert head.text[head.key_at : head.key_at + 46] == b" " * 46
    assert head.text[: head.key_at].endswith(b"Bearer ")
