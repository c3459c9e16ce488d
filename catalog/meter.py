"""A meter says what happened: which events count, and what of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from core.ids import MerchantId, MeterId

Aggregation = Literal["count", "sum", "min", "max", "latest", "unique", "avg"]
FilterOp = Literal["eq", "ne", "in", "not_in", "exists", "contains", "prefix", "lt", "lte", "gt", "gte"]

AGGREGATIONS: tuple[Aggregation, ...] = get_args(Aggregation)
FILTER_OPS: tuple[FilterOp, ...] = get_args(FilterOp)
# Conditions on the number that a property says.
COMPARISONS: tuple[FilterOp, ...] = ("lt", "lte", "gt", "gte")


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on one property's text. ``eq``, ``ne`` and comparisons have one value, ``exists`` none.

    It holds for no missing property, nor a comparison for a text that is no exact quantity; ``ne``, ``not_in`` and
    whatever is ``negated`` hold for these. An ``alternative`` need not hold where the condition before it does.
    """

    property: str
    op: FilterOp
    values: tuple[str, ...] = ()
    negated: bool = False
    alternative: bool = False


@dataclass(frozen=True, slots=True)
class Meter:
    """An event counts when its type is ``event_type`` and every filter, or an alternative to it, holds.

    ``count`` alone needs no value. Others take that of a property or, in its place, what an expression makes of some.
    """

    meter_id: MeterId
    merchant_id: MerchantId
    code: str
    event_type: str
    aggregation: Aggregation
    value_property: str | None
    group_by: tuple[str, ...]
    filters: tuple[Filter, ...]
    expression: str | None = None


def as_filters(stored: Iterable[Mapping[str, Any]]) -> tuple[Filter, ...]:
    """Filters as they lie in a table's JSON."""
    return tuple(
        Filter(
            entry["property"],
            entry["op"],
            tuple(entry["values"]),
            entry.get("negated", False),
            entry.get("alternative", False),
        )
        for entry in stored
    )


def filters_json(filters: Iterable[Filter]) -> list[dict[str, Any]]:
    """The same the other way; what is not said is false."""
    return [
        {"property": one.property, "op": one.op, "values": list(one.values)}
        | {name: True for name in ("negated", "alternative") if getattr(one, name)}
        for one in filters
    ]
