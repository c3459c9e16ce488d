"""What stands around a price, by its definition: steps on the quantity before it, and on the amount after it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal
from typing import Any

from tests.rating.oracle.written import PLACE_24, Written

ROUNDING = {"up": ROUND_UP, "down": ROUND_DOWN, "half_away": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN}


def rounded(number: Decimal, mode: str, places: object) -> Decimal:
    """Rounded once, from the exact number."""
    return number.quantize(Decimal(1).scaleb(-int(str(places))), rounding=ROUNDING[mode])


def before_price(price: Mapping[str, Any], quantity: Decimal, written: Written) -> tuple[Decimal, Decimal]:
    """The units that the model prices, and those above the included ones."""
    conversion = price.get("unit_conversion")
    if conversion:
        factor = Decimal(conversion["factor"])
        quantity = quantity * factor if conversion["op"] == "multiply" else quantity / factor
        if conversion.get("rounding", "none") == "none":
            quantity = quantity.quantize(PLACE_24, rounding=ROUND_HALF_UP)
        else:
            quantity = rounded(quantity, conversion["rounding"], conversion.get("places", 0))
        written.quantity(quantity)
    rounding = price.get("round_quantity")
    if rounding:
        quantity = written.quantity(rounded(quantity, rounding["mode"], rounding.get("places", 0)))
    if quantity > 0:
        quantity = max(Decimal(0), quantity - Decimal(price.get("free_units", "0")))
    included = price.get("included_units")
    if included is None or quantity <= Decimal(included):
        return quantity, Decimal(0)
    return Decimal(included), quantity - Decimal(included)


def after_price(
    price: Mapping[str, Any],
    amount: Decimal,
    over: Decimal,
    written: Written,
    committed: tuple[Decimal, bool] | None,
) -> Decimal:
    """The amount after overage, discount, maximum, minimum, commitment and conversion, in this order."""
    if "included_units" in price:
        amount = written.amount(amount + written.amount(over * Decimal(price["overage_unit_price"])))
    if "discount_percent" in price:
        amount = written.amount(amount * (100 - Decimal(price["discount_percent"])) / 100)
    if "maximum_amount" in price:
        amount = min(amount, Decimal(price["maximum_amount"]))
    if "minimum_amount" in price:
        amount = max(amount, Decimal(price["minimum_amount"]))
    written.amount(amount)
    if committed is not None:
        commitment, fits = committed
        written.fits = written.fits and fits
        factor = Decimal(price["commitment"].get("overage_factor", "1"))
        if amount > commitment:
            amount = written.amount(commitment + written.amount((amount - commitment) * factor))
        elif price["commitment"].get("true_up"):
            amount = commitment
    if "conversion_rate" in price:
        amount = written.amount(amount * Decimal(price["conversion_rate"]))
    return amount
