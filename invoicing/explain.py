"""Explains a line with the very numbers that made it, and works them out once more.

The explanation does not trust the engine: it multiplies and adds the recorded tiers again in Python decimals, rounds
again with ``to_money``, and says whether both agree with the invoice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from hashlib import sha256
from typing import Any

import orjson

from core.limits import AMOUNT_SCALE
from core.money import Money, to_money
from core.quantity import EXACT, plain_text
from invoicing.invoice import Invoice, InvoiceLine

# The rules under which the engine hashes, and what stands between the fields; docs/rating.md has them for everybody.
HASH_RULES, HASH_RULES_BEFORE = "millrace-rating-2", "millrace-rating-1"
HASH_SEPARATOR = "\x1f"
# Steps that change the quantity, by their labels.
BEFORE_PRICE = frozenset({"bucket", "unit_conversion", "round_quantity", "free_units", "included_units"})
# Meters whose buckets add up to the whole.
ADDED_UP = frozenset({"sum", "count"})
LAST_PLACE = Decimal(1).scaleb(-AMOUNT_SCALE)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Step:
    """One tier's arithmetic: ``quantity x unit_price + flat_price = amount``, exactly.

    With a ``label`` it is a step before the price, which left ``quantity``, or one after it, which changed the amount
    by ``amount``. With a ``size`` the quantity counts packages or blocks.
    """

    tier: int
    start: Decimal | None
    end: Decimal | None
    quantity: Decimal
    unit_price: Decimal
    flat_price: Decimal
    amount: Decimal
    label: str | None = None
    size: Decimal | None = None
    group: str | None = None
    max_amount: Decimal | None = None

    def span(self) -> str:
        """Where the tier lies, its lower bound exclusive and its upper bound inclusive; or what the step is."""
        if self.label == "inputs":
            return "inputs"
        if self.label is not None:
            name = self.label.replace("_", " ")
            return name if self.group is None else f"{name} {self.group}"
        if self.group is not None:
            return self.group
        start = plain_text(self.start or Decimal(0))
        return f"above {start}" if self.end is None else f"{start} to {plain_text(self.end)}"

    def sum(self) -> str:
        """The arithmetic as text."""
        if self.label in BEFORE_PRICE:
            return f"leaves {plain_text(self.quantity)}"
        if self.label is not None:
            return f"{plain_text(self.amount)}"
        flat = f" + {plain_text(self.flat_price)}" if self.flat_price else ""
        of_size = f" of {plain_text(self.size)}" if self.size is not None else ""
        most = f", at most {plain_text(self.max_amount)}" if self.max_amount is not None else ""
        units = f"{plain_text(self.quantity)}{of_size}"
        return f"{units} × {plain_text(self.unit_price)}{flat}{most} = {plain_text(self.amount)}"

    def is_exact(self) -> bool:
        """Whether the arithmetic holds; a step with a label changes what came before it, and stands as it is."""
        if self.label is not None:
            return True
        worked = (self.quantity * self.unit_price).quantize(LAST_PLACE, rounding=ROUND_HALF_UP) + self.flat_price
        return self.amount == (worked if self.max_amount is None else min(worked, self.max_amount))


@dataclass(frozen=True, slots=True)
class Explanation:
    """A line's steps, what they add up to, and whether that is what the line says.

    ``unrounded`` is the line's own amount: ``whole``, which the steps add up to, without what was billed before.
    """

    steps: tuple[Step, ...]
    whole: Decimal
    unrounded: Decimal
    rounded: Money
    agrees: bool


def explain(line: InvoiceLine) -> Explanation:
    """Work a line out again from its recorded tiers."""
    steps = tuple(map(as_step, line.tiers))
    with localcontext(EXACT):
        whole = sum((step.amount for step in steps), Decimal(0))
        unrounded = whole - line.billed_before
        exact = all(step.is_exact() for step in steps)
        covered = every_unit_is_priced(steps, line)
    rounded = to_money(unrounded, line.amount.currency)
    agrees = exact and covered and (unrounded, rounded) == (line.unrounded, line.amount)
    return Explanation(steps, whole, unrounded, rounded, agrees)


def every_unit_is_priced(steps: tuple[Step, ...], line: InvoiceLine) -> bool:
    """Whether the tiers charge the quantity that there was, bucket by bucket where the price is by bucket."""
    buckets = [step for step in steps if step.label == "bucket"]
    if line.model == "matrix" and line.aggregation not in ADDED_UP:
        return True
    if not any(step.label in ("bucket", "empty_buckets") for step in steps):
        return any(step.size is not None for step in steps) or priced_units(steps) == units_to_price(steps, line)
    if line.aggregation in ADDED_UP and sum((one.quantity for one in buckets), Decimal(0)) != line.whole_quantity:
        return False
    by_bucket = [tuple(step for step in steps if step.group == one.group) for one in buckets]
    return all(
        any(step.size is not None for step in own) or priced_units(own) == units_to_price(own, line)
        for own in by_bucket
    )


def priced_units(steps: tuple[Step, ...]) -> Decimal:
    """The units that the tiers charge; the free part of a percentage is among them."""
    return sum((step.quantity for step in steps if step.label in (None, "free")), Decimal(0))


def units_to_price(steps: tuple[Step, ...], line: InvoiceLine) -> Decimal:
    """What the steps before the price left of the quantity."""
    left = [step.quantity for step in steps if step.label in BEFORE_PRICE]
    return left[-1] if left else line.whole_quantity


def hash_inputs(invoice: Invoice, line: InvoiceLine) -> str:
    """The input hash of a line, worked out from what the invoice says; another one than the line's is an alarm."""
    own = [invoice.subscription_id, invoice.customer_id, quantity_text(line)]
    return sha256_of(sha256_of(HASH_RULES, *shared_texts(invoice, line)), *own, *detail_hash(line))


def hash_inputs_before(invoice: Invoice, line: InvoiceLine) -> str:
    """The same by the rules ``millrace-rating-1``, by which lines were hashed until version 2."""
    merchant_id, *shared, price = shared_texts(invoice, line)
    whose = [merchant_id, invoice.subscription_id, invoice.customer_id]
    return sha256_of(HASH_RULES_BEFORE, *whose, *shared, quantity_text(line), price, *detail_hash(line))


def inputs_agree(invoice: Invoice, line: InvoiceLine) -> bool:
    """Whether a line has the hash of its inputs, by the rules of today or those before."""
    return line.input_hash in (hash_inputs(invoice, line), hash_inputs_before(invoice, line))


def shared_texts(invoice: Invoice, line: InvoiceLine) -> list[str]:
    """What a line shares with all lines at its price: first whose price it is, last the price itself.

    The period's start and end are in microseconds.
    """
    start, end = (str((moment - EPOCH) // timedelta(microseconds=1)) for moment in invoice.period_of(line))
    sold = [line.meter_id, line.meter, line.aggregation, line.price_id, line.model, invoice.total.currency]
    return [invoice.merchant_id, *sold, start, end, orjson.dumps(line.price, option=orjson.OPT_SORT_KEYS).decode()]


def quantity_text(line: InvoiceLine) -> str:
    """A line's quantity with all places."""
    with localcontext(EXACT):
        return format(line.whole_quantity.quantize(Decimal("1e-12")), "f")


def detail_hash(line: InvoiceLine) -> list[str]:
    """Of a line that was charged by its events, groups or buckets: the hash of all of them."""
    return [str(tier["group"]) for tier in line.tiers if tier.get("label") == "inputs"]


def sha256_of(*fields: str) -> str:
    """The hash of fields."""
    return sha256(HASH_SEPARATOR.join(fields).encode()).hexdigest()


def as_step(tier: dict[str, Any]) -> Step:
    """A tier as it was recorded."""
    return Step(
        tier=tier["tier"],
        start=given(tier, "from"),
        end=given(tier, "to"),
        quantity=given(tier, "quantity") or Decimal(0),
        unit_price=given(tier, "unit_price") or Decimal(0),
        flat_price=given(tier, "flat_price") or Decimal(0),
        amount=Decimal(tier["amount"]),
        label=tier.get("label"),
        size=given(tier, "size"),
        group=tier.get("group"),
        max_amount=given(tier, "max_amount"),
    )


def given(tier: dict[str, Any], name: str) -> Decimal | None:
    """A number of a recorded tier; ``None`` where it says nothing."""
    text = tier.get(name)
    return None if text is None else Decimal(text)
