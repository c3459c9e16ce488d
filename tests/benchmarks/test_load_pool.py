"""What the generator sends, against an account of it written from the definitions."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pytest

from benchmarks.load.base import make_base
from benchmarks.load.feed import Feed
from benchmarks.load.kinds import INVALID
from benchmarks.load.ledger import FATES, Ledger, Sent
from benchmarks.load.plan import BASE_HOURS_AGO, LoadPlan
from benchmarks.load.pool import Pool
from benchmarks.load.wire import HEAD_END, KEY_WIDTH, head_of
from core.clock import ManualClock
from runtime.traffic.meters import TYPES
from runtime.traffic.rows import EVENT_BYTES, ROW

NOW = datetime(2026, 3, 1, 0, 0, 30, tzinfo=UTC)
# Shares so large that a small pool has some of everything.
PLAN = LoadPlan(
    seed=7,
    merchants=40,
    request_events=50,
    pool_requests=200,
    repeat_share=0.1,
    late_share=0.05,
    invalid_share=0.02,
    unknown_share=0.02,
    conflict_share=0.02,
)


def pool_of(plan: LoadPlan) -> Pool:
    """A pool whose keys name the merchants."""
    names = "".join(f"key-{merchant:04d}".ljust(KEY_WIDTH, "-") for merchant in range(plan.merchants))
    keys = np.frombuffer(names.encode(), dtype=np.uint8).reshape(-1, KEY_WIDTH)
    return Pool(plan, head_of("h", 80, 1 + plan.request_events * ROW.itemsize), keys, make_base(plan, NOW))


def events_of(request: memoryview) -> tuple[int, list[dict[str, Any]]]:
    """The merchant and the events of a request as bytes."""
    head, body = bytes(request).split(HEAD_END, 1)
    assert int(head.split(b"Content-Length: ")[1]) == len(body)
    return int(head.split(b"key-")[1][:4]), orjson.loads(body)


def is_known(event: dict[str, Any]) -> bool:
    """Whether customer and type are in the catalog."""
    return event["subject"].startswith("c-") and event["type"] in {kind.code for kind in TYPES}


class Oracle:
    """A naive engine: the first copy of (merchant, source, id) counts."""

    def __init__(self) -> None:
        self.first: dict[tuple[int, str, str], dict[str, Any]] = {}
        self.fates: Counter[tuple[int, str]] = Counter()

    def take(self, merchant: int, events: list[dict[str, Any]], refused: tuple[int, ...] = ()) -> None:
        """Give every event that was not refused its fate."""
        for place, event in enumerate(events):
            if place not in refused:
                self.fates[merchant, self.fate(merchant, event)] += 1

    def fate(self, merchant: int, event: dict[str, Any]) -> str:
        """What becomes of an event."""
        key = (merchant, event["source"], event["id"])
        if key in self.first:
            return "duplicate" if self.first[key] == event else "conflict"
        self.first[key] = event
        return "stored" if is_known(event) else "held"


def send_rounds(plan: LoadPlan, requests: int, answered: object = None) -> tuple[Ledger, Oracle]:
    """Hand out requests of the pool; those that ``answered`` (a set of numbers to leave out) names are sent away."""
    away = answered if isinstance(answered, set) else set()
    pool = pool_of(plan)
    feed, ledger, oracle = Feed(pool, ManualClock(NOW)), Ledger(plan, pool.kinds), Oracle()
    for merchant, body in pool.base.bodies():
        oracle.take(merchant, orjson.loads(body))
        ledger.base_answered.append(merchant)
    for number in range(requests):
        job = feed.take(0.0, hot=True)
        assert job is not None
        merchant, events = events_of(job.data)
        assert merchant == job.merchant
        refused = tuple(np.flatnonzero(np.isin(pool.kinds.all[job.request], INVALID)).tolist())
        status = 429 if number in away else 207 if refused else 202
        if status != 429:
            oracle.take(merchant, events, refused)
        ledger.sent.append(Sent(job.round, job.request, merchant, 0, 0, 0, status, () if status == 429 else refused))
        feed.done(job)
    return ledger, oracle


def as_table(oracle: Oracle, merchants: int) -> np.ndarray[Any, Any]:
    """The oracle's fates as an account has them."""
    return np.array([[oracle.fates[merchant, fate] for fate in FATES] for merchant in range(merchants)])


def test_the_account_says_what_a_naive_engine_finds_over_several_rounds() -> None:
    """Repeats, conflicts and held events of three rounds, by merchant."""
    ledger, oracle = send_rounds(PLAN, 500)

    account = ledger.account()

    assert account.faults(as_table(oracle, PLAN.merchants)) == []
    for column, fate in enumerate(FATES[:4]):
        assert account.fates[:, column].sum() > 20, fate


def test_the_account_holds_when_requests_are_sent_away() -> None:
    """A repeat of something that never came in is the first of its kind."""
    ledger, oracle = send_rounds(PLAN, 300, answered=set(range(0, 300, 3)))

    assert ledger.account().faults(as_table(oracle, PLAN.merchants)) == []


def test_the_account_holds_for_single_events() -> None:
    """With one event a request, repeats mean the request before."""
    plan = replace(PLAN, request_events=1, pool_requests=0)
    ledger, oracle = send_rounds(plan, plan.pool_requests + 500)

    account = ledger.account()

    assert account.faults(as_table(oracle, plan.merchants)) == []
    assert account.fates[:, FATES.index("duplicate")].sum() > 100


def test_a_missing_event_is_a_fault() -> None:
    """An account that is one event short of the stores, or one over, says so."""
    ledger, oracle = send_rounds(PLAN, 20)
    found = as_table(oracle, PLAN.merchants)
    found[3, 0] -= 1

    assert [fault.split(":")[0] for fault in ledger.account().faults(found)] == ["merchant 3"]


def test_an_open_ended_try_leaves_room_for_copies_and_none_for_losses() -> None:
    """Where an answer never came, more may be stored than was acknowledged, and never less."""
    ledger, oracle = send_rounds(PLAN, 20)
    ledger.note_maybe(3)
    account, found = ledger.account(), as_table(oracle, PLAN.merchants)

    found[3, FATES.index("duplicate")] += PLAN.request_events
    assert account.faults(found) == []

    found[3, FATES.index("duplicate")] += 1
    assert len(account.faults(found)) == 1

    found[3] = as_table(oracle, PLAN.merchants)[3]
    found[3, 0] -= 1
    assert len(account.faults(found)) == 1


def test_events_are_of_one_size_and_occur_when_they_are_sent() -> None:
    """But for late ones and repeats of hours ago."""
    pool = pool_of(PLAN)
    stripe = pool.write(0, 1, NOW, hot=True)
    _, events = events_of(pool.views[stripe.first])
    ages = [NOW - datetime.fromisoformat(event["time"]) for event in events if not event["time"].startswith("2023")]

    assert pool.events.shape[2] - 1 == EVENT_BYTES == 236
    assert sum(timedelta(0) <= age <= timedelta(seconds=1) for age in ages) > 30
    assert max(ages) <= timedelta(hours=max(7, BASE_HOURS_AGO), minutes=3)


def test_the_hot_merchant_has_its_share_of_turns_or_none() -> None:
    """About 30 % of the turns, and none when it is silent."""
    pool = pool_of(replace(PLAN, request_events=1, pool_requests=0))
    on = pool.merchants_of(0, 40_000, 1, hot=True)
    off = pool.merchants_of(0, 40_000, 1, hot=False)

    assert (on == 0).mean() == pytest.approx(0.3, abs=0.03)
    assert not (off == 0).any()
    assert (on.reshape(-1, 4) == on[::4, None]).all()


def test_a_stripe_is_not_written_while_one_of_its_requests_is_under_way() -> None:
    """Its bytes may still be read by the socket."""
    plan = replace(PLAN, pool_requests=0)
    feed = Feed(pool_of(plan), ManualClock(NOW))
    jobs = [feed.take(0.0, hot=True) for _ in range(plan.pool_requests)]
    assert all(jobs)

    assert feed.take(0.0, hot=True) is None
    for job in jobs[: plan.stripe_requests]:
        assert job is not None
        feed.done(job)
    again = feed.take(0.0, hot=True)

    assert again is not None
    assert (again.round, again.request) == (2, 0)
