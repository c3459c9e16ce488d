"""What a price charges, written from the definitions alone, one unit of thought at a time, in Python decimals.

Slow and plain on purpose: it shares no code and no idea with the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from tests.rating.oracle.around import after_price, before_price
from tests.rating.oracle.models import MODELS
from tests.rating.oracle.written import Unpriced, Written

DIGITS = 250


@dataclass(frozen=True)
class Answer:
    """The exact amount; ``fits`` says whether it and everything it is made of can be written, ``held`` why it waits."""

    amount: Decimal
    fits: bool
    held: str | None = None


def charge(
    price: Mapping[str, Any],
    quantity: Decimal,
    events: Sequence[Decimal] | None = None,
    groups: Sequence[tuple[Mapping[str, str], Decimal]] = (),
    buckets: Sequence[Decimal] | None = None,
) -> Answer:
    """The exact charge of ``quantity``, of single ``events`` in their order, of usage by group, or of every bucket."""
    written = Written()
    with localcontext() as context:
        context.prec = DIGITS
        try:
            if buckets is not None:
                amount = bucket_by_bucket(price, buckets, written)
            elif price["model"] == "percentage":
                amount = MODELS["percentage"](price, [quantity] if events is None else events, written)
                amount = after_price(price, amount, Decimal(0), written, committed(price))
            elif price["model"] == "matrix":
                amount = MODELS["matrix"](price, groups, written)
                amount = after_price(price, amount, Decimal(0), written, committed(price))
            else:
                sold, over = before_price(price, quantity, written)
                amount = MODELS[price["model"]](price, sold, written)
                amount = after_price(price, amount, over, written, committed(price))
        except Unpriced as unpriced:
            return Answer(Decimal(0), fits=False, held=unpriced.group)
    return Answer(amount, written.fits)


def bucket_by_bucket(price: Mapping[str, Any], buckets: Sequence[Decimal], written: Written) -> Decimal:
    """Each bucket as if it were a period with nothing of what is said of the whole; then the rest on the sum.

    A commitment per bucket is of the bucket, one per period of the whole.
    """
    of_period = {"discount_percent", "maximum_amount", "minimum_amount", "pricing_unit", "conversion_rate", "bucket"}
    own = price.get("commitment", {}).get("per") == "bucket"
    one = {name: value for name, value in price.items() if name not in of_period and (own or name != "commitment")}
    total = Decimal(0)
    for quantity in buckets:
        answer = charge(one, quantity)
        written.fits = written.fits and answer.fits
        total = total + answer.amount
    outside = {name: price[name] for name in of_period if name in price} | (
        {"commitment": price["commitment"]} if "commitment" in price and not own else {}
    )
    return after_price(outside, written.amount(total), Decimal(0), written, committed(outside))


def committed(price: Mapping[str, Any]) -> tuple[Decimal, bool] | None:
    """What the commitment is worth, and whether that can be written; a quantity is worth what its units cost."""
    commitment = price.get("commitment")
    if commitment is None:
        return None
    if "amount" in commitment:
        written = Written()
        return written.amount(Decimal(commitment["amount"])), written.fits
    # The same price, of units that are already sold ones, as if nothing had been committed to.
    inner = {
        name: value
        for name, value in price.items()
        if name
        not in ("commitment", "unit_conversion", "round_quantity", "free_units", "pricing_unit", "conversion_rate")
    }
    answer = charge(inner, Decimal(commitment["quantity"]))
    return answer.amount, answer.fits
