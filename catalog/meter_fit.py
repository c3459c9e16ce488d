"""Whether prices go with the meters that they are for: what a price asks of usage, its meter must say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from catalog.declaration import Declaration, MeterDeclaration, PriceDeclaration
from catalog.diff import Books
from catalog.plans import price_code
from core.errors import Problem

# Fields of a price that are charged for each event, for which the meter must add events up.
PER_EVENT: Final = ("fixed_fee_per_event", "per_event_min", "per_event_max", "free_events", "free_amount")
ADDED_UP: Final = ("sum", "count")


def unfit(declaration: Declaration, books: Books) -> Iterator[Problem]:
    """Declared prices that do not go with their meters, and declared meters with which prices would go no more."""
    meters = {code: known.value for code, known in books.meters.items()}
    meters |= {meter.code: meter for meter in declaration.meters}
    declared: set[str] = set()
    for index, plan in enumerate(declaration.plans):
        for place, price in enumerate(plan.prices):
            declared.add(price_code(plan.code, price))
            if price.meter in meters:
                at = f"plans[{index}].prices[{place}]"
                yield from misfits(orjson.loads(price.definition), meters[price.meter], at)
    held = {code: known.value.price for code, known in books.prices.items() if code not in declared}
    yield from outgrown(declaration, held)


def outgrown(declaration: Declaration, held: Mapping[str, PriceDeclaration]) -> Iterator[Problem]:
    """Declared meters with which prices of the books, by code, would go no more."""
    places = {meter.code: index for index, meter in enumerate(declaration.meters)}
    for code, price in held.items():
        if price.meter in places:
            index = places[price.meter]
            definition, meter = orjson.loads(price.definition), declaration.meters[index]
            yield from misfits(definition, meter, f"meters[{index}]", by=f"price {code}: ")


def misfits(definition: Mapping[str, Any], meter: MeterDeclaration, at: str, by: str = "") -> Iterator[Problem]:
    """What is wrong between a price, in each of its currencies, and its meter."""
    bodies = definition.get("currencies")
    said: list[Mapping[str, Any]] = list(bodies.values()) if isinstance(bodies, dict) else [definition]
    keys = {key for body in said for key in body.get("group_by", ()) if key not in meter.group_by}
    if keys:
        say = f"{by}meter {meter.code} does not group by {', '.join(sorted(keys))}: add it to the meter's group_by"
        yield Problem("group_not_counted", say, f"{at}.group_by")
    if meter.billed is not None and (definition.get("model") == "matrix" or any(map(by_part, said))):
        say = f"{by}meter {meter.code} is billed by {meter.billed}, of the whole period: not by event, group or bucket"
        yield Problem("price_not_with_meter", say, f"{at}.model")
    fields = sorted({name for body in said for name in PER_EVENT if name in body})
    if fields and meter.aggregation not in ADDED_UP:
        say = f"{by}meter {meter.code} is a {meter.aggregation}, and its events do not add up: needs sum or count"
        yield Problem("price_not_with_meter", say, f"{at}.{fields[0]}")


def by_part(body: Mapping[str, Any]) -> bool:
    """Whether a price charges by events or buckets of time rather than by the quantity of the whole period."""
    return "bucket" in body or any(name in body for name in PER_EVENT)
