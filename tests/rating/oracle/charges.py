"""What a price charges, written from the definitions alone, one unit of thought at a time, in Python decimals.

Slow and plain on purpose: it shares no code and no idea with the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext

DIGITS = 200
# An amount keeps 24 places of 38 digits, so 14 digits are left before the point.
AMOUNT_LIMIT = Decimal(10) ** 14


@dataclass(frozen=True)
class Answer:
    """The exact amount, and what each tier entered contributed to it."""

    amount: Decimal
    parts: tuple[Decimal, ...]

    @property
    def fits(self) -> bool:
        """Whether the amount and everything it is made of can be written with 14 digits before the point."""
        return all(abs(number) < AMOUNT_LIMIT for number in (self.amount, *self.parts))


def charge(price: Mapping[str, object], quantity: Decimal) -> Answer:
    """The exact charge of ``quantity`` at ``price``."""
    with localcontext() as context:
        context.prec = DIGITS
        if price["model"] == "per_unit":
            amount = quantity * Decimal(str(price["unit_price"]))
            return Answer(amount, ())
        assert price["model"] == "graduated"
        tiers = price["tiers"]
        assert isinstance(tiers, list)
        return graduated(tiers, quantity)


def graduated(tiers: list[Mapping[str, object]], quantity: Decimal) -> Answer:
    """Fill the tiers from the bottom; a tier's flat price is due once a unit lies in it."""
    if quantity < 0:
        return Answer(quantity * Decimal(str(tiers[0]["unit_price"])), ())
    left = quantity
    below = Decimal(0)
    parts = []
    for tier in tiers:
        if left == 0:
            break
        room = left if tier["up_to"] is None else Decimal(str(tier["up_to"])) - below
        inside = min(left, room)
        units_cost, flat = inside * Decimal(str(tier["unit_price"])), Decimal(str(tier.get("flat_price", "0")))
        parts += [units_cost, flat, units_cost + flat]
        left -= inside
        below += room
    return Answer(sum(parts[2::3], Decimal(0)), tuple(parts))
