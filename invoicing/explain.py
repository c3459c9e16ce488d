"""Explains a line with the very numbers that made it, and works them out once more.

The explanation does not trust the engine: it multiplies and adds the recorded tiers again in Python decimals, rounds
again with ``to_money``, and says whether both agree with the invoice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from hashlib import sha256
from typing import Any

import orjson

from core.money import Money, to_money
from core.quantity import EXACT, plain_text
from invoicing.invoice import Invoice, InvoiceLine

# The rules under which the engine hashes, and what stands between the fields; docs/rating.md has them for everybody.
HASH_RULES = "millrace-rating-1"
HASH_SEPARATOR = "\x1f"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Step:
    """One tier's arithmetic: ``quantity x unit_price + flat_price = amount``, exactly."""

    tier: int
    start: Decimal
    end: Decimal | None
    quantity: Decimal
    unit_price: Decimal
    flat_price: Decimal
    amount: Decimal

    def span(self) -> str:
        """Where the tier lies, its lower bound exclusive and its upper bound inclusive."""
        start = plain_text(self.start)
        return f"above {start}" if self.end is None else f"{start} to {plain_text(self.end)}"

    def sum(self) -> str:
        """The arithmetic as text."""
        flat = f" + {plain_text(self.flat_price)}" if self.flat_price else ""
        return f"{plain_text(self.quantity)} × {plain_text(self.unit_price)}{flat} = {plain_text(self.amount)}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A line's steps, what they add up to, and whether that is what the line says."""

    steps: tuple[Step, ...]
    unrounded: Decimal
    rounded: Money
    agrees: bool


def explain(line: InvoiceLine) -> Explanation:
    """Work a line out again from its recorded tiers."""
    steps = tuple(map(as_step, line.tiers))
    with localcontext(EXACT):
        unrounded = sum((step.amount for step in steps), Decimal(0))
        exact = all(step.quantity * step.unit_price + step.flat_price == step.amount for step in steps)
        covered = sum((step.quantity for step in steps), Decimal(0)) == line.quantity
    rounded = to_money(unrounded, line.amount.currency)
    agrees = exact and covered and (unrounded, rounded) == (line.unrounded, line.amount)
    return Explanation(steps, unrounded, rounded, agrees)


def hash_inputs(invoice: Invoice, line: InvoiceLine) -> str:
    """The input hash of a line, worked out from what the invoice says; another one than the line's is an alarm."""
    instants = [(moment - EPOCH) // timedelta(microseconds=1) for moment in (invoice.period_start, invoice.period_end)]
    with localcontext(EXACT):
        quantity = format(line.quantity.quantize(Decimal("1e-12")), "f")
    fields = [
        HASH_RULES,
        invoice.merchant_id,
        invoice.subscription_id,
        invoice.customer_id,
        line.meter_id,
        line.meter,
        line.aggregation,
        line.price_id,
        line.model,
        invoice.total.currency,
        *map(str, instants),
        quantity,
        orjson.dumps(line.price, option=orjson.OPT_SORT_KEYS).decode(),
    ]
    return sha256(HASH_SEPARATOR.join(fields).encode()).hexdigest()


def as_step(tier: dict[str, Any]) -> Step:
    """A tier as it was recorded."""
    return Step(
        tier=tier["tier"],
        start=Decimal(tier["from"]),
        end=None if tier["to"] is None else Decimal(tier["to"]),
        quantity=Decimal(tier["quantity"]),
        unit_price=Decimal(tier["unit_price"]),
        flat_price=Decimal(tier["flat_price"]),
        amount=Decimal(tier["amount"]),
    )
