"""Keeps an eye on every number that is written down on the way to an amount."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext

# An amount keeps 24 places of 38 digits, so 14 digits are left before the point; a quantity keeps 12, so 26 are.
AMOUNT_LIMIT = Decimal(10) ** 14
QUANTITY_LIMIT = Decimal(10) ** 26
PLACE_24 = Decimal(10) ** -24


class Unpriced(Exception):
    """Usage of a group that has no price."""

    def __init__(self, group: str) -> None:
        super().__init__(group)
        self.group = group


@dataclass
class Written:
    """Whether everything that was written down so far fits."""

    fits: bool = True

    def amount(self, number: Decimal) -> Decimal:
        """An amount: what it has below the 24th place is rounded, halves away from zero."""
        rounded = number.quantize(PLACE_24, rounding=ROUND_HALF_UP)
        self.fits = self.fits and abs(rounded) < AMOUNT_LIMIT
        return rounded

    def quantity(self, number: Decimal) -> Decimal:
        """A quantity, in the places that it has."""
        self.fits = self.fits and abs(number) < QUANTITY_LIMIT
        return number


def exact_sum(numbers: Iterable[Decimal]) -> Decimal:
    """The sum, of which nothing is rounded."""
    with localcontext() as context:
        context.prec = 100
        return sum(numbers, Decimal(0))
