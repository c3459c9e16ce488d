"""Catalog texts with defaults, so that a test shows only what it is about."""

from __future__ import annotations

from sqlalchemy import Engine, text

from catalog.apply import Applied, apply_text, plan_catalog
from catalog.describe import counts
from catalog.diff import Diff
from catalog.document import read_catalog
from core.db import transaction

METER = "{code: tokens, event_type: llm.request, aggregation: sum, value: Tokens}"
PRICE = "{meter: tokens, model: per_unit, unit_price: 0.5}"
PLAN = f"{{code: payg, currency: USD, prices: [{PRICE}]}}"
CUSTOMER = "{key: c-1, name: One, zone: Europe/Berlin, currency: USD}"
SUBSCRIPTION = "{customer: c-1, plan: payg, start: 2023-11-01}"


def catalog_text(
    *,
    merchant: str = "acme",
    meters: str = METER,
    plans: str = PLAN,
    customers: str = CUSTOMER,
    subscriptions: str = SUBSCRIPTION,
) -> str:
    """A small catalog with one of everything; each part is the inside of a YAML list."""
    return (
        f"merchant: {{code: {merchant}}}\nmeters: [{meters}]\nplans: [{plans}]\n"
        f"customers: [{customers}]\nsubscriptions: [{subscriptions}]\n"
    )


def plan_text(price: str) -> str:
    """The usual plan with another price for its meter."""
    return f"{{code: payg, currency: USD, prices: [{{meter: tokens, {price}}}]}}"


def planned(books: Engine, source: str) -> tuple[Diff, ...]:
    """What applying a text would change."""
    with transaction(books) as connection:
        return plan_catalog(connection, read_catalog(source.encode()))


def apply_counts(books: Engine, source: str) -> tuple[int, int, int]:
    """Apply a text; how much was created, changed and left."""
    said = counts(apply_text(books, source).diffs)
    return said["created"], said["changed"], said["unchanged"]


def signs(applied: Applied) -> list[str]:
    """The changes in short: ``+meter tokens``."""
    return [
        f"{'+' if change.creates else '~'}{change.kind} {change.code}"
        for diff in applied.diffs
        for change in diff.changes
    ]


def scalar(books: Engine, query: str) -> object:
    """One value out of the books."""
    with transaction(books) as connection:
        return connection.execute(text(query)).scalar_one()


def bill(books: Engine, price: str, amount: str = "1.5") -> None:
    """Write a charge line for the price with this definition, as a close would; without an amount it is parked."""
    statement = text("""
        WITH said AS (
            INSERT INTO charge_prices (run_id, price_number, merchant_id, price)
            SELECT 'run_' || price_id, 0, merchant_id, definition FROM prices WHERE definition ->> 'unit_price' = :price
        )
        INSERT INTO charge_lines (run_id, subscription_id, price_id, merchant_id, customer_id, subject, plan, meter_id,
            meter, aggregation, model, currency, period, period_start, period_end, cutoff, catalog_version, quantity,
            amount, tiers, price_number, events, windows, input_hash, parked_reason)
        SELECT 'run_' || price_id, subscription_id, price_id, p.merchant_id, customer_id, 'c-1', 'payg', meter_id,
            'tokens', 'sum', model, currency, '2023-11', starts_at, starts_at + interval '30 days', starts_at, 1, 3,
            CAST(:amount AS numeric), '[]', 0, 3, 3, 'hash',
            CASE WHEN CAST(:amount AS numeric) IS NULL THEN 'price' END
        FROM prices p JOIN subscriptions s ON s.plan_id = p.plan_id WHERE definition ->> 'unit_price' = :price
    """)
    with transaction(books) as connection:
        done = connection.execute(statement, {"price": price, "amount": amount or None})
        assert done.rowcount == 1, "exactly one line is billed"
