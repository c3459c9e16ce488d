"""Usage that comes after its period was billed: the difference is posted once, with a later period, and exactly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from core.errors import Conflict
from core.money import Money
from tests.rating.late_month import close_month, come_late, invoices, late_and_checked, lines, rows
from tests.rating.month import Month, merchant_yaml

OCTOBER, NOVEMBER, DECEMBER = (datetime(2023, number, 20, 12, tzinfo=UTC) for number in (10, 11, 12))
TIERED = """merchant: {code: birch, name: Birch}
meters:
  - {code: calls, event_type: call, aggregation: count}
plans:
  - code: tiered
    name: Tiered
    currency: USD
    prices:
      - meter: calls
        model: graduated
        tiers: [{up_to: 10, unit_price: "2"}, {up_to: null, unit_price: "0.5"}]
customers:
  - {key: b-1, name: One, zone: UTC, currency: USD}
subscriptions:
  - {customer: b-1, plan: tiered, start: 2023-10-01}
"""


@pytest.fixture
def month(books: Engine, usage_store: UsageStore) -> Month:
    """Acme with two customers since October, both billed for it: one million context tokens are 2.50."""
    made = Month(books, usage_store)
    made.sell(merchant_yaml("acme", ["a-1", "a-2"], start="2023-10-01"))
    made.use("a-1", "context_tokens", 1_000_000, at=OCTOBER)
    made.use("a-2", "context_tokens", 2_000_000, at=OCTOBER)
    close_month(made, "2023-10")
    return made


def settle(month: Month, settings: str) -> None:
    """Let Acme say something about late usage."""
    month.sell(f"merchant: {{code: acme, late_usage: {settings}}}")


def test_late_usage_is_a_line_of_the_next_invoice(month: Month) -> None:
    """The old invoice stays; the new one says what came late, and everybody else's has nothing of it."""
    before = invoices(month, "2023-10")
    come_late(month, "a-1", "context_tokens", 400_000, at=OCTOBER)
    month.use("a-1", "context_tokens", 2_000_000, at=NOVEMBER)
    assert late_and_checked(month) == 1

    close_month(month, "2023-11")

    assert late_and_checked(month) == 0
    one, two = invoices(month, "2023-11")
    assert lines(one) == [
        ("usage", "context_tokens", "2000000", 500),
        ("adjustment", "Usage of October 2023 that arrived after its invoice: +400000 context_tokens", "400000", 100),
    ]
    assert (one.total, one.state, lines(two), two.state) == (Money(600, "USD"), "finalized", [], "skipped")
    assert invoices(month, "2023-10") == before


def test_the_whole_old_period_is_rated_again_at_its_own_tiers(books: Engine, usage_store: UsageStore) -> None:
    """Eight calls were billed at 2; of five that came late two fall into the first tier and three into the second."""
    month = Month(books, usage_store)
    month.sell(TIERED)
    month.use("b-1", "calls", *[1] * 8, at=OCTOBER)
    close_month(month, "2023-10")
    come_late(month, "b-1", "calls", *[1] * 5, at=OCTOBER, minute=100)

    close_month(month, "2023-11")

    (invoice,) = invoices(month, "2023-11")
    assert [line[2:] for line in lines(invoice)] == [("5", 550)]
    ((old, new, amount, tiers),) = rows(month, "SELECT old_amount, new_amount, amount, tiers FROM charge_adjustments")
    assert (old, new, amount) == (16, Decimal("21.5"), Decimal("5.5"))
    assert [tier["quantity"] for tier in tiers] == ["10", "3"]


def test_closing_again_posts_nothing_and_later_usage_waits_for_the_month_after(month: Month) -> None:
    """Each adjustment follows on the one before, so that all of them together are the difference."""
    come_late(month, "a-1", "context_tokens", 400_000, at=OCTOBER)
    close_month(month, "2023-11")
    close_month(month, "2023-11")
    come_late(month, "a-1", "context_tokens", 800_000, at=OCTOBER, minute=1)
    close_month(month, "2023-11")
    assert rows(month, "SELECT count(*) FROM charge_adjustments") == [(1,)]

    close_month(month, "2023-12")
    close_month(month, "2023-12")

    posted = rows(
        month,
        "SELECT period, sequence, old_quantity::bigint, new_quantity::bigint, amount::float8 FROM charge_adjustments"
        " ORDER BY sequence",
    )
    assert late_and_checked(month) == 0
    assert posted == [("2023-11", 1, 1_000_000, 1_400_000, 1.0), ("2023-12", 2, 1_400_000, 2_200_000, 2.0)]


def test_usage_taken_back_is_credit_that_later_invoices_use(month: Month) -> None:
    """3.75 back: the invoice of November owes nothing and leaves 1.25, of which December's 1.00 takes its share."""
    come_late(month, "a-2", "context_tokens", -1_500_000, at=OCTOBER)
    month.use("a-2", "context_tokens", 1_000_000, at=NOVEMBER)
    month.use("a-2", "context_tokens", 400_000, at=DECEMBER)

    close_month(month, "2023-11")
    close_month(month, "2023-12")
    close_month(month, "2024-01")

    _, november = invoices(month, "2023-11")
    _, december = invoices(month, "2023-12")
    assert [line[1:] for line in lines(november)][1:] == [
        ("Usage of October 2023 taken back after its invoice: -1500000 context_tokens", "-1500000", -375)
    ]
    money = [(one.subtotal.minor, one.credit.minor, one.total.minor) for one in (november, december)]
    assert money == [(-125, 125, 0), (100, -100, 0)]
    assert {one.state for one in (november, december)} == {"finalized"}
    assert rows(month, "SELECT sequence, amount_minor, balance_minor FROM credit_entries ORDER BY 1") == [
        (1, 125, 125),
        (2, -100, 25),
    ]
    assert late_and_checked(month) == 0


def test_what_comes_to_the_same_makes_no_line(month: Month) -> None:
    """An event that came late and was taken back again."""
    come_late(month, "a-1", "context_tokens", 5, -5, at=OCTOBER)

    close_month(month, "2023-11")

    assert rows(month, "SELECT count(*) FROM charge_adjustments") == [(0,)]
    assert [one.state for one in invoices(month, "2023-11")] == ["skipped", "skipped"]


def test_whoever_has_ended_gets_an_invoice_for_the_adjustment_alone(month: Month) -> None:
    """One in the month in which the next period would have been; closing that month again makes no second one."""
    month.sell(
        "merchant: {code: acme}\nsubscriptions: [{customer: a-1, plan: payg, start: 2023-10-01, end: 2023-11-01}]"
    )
    come_late(month, "a-1", "context_tokens", 400_000, at=OCTOBER)

    close_month(month, "2023-11")
    close_month(month, "2023-11")

    one, _ = invoices(month, "2023-11")
    assert [line[0] for line in lines(one)] == ["adjustment"]
    assert (one.number, one.total, one.period_start) == (
        "ACME-000003",
        Money(100, "USD"),
        datetime(2023, 11, 1, tzinfo=UTC),
    )
    assert rows(month, "SELECT count(*) FROM rating_runs WHERE state <> 'recorded'") == [(0,)]


def test_report_only_bills_nothing_and_keeps_telling(month: Month) -> None:
    """The late usage of October is still found by closing October again, and billed once the policy changes."""
    settle(month, "{policy: report_only}")
    come_late(month, "a-1", "context_tokens", 400_000, at=OCTOBER)
    close_month(month, "2023-11")
    assert rows(month, "SELECT count(*) FROM charge_adjustments") == [(0,)]
    assert month.close("2023-10").late["events"].to_list() == [1]

    settle(month, "{policy: next_invoice}")
    close_month(month, "2023-12")

    assert rows(month, "SELECT for_period, period FROM charge_adjustments") == [("2023-10", "2023-12")]
    assert month.close("2023-10").late.is_empty()


@pytest.mark.parametrize(("months_back", "posted"), [(0, 0), (1, 0), (2, 1)])
def test_only_periods_within_the_bound_are_looked_at(month: Month, months_back: int, posted: int) -> None:
    """October is two months before December."""
    close_month(month, "2023-11")
    settle(month, f"{{months_back: {months_back}}}")
    come_late(month, "a-1", "context_tokens", 400_000, at=OCTOBER)

    close_month(month, "2023-12")

    assert rows(month, "SELECT count(*) FROM charge_adjustments") == [(posted,)]


def test_a_period_waits_for_its_grace_and_counts_what_came_in_it(month: Month) -> None:
    """Two days of grace: on the second nothing is due, and it is told until when; afterwards nothing is late."""
    settle(month, "{grace: 2d}")
    month.use("a-1", "context_tokens", 400_000, at=NOVEMBER)
    month.clock.instant = datetime(2023, 12, 2, 23, tzinfo=UTC)

    early = month.close("2023-11")
    month.clock.advance(hours=1)
    closed = month.close("2023-11")

    assert early.closing.waiting.select("due_at", "subscriptions").rows() == [(datetime(2023, 12, 3, tzinfo=UTC), 2)]
    assert (early.closing.lines.height, early.closing.not_ended, closed.closing.waiting.height) == (0, 0, 0)
    assert closed.finalized == 1


def test_two_months_closed_at_once_do_not_both_post_the_same(month: Month) -> None:
    """Whoever comes second with the same difference fails as a whole, and finds it posted when it tries again."""
    month.use("a-1", "context_tokens", 400_000, at=DECEMBER)
    come_late(month, "a-1", "context_tokens", 400_000, at=OCTOBER)
    month.clock.instant = datetime(2024, 1, 4, tzinfo=UTC)

    def meanwhile(step: str) -> None:
        if step == "record":
            month.close("2023-11")

    with pytest.raises(Conflict, match="charge_adjustments"):
        month.close("2023-12", on_step=meanwhile)
    month.close("2023-12")

    assert rows(month, "SELECT for_period, period FROM charge_adjustments") == [("2023-10", "2023-11")]
    assert [one.total.minor for one in invoices(month, "2023-12")] == [100, 0]


def test_a_close_cut_short_posts_its_adjustments_once_with_its_own_cutoff(month: Month) -> None:
    """What came between the crash and its end waits for the next month."""
    come_late(month, "a-1", "context_tokens", 400_000, at=OCTOBER)
    month.use("a-1", "context_tokens", 400_000, at=NOVEMBER)
    month.clock.instant = datetime(2023, 12, 4, tzinfo=UTC)

    def die(step: str) -> None:
        if step == "record":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        month.close("2023-11", on_step=die)
    come_late(month, "a-1", "context_tokens", 800_000, at=OCTOBER, minute=1)

    month.close("2023-11")

    assert rows(month, "SELECT new_quantity::bigint FROM charge_adjustments") == [(1_400_000,)]
    assert [one.total.minor for one in invoices(month, "2023-11")] == [200, 0]


def test_a_parked_subscription_takes_its_adjustments_along_when_it_is_billed(month: Month) -> None:
    """An adjustment without an invoice would be nowhere."""
    come_late(month, "a-1", "context_tokens", 400_000, at=OCTOBER)
    month.use("a-1", "generated_tokens", *["99999999999999999999999999"] * 2, at=NOVEMBER)
    close_month(month, "2023-11")
    assert rows(month, "SELECT count(*) FROM charge_adjustments") == [(0,)]
    month.store.command("ALTER TABLE usage_windows DELETE WHERE sum > 1e20 SETTINGS mutations_sync = 2")

    close_month(month, "2023-11")

    assert [one.total.minor for one in invoices(month, "2023-11")] == [100, 0]


def test_a_dry_run_shows_the_adjustments_and_writes_none(month: Month) -> None:
    """The same draft as the real close, credit included."""
    come_late(month, "a-1", "context_tokens", -400_000, at=OCTOBER)
    month.clock.instant = datetime(2023, 12, 4, tzinfo=UTC)

    dry = month.close("2023-11", commit=False)
    assert rows(month, "SELECT count(*) FROM charge_adjustments") == [(0,)]
    real = month.close("2023-11")

    assert dry.drafts.invoices.drop("run_id", "cutoff").equals(real.drafts.invoices.drop("run_id", "cutoff"))
    assert dry.drafts.credit.equals(real.drafts.credit)
    assert real.drafts.credit["amount_minor"].to_list() == [100]


def test_nothing_late_costs_no_question_about_lines(month: Month, monkeypatch: pytest.MonkeyPatch) -> None:
    """A month in which nothing came late ends with one question to ClickHouse for each earlier cut-off."""
    monkeypatch.setattr("rating.adjust.load_billed", lambda *_: pytest.fail("no line has to be looked at"))
    month.use("a-1", "context_tokens", 400_000, at=NOVEMBER)

    close_month(month, "2023-11")

    assert rows(month, "SELECT usage_until - usage_from FROM rating_runs WHERE period = '2023-11'") == [
        (timedelta(days=30),)
    ]
