"""Backfills on a running line: they wait, are previewed, close and revert as a whole, and go on after a crash."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest
from sqlalchemy import text

from clickhouse.backfilled import count_backfilled
from core.clock import SystemClock
from core.db import transaction
from core.errors import Conflict
from ingest.backfill import Backfill, decide, find_backfill, open_backfill
from rating.preview_change import preview_backfill
from runtime.close import close_books
from runtime.demo.run import ignore_step
from runtime.release.find_backfilled import to_release
from runtime.release.send import LogSender
from runtime.release.turn import ReleaseParts, move_backfill, release_turn
from tests.runtime.corrections.conftest import CATALOG, Event, Sender, apply, event, expected, usage

SPAN = (datetime(2023, 3, 1, tzinfo=UTC), datetime(2023, 4, 1, tzinfo=UTC))


class Killed(Exception):
    """In the place of SIGKILL."""


def opened(sender: Sender) -> Backfill:
    """A backfill of March."""
    with transaction(sender.line.books) as connection:
        merchant_id = connection.execute(text("SELECT merchant_id FROM merchants")).scalar_one()
        return open_backfill(connection, merchant_id, *SPAN)


def old(first: int, last: int, subject: str = "c-1") -> list[Event]:
    """Events of March."""
    return [event(n, subject, day="2023-03-07") for n in range(first, last)]


def bring(sender: Sender, backfill: Backfill, events: list[Event]) -> None:
    """Send events into a backfill, and wait until they are there."""
    assert sender.ask("POST", f"/v1/backfills/{backfill.backfill_id}/events", events)["rejected"] == []
    sender.settle()


def decided(sender: Sender, backfill: Backfill, to: str) -> Backfill:
    """Close or revert it."""
    with transaction(sender.line.books) as connection:
        return decide(connection, None, backfill.backfill_id, "closing" if to == "closing" else "reverting")


def test_a_backfill_counts_when_it_is_closed_and_not_before_and_not_after_its_revert(
    sender: Sender, releasing: ReleaseParts, log_sender: LogSender
) -> None:
    """For meters of every aggregation, over minutes that have other events already."""
    sender.send([event(n, day="2023-03-07") for n in range(500, 560)])
    backfill = opened(sender)
    events = [*old(0, 100), *old(100, 150, "c-2"), event(550, size=99, day="2023-03-07"), event(700, day="2023-03-07")]
    bring(sender, backfill, events)
    bring(sender, backfill, events[:20])
    sender.agrees()
    release_turn(releasing, log_sender)
    sender.agrees()

    effect = preview_backfill(
        sender.line.books, sender.line.store, backfill.merchant_id, backfill.backfill_id, SystemClock().now()
    )
    found = {(row["subject"], row["meter"]): row for row in effect.iter_rows(named=True)}
    assert {row["period"] for row in found.values()} == {"2023-03"}
    assert found["c-1", "count"]["quantity"] == Decimal(101)
    assert found["c-2", "sum"]["new_quantity"] == sum(one["properties"]["size"] for one in old(100, 150))

    bare = replace(releasing, rows_at_once=40)
    closed = move_backfill(bare, log_sender, decided(sender, backfill, "closing"), lambda _count: None)
    assert (closed.state, closed.ended_at is not None) == ("closed", True)
    sender.alive |= {one["id"]: one for one in events if one["id"] != "e550"}
    sender.agrees()
    counts = count_backfilled(sender.line.store, backfill.merchant_id, backfill.backfill_id)
    # Of the same event in the same words the first counts; in other words it is a conflict.
    assert (counts["events"], counts["counted"], counts["duplicates"], counts["conflicts"]) == (151, 151, 20, 1)
    for row in found.values():
        assert usage_total(sender, row["subject"], row["meter"]) == row["new_quantity"].normalize()
    assert release_turn(releasing, log_sender).sent == 0

    reverted = move_backfill(bare, log_sender, decided(sender, backfill, "reverting"), lambda _count: None)
    assert reverted.state == "reverted"
    for one in events:
        if one["id"] != "e550":
            del sender.alive[one["id"]]
    sender.agrees()
    assert release_turn(releasing, log_sender).sent == 0


def usage_total(sender: Sender, subject: str, meter: str) -> Decimal:
    """What a customer used of a meter in all."""
    sql = "SELECT quantity FROM usage_total WHERE subject = {subject:String} AND meter = {meter:String}"
    found: Decimal = sender.line.store.query_frame(sql, {"subject": subject, "meter": meter})["quantity"][0]
    return found.normalize()


def test_an_open_backfill_is_reverted_and_another_brings_the_same_ids(
    sender: Sender, releasing: ReleaseParts, log_sender: LogSender
) -> None:
    """The second is its own: the revert of the first, which is looked at again for a while, does not touch it."""
    first, second = opened(sender), opened(sender)
    bring(sender, first, old(0, 60))
    move_backfill(releasing, log_sender, decided(sender, first, "reverting"), lambda _count: None)
    bring(sender, second, old(0, 60))
    assert release_turn(releasing, log_sender).sent == 0
    sender.agrees()

    decided(sender, second, "closing")
    turn = release_turn(releasing, log_sender)
    assert (turn.backfilled, turn.ended) == (60, [second.backfill_id])
    sender.alive |= {one["id"]: one for one in old(0, 60)}
    assert release_turn(releasing, log_sender).sent == 0
    sender.agrees()
    with pytest.raises(Conflict):
        decided(sender, first, "closing")
    with pytest.raises(httpx.HTTPStatusError):
        refused(sender, second)


def refused(sender: Sender, backfill: Backfill) -> None:
    """Events for a backfill that is closed."""
    url = f"{sender.line.gateway_url}/v1/backfills/{backfill.backfill_id}/events"
    headers = {"authorization": f"Bearer {sender.key}"}
    httpx.post(url, json=old(0, 1), headers=headers).raise_for_status()


def test_a_close_and_a_revert_that_are_killed_go_on(
    sender: Sender, releasing: ReleaseParts, log_sender: LogSender
) -> None:
    """After some of it was stored, and after some was sent and not seen to be stored. No month closes meanwhile."""
    backfill = opened(sender)
    bring(sender, backfill, old(0, 200))
    small = replace(releasing, rows_at_once=50)
    moving = decided(sender, backfill, "closing")
    log_sender.send_by_key(next(to_release(sender.line.store, moving, 50)))
    log_sender.flush()
    assert len(usage(sender.line)) < len(expected(old(0, 200)))

    def die(_count: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        move_backfill(replace(small, rows_max=50), log_sender, moving, die)
    with pytest.raises(Conflict, match="period_not_complete"):
        close_books(sender.line.books, sender.line.store, SystemClock(), "2023-03", on_step=ignore_step)
    assert release_turn(small, log_sender).ended == [backfill.backfill_id]
    sender.alive |= {one["id"]: one for one in old(0, 200)}
    sender.agrees()

    moving = decided(sender, backfill, "reverting")
    with pytest.raises(Killed):
        move_backfill(replace(small, rows_max=50), log_sender, moving, die)
    assert move_backfill(small, log_sender, moving, lambda _count: None).state == "reverted"
    sender.alive.clear()
    sender.agrees()
    assert usage(sender.line) == {}


def test_events_that_nobody_can_count_yet_wait_beyond_the_close(
    sender: Sender, releasing: ReleaseParts, log_sender: LogSender
) -> None:
    """A customer that is missing does not hold the close up; once it is there, its events count."""
    backfill = opened(sender)
    bring(sender, backfill, [*old(0, 20), *old(20, 50, "c-3")])
    move_backfill(releasing, log_sender, decided(sender, backfill, "closing"), lambda _count: None)
    sender.alive |= {one["id"]: one for one in old(0, 20)}
    sender.agrees()

    more = "customers:\n  - {key: c-3, name: Three, zone: UTC, currency: USD}\n"
    apply(sender.line, CATALOG.replace("customers:\n", more))
    assert release_turn(releasing, log_sender).events == 30
    assert release_turn(releasing, log_sender).sent == 0
    sender.alive |= {one["id"]: one for one in old(20, 50, "c-3")}
    sender.agrees()
    with transaction(sender.line.books) as connection:
        assert find_backfill(connection, None, backfill.backfill_id).state == "closed"
