"""Quantities and unit prices: exact decimals of scale 12, read from text, never from floats."""

from __future__ import annotations

import re
from decimal import Context, Decimal, localcontext
from typing import Final

from core.errors import BadEvent
from core.limits import QUANTITY_DIGITS_MAX, QUANTITY_SCALE

PLAIN_NUMBER = re.compile(r"-?\d{1,38}(\.\d{1,38})?([eE][+-]?\d{1,3})?", re.ASCII)

# Wide enough for any product of two Decimal(38, 12), so that no step of our own rounds by itself.
EXACT = Context(prec=100)

# A quantity as a whole number: how many 10^-12 are one.
ONE: Final[int] = 10**QUANTITY_SCALE


def parse_quantity(text: str) -> Decimal:
    """Read a quantity or unit price exactly as its text says, as a plain decimal of at most 12 places.

    Raises ``BadEvent`` with ``value_not_numeric`` (NaN, infinity and words included), ``value_too_precise``
    or ``value_too_large`` (more than 19 digits before the point).
    """
    if not PLAIN_NUMBER.fullmatch(text):
        raise BadEvent("value_not_numeric", f"{text[:40]!r} is not a decimal number")
    with localcontext(EXACT):
        number = Decimal(text)
        if number == 0:
            return Decimal(0)
        if number.adjusted() >= QUANTITY_DIGITS_MAX:
            raise BadEvent(
                "value_too_large", f"{text[:40]} has more than {QUANTITY_DIGITS_MAX} digits before the point"
            )
        exponent = number.normalize().as_tuple().exponent
        assert isinstance(exponent, int)
        if -exponent > QUANTITY_SCALE:
            raise BadEvent("value_too_precise", f"{text[:40]} has more than {QUANTITY_SCALE} decimal places")
        return number


def plain_text(number: Decimal) -> str:
    """Write a decimal without exponent or trailing zeros, such as ``45.149935``."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def units_of(number: Decimal) -> int:
    """A quantity as a whole number of 10^-12."""
    return int(number.scaleb(QUANTITY_SCALE, EXACT))


def quotient(units: int, by: int) -> int:
    """A whole number by another that is not 0, halves away from zero: as ``core.money`` rounds, and averages do."""
    whole, rest = divmod(abs(units), abs(by))
    whole += 2 * rest >= abs(by)
    return whole if (units < 0) == (by < 0) else -whole
