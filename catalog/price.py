"""What a price says, checked and in one spelling. What it costs is rating's business."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import orjson

from catalog.fields import Faults, Fields
from core.quantity import plain_text

# JSON that is stored, compared and handed to rating: numbers are texts in it.
Definition = dict[str, object]

TIERS_MAX = 200


def parse_price(raw: Mapping[str, object], path: str, faults: Faults) -> Definition | None:
    """The price in its one spelling, such as ``{"model": "per_unit", "unit_price": "0.0000025"}``.

    Numbers come as texts or integers. Every fault, unknown fields among them, goes to ``faults`` under its path
    below ``path``; the result is ``None`` when the model is unknown, and worthless when there are faults.
    """
    fields = Fields(raw, path, faults)
    definition = read_price(fields)
    if definition is not None:
        fields.end()
    return definition


def read_price(fields: Fields) -> Definition | None:
    """``parse_price`` on fields among which there may be others, which the caller has asked for."""
    model = fields.one_of("model", tuple(MODELS))
    if model is None:
        # Which fields belong here depends on the model, so none of them can be called unknown.
        fields.asked.update(fields.value)
        return None
    return {"model": model} | MODELS[model](fields)


def per_unit(fields: Fields) -> Definition:
    """Each unit costs the same."""
    return {"unit_price": number(fields, "unit_price")}


def graduated(fields: Fields) -> Definition:
    """Each unit costs what the tier that it falls into says; tiers are bounded by cumulative, inclusive ``up_to``."""
    tiers = list(fields.each("tiers", tier, TIERS_MAX))
    if fields.take("tiers") in (None, []):
        fields.fault("tiers", "field_missing", "at least one tier is required")
    check_bounds(fields, [entry["up_to"] for entry in tiers])
    return {"tiers": tiers}


def tier(fields: Fields) -> dict[str, str | None]:
    """One tier; ``up_to`` null or absent means without end, and a tier without ``flat_price`` has none."""
    up_to = fields.take("up_to")
    return {
        "up_to": None if up_to is None else number(fields, "up_to"),
        "unit_price": number(fields, "unit_price"),
        "flat_price": number(fields, "flat_price") if fields.take("flat_price") is not None else "0",
    }


def check_bounds(fields: Fields, bounds: list[str | None]) -> None:
    """Bounds must rise from above zero, and only the last tier is without end, so that every quantity has its tier."""
    reached = Decimal(0)
    for index, bound in enumerate(bounds):
        at = f"tiers[{index}].up_to"
        last = index == len(bounds) - 1
        if bound is None and not last:
            fields.fault(at, "tier_endless", "only the last tier may be without end")
        elif bound is not None and bound != "" and last:
            fields.fault(at, "tier_bounded", "the last tier must be without end: up_to: null")
        elif bound and Decimal(bound) <= reached:
            fields.fault(at, "tier_not_rising", f"must be above {plain_text(reached)}, where the tier before ends")
        reached = max(reached, Decimal(bound)) if bound else reached


def number(fields: Fields, name: str) -> str:
    """A number in its one spelling; empty after a fault."""
    found = fields.decimal(name)
    return "" if found is None else plain_text(found)


def price_text(definition: Definition) -> str:
    """The one text of a definition, by which two can be compared."""
    return orjson.dumps(definition, option=orjson.OPT_SORT_KEYS).decode()


# A new model is a function here and its arithmetic in rating.
MODELS: dict[str, Callable[[Fields], Definition]] = {"per_unit": per_unit, "graduated": graduated}
