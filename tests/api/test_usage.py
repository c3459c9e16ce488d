"""Usage over real stores: exact, one's own, and with the instant until which it is complete."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
from sqlalchemy import Engine, text

from api.config import ApiParts
from api.freshness import Freshness, LogEnds, complete_until
from core.clock import ManualClock
from core.db import transaction
from tests.api.conftest import TOPIC, Stream
from tests.api.test_event_fate import Keys, Merchants, ask, said
from tests.streams.builders import NOON, minutes

LATER = datetime(2026, 1, 1, tzinfo=UTC)


def ends(*offsets: int, topic_id: str = "log-1", at: datetime = LATER) -> LogEnds:
    """A log whose partitions end at these offsets."""
    return LogEnds(at, topic_id, dict(enumerate(offsets)))


def test_usage_is_exact_by_bucket_and_group_and_ones_own(
    api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants
) -> None:
    """Quantities are text; another merchant's customers of the same name are not in it."""
    small = {"tokens": "0.000000000001", "user": "u-2", "model": "small"}
    stream(
        [
            said(merchants, "1"),
            said(merchants, "2", properties=small, at=minutes(61)),
            said(merchants, "3", merchant="other"),
            said(merchants, "4", subject="c-2"),
        ]
    )

    total = ask(api, keys, "/v1/usage?by=total&customer=c-1")
    hours = ask(api, keys, "/v1/usage?by=hour&meter=tokens&meter=calls&customer=c-1&from=2023-11-20T13:00:00Z")
    groups = ask(api, keys, "/v1/usage?by=day&zone=Asia/Tokyo&meter=tokens&customer=c-1&group=true")

    assert {row["meter"]: row["quantity"] for row in total["usage"]} == {
        "calls": "2",
        "tokens": "3.000000000001",
        "users": "2",
    }
    assert [(row["meter"], row["starts_at"], row["quantity"]) for row in hours["usage"]] == [
        ("calls", "2023-11-20T13:00:00+00:00", "1"),
        ("tokens", "2023-11-20T13:00:00+00:00", "0.000000000001"),
    ]
    assert [(row["group"], row["starts_at"]) for row in groups["usage"]] == [
        ('{"model":"large"}', "2023-11-19T15:00:00+00:00"),
        ('{"model":"small"}', "2023-11-19T15:00:00+00:00"),
    ]
    theirs = ask(api, keys, "/v1/usage?by=total", "other")
    assert [(row["customer"], row["quantity"]) for row in theirs["usage"]] == [("c-1", "1")]
    cut = ask(api, keys, "/v1/usage?by=total&limit=1")
    assert (len(cut["usage"]), cut["more"]) == (1, True)


def test_a_question_that_cannot_be_meant_is_refused(api: httpx.Client, keys: Keys, merchants: Merchants) -> None:
    """With a code and a sentence."""
    for query in ("by=week", "zone=Mars/Base", "group=maybe", "limit=10001", "merchant=x", "from=x"):
        assert api.get(f"/v1/usage?{query}", headers=keys["acme"]).status_code == 422, query


def test_the_largest_customers_are_told_by_events_or_a_meter(
    api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants
) -> None:
    """One's own, again as soon as there is more, with what a limit left out."""
    stream([said(merchants, "1"), said(merchants, "2"), said(merchants, "3", merchant="other")])
    assert ask(api, keys, "/v1/usage/top")["customers"][0]["customer"] == "c-1"
    tokens = {"tokens": "9", "user": "u-1", "model": "large"}
    stream([said(merchants, "4", subject="c-2", properties=tokens)])

    by_events = ask(api, keys, "/v1/usage/top?limit=1")
    by_tokens = ask(api, keys, "/v1/usage/top?meter=tokens&from=2023-11-01&to=2023-12-01&zone=Europe/Berlin")
    by_users = ask(api, keys, "/v1/usage/top?meter=users")

    # Each event counted in three meters.
    assert [(row["customer"], row["events"]) for row in by_events["customers"]] == [("c-1", 6)]
    assert by_events["more"]
    assert [(row["customer"], row["quantity"]) for row in by_tokens["customers"]] == [("c-2", "9"), ("c-1", "6")]
    assert [(row["customer"], row["quantity"]) for row in by_users["customers"]] == [("c-1", "1"), ("c-2", "1")]
    assert ask(api, keys, "/v1/usage/top?meter=nothing")["customers"] == []
    assert api.get("/v1/usage/top?by=day", headers=keys["acme"]).status_code == 422


def test_many_at_once_are_each_told_their_own(
    api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants
) -> None:
    """Questions that are answered together do not mix: not by merchant, customer, key or limit."""
    stream([said(merchants, "1"), said(merchants, "2"), said(merchants, "3", subject="c-2")])
    stream([said(merchants, "4", merchant="other")])
    expected = {("acme", "c-1"): "2", ("acme", "c-2"): "1", ("other", "c-1"): "1", ("acme", "c-9"): None}

    def calls_of(owner: tuple[str, str]) -> str | None:
        found = ask(api, keys, f"/v1/usage?by=total&meter=calls&customer={owner[1]}", owner[0])["usage"]
        return found[0]["quantity"] if found else None

    owners = list(expected) * 6
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(calls_of, owners)) == [expected[owner] for owner in owners]


def test_usage_says_until_when_it_is_complete(
    api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants, log_ends: list[LogEnds | None]
) -> None:
    """Everything sealed: the instant at which the log was looked at."""
    stream([said(merchants, "1")])
    log_ends.append(ends(1))

    assert ask(api, keys, "/v1/usage")["complete_until"] == LATER.isoformat()


def test_each_partition_counts_as_fresh_as_it_can_be_shown_to_be(
    books: Engine, stream: Stream, merchants: Merchants
) -> None:
    """Sealed to the end: now. Behind, or the log away, or another one, or one just made anew: the watermark."""
    with transaction(books) as connection:
        assert complete_until(connection, TOPIC, None) is None
    stream([said(merchants, "1")])
    with transaction(books) as connection:
        assert complete_until(connection, TOPIC, ends(1)) == LATER
        assert complete_until(connection, TOPIC, ends(2)) == NOON
        assert complete_until(connection, TOPIC, None) == NOON
        assert complete_until(connection, TOPIC, ends(1, topic_id="log-2")) == NOON
        connection.execute(text("UPDATE stream_incarnations SET partitions = 2"))
        # A partition that nobody has claimed yet: empty holds nothing back, messages in it hold back everything.
        assert complete_until(connection, TOPIC, ends(1, 0)) == LATER
        assert complete_until(connection, TOPIC, ends(1, 1)) is None


def test_a_log_made_anew_is_trusted_only_once_its_journal_had_time_to_come_again(
    books: Engine, stream: Stream, merchants: Merchants
) -> None:
    """Empty does not mean done while acknowledged envelopes are still to be sent again."""
    stream([said(merchants, "1")])
    stream.parts.ledger.register(TOPIC, "log-2", 1)
    now = datetime.now(UTC)
    with transaction(books) as connection:
        soon = complete_until(connection, TOPIC, ends(0, topic_id="log-2", at=now))
        settled = now + timedelta(minutes=5)
        late = complete_until(connection, TOPIC, ends(0, topic_id="log-2", at=settled))
    assert (soon, late) == (NOON, settled)


def test_a_promise_once_made_is_kept(parts: ApiParts, books: Engine, stream: Stream, merchants: Merchants) -> None:
    """When messages arrive after it, what was said before is still true, and said again."""
    stream([said(merchants, "1")])
    clock = ManualClock(LATER)
    said_by_log = [ends(1), ends(5, at=LATER + timedelta(minutes=1)), ends(1, at=LATER + timedelta(minutes=2))]
    freshness = Freshness(books, TOPIC, lambda: said_by_log.pop(0), clock)
    answers = []
    for _ in range(3):
        answers += [freshness.complete_until(), freshness.complete_until()]
        clock.advance(seconds=2)
    assert answers == [LATER] * 4 + [LATER + timedelta(minutes=2)] * 2
