"""Random prices and usage of all models and adjustments, from a seed; sizes are spread over all magnitudes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

Price = dict[str, Any]
SMALLEST = Decimal("0.000000000001")
REGIONS = ("eu", "us", 'a "b"')


@dataclass(frozen=True)
class Case:
    """A price and what was used: a quantity, or events, or groups."""

    price: Price
    quantity: Decimal
    events: list[Decimal] | None
    groups: Sequence[tuple[Mapping[str, str], Decimal]]
    buckets: list[Decimal] | None = None


def text(number: Decimal) -> str:
    """A number without exponent."""
    return format(number, "f")


def number(rng: Random, digits_max: int, places_max: int = 12, above_zero: bool = False) -> Decimal:
    """A decimal with up to so many digits before the point, mostly few."""
    places = rng.choice([0, 0, 1, 2, 3, places_max])
    digits = min(rng.randint(0, digits_max), rng.randint(0, digits_max))
    found = Decimal(rng.randint(0, 10 ** (digits + min(places, places_max)))).scaleb(-min(places, places_max))
    return max(found, SMALLEST if places_max else Decimal(1)) if above_zero else found


def money(rng: Random) -> str:
    """A price, rarely so large that it does not fit."""
    return text(number(rng, 19 if rng.random() < 0.03 else 5))


def bounds(rng: Random) -> list[str | None]:
    """Rising bounds, the last without end."""
    found = sorted({number(rng, rng.choice([3, 8, 19]), above_zero=True) for _ in range(rng.randint(0, 4))})
    return [*map(text, found), None]


def tiers(rng: Random, price: str = "unit_price") -> list[Price]:
    """Tiers, some with flat prices and caps."""
    found = []
    for bound in bounds(rng):
        tier: Price = {"up_to": bound, price: money(rng) if price != "rate_percent" else percent(rng)}
        if price != "flat_price" and rng.random() < 0.4:
            tier["flat_price"] = money(rng)
        if price == "unit_price" and rng.random() < 0.2:
            tier["max_amount"] = money(rng)
        found.append(tier)
    return found


def percent(rng: Random) -> str:
    """A percentage."""
    return text(number(rng, 2, 10))


def blocks(rng: Random) -> list[Price]:
    """Tiers of blocks."""
    counts: list[int | None] = [*(rng.randint(1, 10 ** rng.randint(0, 4)) for _ in range(rng.randint(0, 3))), None]
    return [
        {
            "max_blocks": None if count is None else str(count),
            "block_size": text(number(rng, 6, above_zero=True)),
            "block_price": money(rng),
        }
        for count in counts
    ]


def percentage(rng: Random) -> Price:
    """A percentage per event, with any of what it can have."""
    price: Price = {"model": "percentage", "rate_percent": percent(rng)}
    least = number(rng, 2)
    for name, value in {
        "fixed_fee_per_event": money(rng),
        "per_event_min": text(least),
        "per_event_max": text(least + number(rng, 3)),
        "free_events": str(rng.randint(1, 5)),
        "free_amount": text(number(rng, 4, above_zero=True)),
    }.items():
        if rng.random() < 0.4:
            price[name] = value
    return price


def matrix(rng: Random) -> Price:
    """A price by region and size."""
    seen = {(rng.choice(REGIONS), rng.choice("SL")) for _ in range(3)}
    prices = [{"group": {"region": region, "size": size}, "unit_price": money(rng)} for region, size in sorted(seen)]
    default: Any = "hold" if rng.random() < 0.5 else {"unit_price": money(rng)}
    return {"model": "matrix", "group_by": ["size", "region"], "prices": prices, "default": default}


def model(rng: Random) -> Price:
    """A price of any model."""
    makers: list[Callable[[], Price]] = [
        lambda: {"model": "flat", "flat_price": money(rng)},
        lambda: {"model": "per_unit", "unit_price": money(rng)},
        lambda: {"model": "graduated", "tiers": tiers(rng)},
        lambda: {"model": "volume", "tiers": tiers(rng)},
        lambda: {
            "model": "package",
            "package_size": text(number(rng, 6, above_zero=True)),
            "package_price": money(rng),
            "package_rounding": rng.choice(["up", "down"]),
            "minimum_packages": str(rng.choice([0, 1, 7])),
        },
        lambda: percentage(rng),
        lambda: {"model": "graduated_percentage", "tiers": tiers(rng, "rate_percent")},
        lambda: {"model": "dynamic"},
        lambda: matrix(rng),
        lambda: {"model": "block_tiers", "mode": rng.choice(["graduated", "volume"]), "tiers": blocks(rng)},
        lambda: {"model": "stair_step", "tiers": tiers(rng, "flat_price")},
    ]
    return rng.choice(makers)()


def around(rng: Random, price: Price) -> Price:
    """The price with some of what may stand around it."""
    chance = rng.choice([0, 0.15, 0.5])
    modes = ["up", "down", "half_away", "half_even"]
    least = number(rng, 4)
    conversion: Price = {"op": rng.choice(["multiply", "divide"]), "factor": text(number(rng, 10, above_zero=True))}
    if rng.random() < 0.5:
        conversion |= {"rounding": rng.choice(modes), "places": str(rng.choice([0, 2, 12]))}
    commitment: Price = {"overage_factor": text(number(rng, 1)), "true_up": rng.random() < 0.5}
    commitment |= (
        {"amount": money(rng)} if rng.random() < 0.5 or price["model"] in ("percentage", "matrix") else
        {"quantity": text(number(rng, 6, above_zero=True))}
    )  # fmt: skip
    before: Price = {
        "unit_conversion": conversion,
        "round_quantity": {"mode": rng.choice(modes), "places": str(rng.choice([0, 3]))},
        "free_units": text(number(rng, 4)),
        "included_units": text(number(rng, 4)),
    }
    after: Price = {
        "discount_percent": text(min(number(rng, 2, 10), Decimal(100))),
        "minimum_amount": text(least),
        "maximum_amount": text(least + number(rng, 6)),
        "commitment": commitment,
        "conversion_rate": text(number(rng, 2, above_zero=True)),
    }
    one_quantity = price["model"] not in ("percentage", "matrix")
    found = price | {
        name: value for name, value in ((before if one_quantity else {}) | after).items() if rng.random() < chance
    }
    if "included_units" in found:
        found["overage_unit_price"] = money(rng)
    if "conversion_rate" in found:
        found["pricing_unit"] = "credits"
    if price["model"] in ("flat", "graduated", "volume", "graduated_percentage", "stair_step") and rng.random() < 0.5:
        found["zero_usage"] = rng.choice(["first_tier_flat", "no_charge"])
    if one_quantity and rng.random() < 0.25:
        found["bucket"] = rng.choice(["hour", "day"])
        if "quantity" in found.get("commitment", {}) or ("commitment" in found and rng.random() < 0.5):
            found["commitment"]["per"] = "bucket"
    return found


def quantity_for(rng: Random, price: Price) -> Decimal:
    """A quantity anywhere, or at, just below and just above one of the price's bounds."""
    ends = [Decimal(tier["up_to"]) for tier in price.get("tiers", []) if tier.get("up_to")]
    kind = rng.random()
    if kind < 0.08:
        return Decimal(0)
    if ends and kind < 0.5:
        return rng.choice(ends) + rng.choice([-SMALLEST, Decimal(0), SMALLEST])
    found = number(rng, rng.choice([4, 10, 25]))
    return -found if kind > 0.9 else found


def random_case(rng: Random) -> Case:
    """A price with what was used."""
    price = around(rng, model(rng))
    events: list[Decimal] | None = None
    groups: list[tuple[Mapping[str, str], Decimal]] = []
    quantity = quantity_for(rng, price)
    if price["model"] == "percentage":
        events = [number(rng, 4) * rng.choice([1, 1, 1, -1]) for _ in range(rng.randint(0, 8))]
        quantity = sum(events, Decimal(0))
    if price["model"] == "matrix":
        drawn = {(rng.choice(REGIONS), rng.choice("SL")) for _ in range(rng.randint(0, 4))}
        groups = [({"region": region, "size": size}, number(rng, 6)) for region, size in sorted(drawn)]
        quantity = sum((used for _, used in groups), Decimal(0))
    if "bucket" in price:
        buckets = [quantity_for(rng, price) for _ in range(rng.randint(1, 6))]
        return Case(price, sum(buckets, Decimal(0)), events, groups, buckets + [Decimal(0)] * rng.choice([0, 3]))
    return Case(price, quantity, events, groups)
