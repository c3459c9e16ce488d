"""A catalog snapshot laid out for blocks: numbers instead of texts, made once for each catalog version."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from catalog.meter import Filter, Meter
from catalog.snapshot import Snapshot
from streams.pair_index import PairIndex, index_pairs

Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NONE = -1
AGGREGATIONS = ("count", "sum", "min", "max", "latest", "unique")
COUNT, LATEST, UNIQUE = 0, 4, 5


@dataclass(frozen=True, slots=True)
class Filters:
    """All filters of all meters, one row each, in the order of their meters.

    A filter asks whether the property is there (``exists``) or whether its text is among the filter's values
    (everything else); ``negated`` turns the answer round. ``values`` finds (number of the filter as text, value).
    """

    meter: Places
    property: Places
    exists: Flags
    negated: Flags
    values: PairIndex


@dataclass(frozen=True, slots=True)
class Compiled:
    """Meters in the order of (merchant, code) and customers in the order of (merchant, subject), by number.

    ``kinds`` finds (merchant, event type); the meters of kind k are ``kind_meters[kind_first[k]:][:kind_count[k]]``.
    ``group_properties`` has a row for each place in a group key, NONE where a meter has fewer.
    """

    version: int
    meters: pl.DataFrame
    aggregation: Places
    value_property: Places
    group_properties: tuple[Places, ...]
    group_prefixes: tuple[pl.Series, ...]
    filters: Filters
    kinds: PairIndex
    kind_first: Places
    kind_count: Places
    kind_meters: Places
    property_names: tuple[str, ...]
    customers: pl.DataFrame
    customer_index: PairIndex


def compile_catalog(snapshot: Snapshot) -> Compiled:
    """Lay a snapshot out."""
    meters = sorted(snapshot.meters, key=lambda meter: (meter.merchant_id, meter.code))
    names = tuple(sorted({name for meter in meters for name in properties_of(meter)}))
    number = {name: place for place, name in enumerate(names)}
    customers = snapshot.customers.sort("merchant_id", "subject")
    kinds, first, count, kind_meters = index_kinds(meters)
    group_width = max((len(meter.group_by) for meter in meters), default=0)
    return Compiled(
        version=snapshot.version,
        meters=meter_frame(meters),
        aggregation=places(AGGREGATIONS.index(meter.aggregation) for meter in meters),
        value_property=places(
            NONE if meter.value_property is None else number[meter.value_property] for meter in meters
        ),
        group_properties=tuple(
            places(number[m.group_by[at]] if at < len(m.group_by) else NONE for m in meters)
            for at in range(group_width)
        ),
        group_prefixes=tuple(group_prefix(meters, at) for at in range(group_width)),
        filters=compile_filters(meters, number),
        kinds=kinds,
        kind_first=first,
        kind_count=count,
        kind_meters=kind_meters,
        property_names=names,
        customers=customers,
        customer_index=index_pairs(customers["merchant_id"], customers["subject"]),
    )


def properties_of(meter: Meter) -> list[str]:
    """Every property that a meter looks at."""
    value = [] if meter.value_property is None else [meter.value_property]
    return [*value, *meter.group_by, *(condition.property for condition in meter.filters)]


def meter_frame(meters: list[Meter]) -> pl.DataFrame:
    """What windows say about their meter."""
    return pl.DataFrame(
        [(m.merchant_id, m.meter_id, m.code, m.aggregation) for m in meters],
        schema={"merchant_id": pl.String, "meter_id": pl.String, "meter": pl.String, "aggregation": pl.String},
        orient="row",
    )


def index_kinds(meters: list[Meter]) -> tuple[PairIndex, Places, Places, Places]:
    """Number the (merchant, event type) pairs, and list the meters of each."""
    listed: dict[tuple[str, str], list[int]] = {}
    for place, meter in enumerate(meters):
        listed.setdefault((meter.merchant_id, meter.event_type), []).append(place)
    pairs = index_pairs(texts(merchant for merchant, _ in listed), texts(kind for _, kind in listed))
    count = places(len(members) for members in listed.values())
    flat = places(member for members in listed.values() for member in members)
    return pairs, np.cumsum(count) - count, count, flat


def group_prefix(meters: list[Meter], at: int) -> pl.Series:
    """What stands before the ``at``-th value of a meter's group key, such as ``{"model":`` or ``,"region":``."""
    return texts(
        ("," if at else "{") + orjson.dumps(m.group_by[at]).decode() + ":" if at < len(m.group_by) else ""
        for m in meters
    )


def compile_filters(meters: list[Meter], number: dict[str, int]) -> Filters:
    """One row a filter."""
    rows: list[tuple[int, Filter]] = [
        (place, condition) for place, meter in enumerate(meters) for condition in meter.filters
    ]
    values = [
        (str(at), value)
        for at, (_, condition) in enumerate(rows)
        if condition.op != "exists"
        for value in dict.fromkeys(condition.values)
    ]
    return Filters(
        meter=places(place for place, _ in rows),
        property=places(number[condition.property] for _, condition in rows),
        exists=np.array([condition.op == "exists" for _, condition in rows], dtype=np.bool_),
        negated=np.array([condition.op in {"ne", "not_in"} for _, condition in rows], dtype=np.bool_),
        values=index_pairs(texts(at for at, _ in values), texts(value for _, value in values)),
    )


def places(numbers: Iterable[int]) -> Places:
    """Whole numbers as an array."""
    return np.array(list(numbers), dtype=np.int64)


def texts(words: Iterable[str]) -> pl.Series:
    """Texts as a series."""
    return pl.Series(list(words), dtype=pl.String)
