"""A meter says what happened: which events count, and what of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from core.ids import MerchantId, MeterId

Aggregation = Literal["count", "sum", "min", "max", "latest", "unique"]
FilterOp = Literal["eq", "ne", "in", "not_in", "exists"]

AGGREGATIONS: tuple[Aggregation, ...] = get_args(Aggregation)
FILTER_OPS: tuple[FilterOp, ...] = get_args(FilterOp)


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on one property's text. ``eq`` and ``ne`` have one value, ``exists`` none."""

    property: str
    op: FilterOp
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Meter:
    """An event counts when its type is ``event_type`` and every filter holds; ``count`` alone needs no value."""

    meter_id: MeterId
    merchant_id: MerchantId
    code: str
    event_type: str
    aggregation: Aggregation
    value_property: str | None
    group_by: tuple[str, ...]
    filters: tuple[Filter, ...]


def as_filters(stored: Iterable[Mapping[str, Any]]) -> tuple[Filter, ...]:
    """Filters as they lie in a table's JSON."""
    return tuple(Filter(entry["property"], entry["op"], tuple(entry["values"])) for entry in stored)
