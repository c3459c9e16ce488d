"""What a backfill would cost before it is closed: every aggregation, open and billed periods, every policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from ingest.event import event_key
from rating.preview_change import PREVIEW, preview_backfill
from tests.clickhouse.builders import event, events_frame
from tests.rating.blocks import block_of, merchant_of, put_block
from tests.rating.month import NOON, Month
from tests.rating.test_recount import CATALOG, TRUE, usage

BACKFILL = "bf-1"
DECEMBER = datetime(2023, 12, 10, 12, tzinfo=UTC)


@pytest.fixture
def month(books: Engine, usage_store: UsageStore) -> Month:
    """One merchant with a meter of every aggregation; its first customer has used something in November."""
    made = Month(books, usage_store)
    made.sell(CATALOG)
    put_block(made, block_of(made, usage(made, "a-1")))
    return made


def hold(month: Month, name: str, size: int, user: str, kind: str = "l", **given: Any) -> None:
    """Store one event as a backfill holds it."""
    merchant = merchant_of(month, "a-1")
    customer = month.priced().filter(pl.col("subject") == given.get("subject", "a-1"))["customer_id"][0]
    properties = {"size": str(size), "user": user, "kind": kind}
    row = event(
        name,
        merchant_id=merchant,
        customer_id=customer,
        type="call",
        subject="a-1",
        occurred_at=NOON,
        stored_at=NOON + timedelta(days=20),
        properties=[{"key": key, "value": value} for key, value in properties.items()],
        fate="held",
        reason="backfill",
        key=event_key(merchant, "", name),
        action="backfill",
        correction_id=BACKFILL,
    )
    month.store.insert_frame("usage_events", events_frame([row | given]), token=f"held-{name}-{given}")


def preview(month: Month, now: datetime = DECEMBER) -> list[dict[str, Any]]:
    """The effect, row by row."""
    found = preview_backfill(month.books, month.store, merchant_of(month, "a-1"), BACKFILL, now)
    assert found.schema == PREVIEW
    return found.to_dicts()


def quantities(rows: list[dict[str, Any]], column: str) -> dict[str, Decimal]:
    """One column by meter."""
    return {row["meter"]: row[column] for row in rows}


def test_every_aggregation_is_what_it_would_be_with_the_held_events(month: Month) -> None:
    """Counts and sums grow, least, most and latest move where they must, and a known user is no new one."""
    hold(month, "low", -9, "u", "s")
    hold(month, "new", 5, "w", "l", occurred_at=NOON + timedelta(minutes=30))

    rows = preview(month)

    assert quantities(rows, "old_quantity") == {name: TRUE[name] for name in TRUE if name != "other"}
    assert quantities(rows, "new_quantity") == {
        "n": 5,
        "total": 2,
        "least": -9,
        "most": 7,
        "newest": 5,
        "users": 3,
        "large": 15,
    }
    assert quantities(rows, "amount") == quantities(rows, "quantity")
    assert {(row["period"], row["billed"], row["outcome"], row["problem"]) for row in rows} == {
        ("2023-11", False, "invoice", None)
    }


def test_what_was_released_amended_or_taken_back_is_no_longer_held(month: Month) -> None:
    """Only the event that still waits is in the preview."""
    hold(month, "waits", 1, "u")
    for name, fate, action in (("released", "stored", "release"), ("reverted", "retraction", "retract")):
        hold(month, name, 100, "u")
        hold(month, name, 100, "u", fate=fate, action=action, stored_at=NOON + timedelta(days=21))

    assert quantities(preview(month), "quantity")["total"] == 1


def test_a_billed_period_says_what_becomes_of_the_difference(month: Month) -> None:
    """The next invoice; or a report alone, by the merchant's policy or because it is too long ago."""
    month.close()
    hold(month, "late", 4, "u")
    total = [row for row in preview(month) if row["meter"] == "total"]

    assert [(row["billed"], row["outcome"], row["old_amount"], row["new_amount"]) for row in total] == [
        (True, "next_invoice", 6, 10)
    ]
    assert {row["outcome"] for row in preview(month, datetime(2025, 1, 1, tzinfo=UTC))} == {"too_old"}
    settings = "merchant: {code: acme, name: Acme, late_usage: {policy: report_only}}"
    month.sell(CATALOG.replace("merchant: {code: acme, name: Acme}", settings))
    assert {row["outcome"] for row in preview(month)} == {"report_only"}


def test_each_period_is_compared_by_itself(month: Month) -> None:
    """Held events of two months touch two periods."""
    hold(month, "november", 1, "u")
    hold(month, "december", 2, "u", occurred_at=NOON + timedelta(days=14))

    found = [(row["period"], row["old_amount"], row["amount"]) for row in preview(month) if row["meter"] == "total"]

    assert found == [("2023-11", 6, 1), ("2023-12", 0, 2)]


def test_a_backfill_that_holds_nothing_changes_nothing(month: Month) -> None:
    """An empty frame of the declared schema."""
    assert preview(month) == []


def test_another_backfills_events_are_not_in_it(month: Month) -> None:
    """Each backfill is previewed by itself."""
    hold(month, "mine", 1, "u")
    hold(month, "other", 10, "u", correction_id="bf-2")

    assert quantities(preview(month), "quantity")["total"] == 1
