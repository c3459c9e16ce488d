"""Each model by its definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from typing import Any

from tests.rating.oracle.written import Unpriced, Written

Price = Mapping[str, Any]
ZERO = Decimal(0)


def dec(mapping: Mapping[str, Any], name: str, default: str = "0") -> Decimal:
    """A number that may be left out."""
    found = mapping.get(name)
    return Decimal(default if found is None else str(found))


def flat(price: Price, quantity: Decimal, written: Written) -> Decimal:
    """The flat price, used or not, unless unused is free."""
    if quantity == 0 and price.get("zero_usage") == "no_charge":
        return ZERO
    return written.amount(dec(price, "flat_price"))


def per_unit(price: Price, quantity: Decimal, written: Written) -> Decimal:
    """Units times price."""
    return written.amount(quantity * dec(price, "unit_price"))


def dynamic(_price: Price, quantity: Decimal, written: Written) -> Decimal:
    """The quantity is the amount."""
    return written.amount(quantity)


def of_tier(tier: Price, units: Decimal, flat_is_due: bool, written: Written) -> Decimal:
    """Units of a tier at its price or percentage, with its flat price, under its cap."""
    unit_price = dec(tier, "rate_percent") / 100 if "rate_percent" in tier else dec(tier, "unit_price")
    charged = written.amount(units * unit_price)
    fee = written.amount(dec(tier, "flat_price")) if flat_is_due else ZERO
    total = written.amount(charged + fee)
    cap = tier.get("max_amount")
    return total if cap is None else min(total, Decimal(cap))


def graduated(price: Price, quantity: Decimal, written: Written) -> Decimal:
    """Fill the tiers from the bottom; a tier's flat price is due once a unit lies in it."""
    tiers = price["tiers"]
    if quantity <= 0:
        return of_tier(tiers[0], quantity, quantity == 0 and at_zero(price), written)
    left, below, total = quantity, ZERO, ZERO
    for tier in tiers:
        if left == 0:
            break
        room = left if tier["up_to"] is None else Decimal(tier["up_to"]) - below
        inside = min(left, room)
        total = total + of_tier(tier, inside, True, written)
        left -= inside
        below += room
    return written.amount(total)


def volume(price: Price, quantity: Decimal, written: Written) -> Decimal:
    """All units at the first tier that holds them."""
    tiers = price["tiers"]
    if quantity <= 0:
        return of_tier(tiers[0], quantity, quantity == 0 and at_zero(price), written)
    tier = next(tier for tier in tiers if tier["up_to"] is None or quantity <= Decimal(tier["up_to"]))
    return of_tier(tier, quantity, True, written)


def at_zero(price: Price) -> bool:
    """Whether the first flat price is due for nothing."""
    return price.get("zero_usage") == "first_tier_flat"


def stair_step(price: Price, quantity: Decimal, written: Written) -> Decimal:
    """The flat price of the step that the quantity reaches."""
    if quantity < 0 or (quantity == 0 and not at_zero(price)):
        return ZERO
    steps = price["tiers"]
    step = next(step for step in steps if step["up_to"] is None or quantity <= Decimal(step["up_to"]))
    return written.amount(dec(step, "flat_price"))


def package(price: Price, quantity: Decimal, written: Written) -> Decimal:
    """Whole packages; a correction gives back only those that are whole."""
    exact = quantity / dec(price, "package_size")
    if quantity < 0:
        packages = exact.to_integral_value(ROUND_DOWN)
    else:
        begun = price.get("package_rounding", "up") == "up"
        packages = exact.to_integral_value(ROUND_CEILING if begun else ROUND_FLOOR)
    written.quantity(packages)
    if "minimum_packages" in price:
        packages = max(packages, dec(price, "minimum_packages"))
    return written.amount(packages * dec(price, "package_price"))


def block_tiers(price: Price, quantity: Decimal, written: Written) -> Decimal:
    """Whole blocks, tier by tier or all at the tier reached."""
    tiers = price["tiers"]
    if quantity <= 0:
        blocks = (quantity / dec(tiers[0], "block_size")).to_integral_value(ROUND_DOWN)
        return written.amount(written.quantity(blocks) * dec(tiers[0], "block_price"))
    left, total = quantity, ZERO
    for tier in tiers:
        size, unit = dec(tier, "block_size"), dec(tier, "block_price")
        wanted = (left / size).to_integral_value(ROUND_CEILING)
        most = tier["max_blocks"]
        ends_here = most is None or wanted <= Decimal(most)
        if price["mode"] == "volume":
            if ends_here:
                blocks = (quantity / size).to_integral_value(ROUND_CEILING)
                return written.amount(written.quantity(blocks) * unit)
        else:
            total += written.amount(written.quantity(wanted if ends_here else Decimal(most)) * unit)
            if ends_here:
                break
        left -= Decimal(most) * size
    return written.amount(total)


def percentage(price: Price, events: Sequence[Decimal], written: Written) -> Decimal:
    """Event by event, in order."""
    free_events, free_amount = price.get("free_events"), price.get("free_amount")
    quota_is_open = free_events is not None or free_amount is not None
    seen, used, total = 0, ZERO, ZERO
    rate, fixed = dec(price, "rate_percent") / 100, dec(price, "fixed_fee_per_event")
    for amount in events:
        if amount < 0:
            total += written.amount(amount * rate)
            continue
        quota_is_open = quota_is_open and (free_events is None or seen < int(free_events))
        quota_is_open = quota_is_open and (free_amount is None or used < Decimal(free_amount))
        free = ZERO
        if quota_is_open:
            free = amount if free_amount is None else min(amount, Decimal(free_amount) - used)
        seen, used = seen + 1, used + amount
        if quota_is_open and free == amount:
            continue
        fee = written.amount(written.amount((amount - free) * rate) + fixed)
        fee = max(fee, dec(price, "per_event_min")) if "per_event_min" in price else fee
        total += min(fee, dec(price, "per_event_max")) if "per_event_max" in price else fee
    return written.amount(total)


def matrix(price: Price, groups: Sequence[tuple[Mapping[str, str], Decimal]], written: Written) -> Decimal:
    """Each group at its own price, or at the default."""
    total = ZERO
    for values, quantity in groups:
        found = next((entry for entry in price["prices"] if entry["group"] == values), None)
        if found is None and price["default"] == "hold":
            if quantity != 0:
                raise Unpriced(str(values))
            continue
        total += written.amount(quantity * dec(found or price["default"], "unit_price"))
    return written.amount(total)


MODELS: dict[str, Callable[..., Decimal]] = {
    "flat": flat,
    "per_unit": per_unit,
    "graduated": graduated,
    "graduated_percentage": graduated,
    "volume": volume,
    "package": package,
    "percentage": percentage,
    "dynamic": dynamic,
    "matrix": matrix,
    "block_tiers": block_tiers,
    "stair_step": stair_step,
}
