"""A catalog snapshot laid out for blocks: numbers instead of texts, made once for each catalog version."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import orjson
import polars as pl
import pyarrow as pa

from catalog.meter import Filter, Meter
from catalog.snapshot import Snapshot
from core.expression import read_expression
from streams.judge_texts import Judged
from streams.pair_up import JUDGED, LISTED, THERE, MeterRules
from streams.texts import Names, Places, Texts, names_of, texts_of
from streams.value import Formula

NONE = -1
AGGREGATIONS = ("count", "sum", "min", "max", "latest", "unique", "avg")
COUNT, LATEST, UNIQUE = 0, 4, 5


@dataclass(frozen=True, slots=True)
class Compiled:
    """Meters in the order of (merchant, code) and customers in the order of (merchant, subject), by number.

    ``merchants`` finds a merchant, ``kinds`` (number of the merchant, event type), ``customer_names`` (number of the
    merchant, subject), ``property_numbers`` a property name.
    ``group_properties`` has a row for each place in a group key, NONE where a meter has fewer, and ``group_prefixes``
    what stands before each of them, place by place for each meter. ``formula`` says by which of ``formulas`` a meter's
    value is worked out, NONE where it is not.
    """

    version: int
    meters: pl.DataFrame
    aggregation: Places
    value_property: Places
    formula: Places
    formulas: tuple[Formula, ...]
    rules: MeterRules
    judged: tuple[Judged, ...]
    group_properties: Places
    group_prefixes: Texts
    merchants: Names
    kinds: Names
    kind_types: tuple[str, ...]
    property_numbers: Names
    property_names: tuple[str, ...]
    customers: pl.DataFrame
    customer_names: Names
    meter_texts: dict[str, pa.Array]
    customer_texts: dict[str, pa.Array]


def compile_catalog(snapshot: Snapshot) -> Compiled:
    """Lay a snapshot out."""
    meters = sorted(snapshot.meters, key=lambda meter: (meter.merchant_id, meter.code))
    names = tuple(sorted({name for meter in meters for name in properties_of(meter)}))
    number = {name: place for place, name in enumerate(names)}
    customers = snapshot.customers.sort("merchant_id", "subject")
    owners = sorted({*(meter.merchant_id for meter in meters), *customers["merchant_id"].unique()})
    listed: dict[tuple[str, str], list[int]] = {}
    for place, meter in enumerate(meters):
        listed.setdefault((meter.merchant_id, meter.event_type), []).append(place)
    frame = meter_frame(meters)
    rules, judged = meter_rules(meters, list(listed.values()), number)
    expressions = sorted({meter.expression for meter in meters if meter.expression is not None})
    formulas = [read_expression(text) for text in expressions]
    return Compiled(
        version=snapshot.version,
        meters=frame,
        aggregation=places(AGGREGATIONS.index(meter.aggregation) for meter in meters),
        value_property=places(
            NONE if meter.value_property is None else number[meter.value_property] for meter in meters
        ),
        formula=places(NONE if m.expression is None else bisect_left(expressions, m.expression) for m in meters),
        formulas=tuple(Formula(one, tuple(number[name] for name in one.properties)) for one in formulas),
        rules=rules,
        judged=judged,
        group_properties=group_properties(meters, number),
        group_prefixes=texts_of(pa.array(group_prefixes(meters), pa.string())),
        merchants=names_of(np.zeros(len(owners), np.int64), pa.array(owners, pa.string())),
        kinds=names_of(
            places(bisect_left(owners, owner) for owner, _ in listed),
            pa.array([kind for _, kind in listed], pa.string()),
        ),
        kind_types=tuple(kind for _, kind in listed),
        property_numbers=names_of(np.zeros(len(names), np.int64), pa.array(names, pa.string())),
        property_names=names,
        customers=customers,
        customer_names=names_of(
            # With nothing to replace Polars keeps the type of the texts.
            customers["merchant_id"].replace_strict(owners, range(len(owners))).cast(pl.Int64).to_numpy(),
            arrow_texts(customers, ("subject",))["subject"],
        ),
        meter_texts=arrow_texts(frame, frame.columns),
        customer_texts=arrow_texts(customers, customers.columns),
    )


def properties_of(meter: Meter) -> list[str]:
    """Every property that a meter looks at."""
    value = [] if meter.value_property is None else [meter.value_property]
    if meter.expression is not None:
        value = list(read_expression(meter.expression).properties)
    return [*value, *meter.group_by, *(condition.property for condition in meter.filters)]


def meter_frame(meters: list[Meter]) -> pl.DataFrame:
    """What windows say about their meter."""
    return pl.DataFrame(
        [(m.merchant_id, m.meter_id, m.code, m.aggregation) for m in meters],
        schema={"merchant_id": pl.String, "meter_id": pl.String, "meter": pl.String, "aggregation": pl.String},
        orient="row",
    )


def arrow_texts(frame: pl.DataFrame, columns: Iterable[str]) -> dict[str, pa.Array]:
    """Columns of texts for Arrow to take from; the last text is empty, and stands for number -1."""
    return {name: frame[name].extend_constant("", 1).to_arrow().cast(pa.string()) for name in columns}


def meter_rules(
    meters: list[Meter], kinds: list[list[int]], number: dict[str, int]
) -> tuple[MeterRules, tuple[Judged, ...]]:
    """What the loops over events look up, and the filters whose texts are judged before them."""
    ends = np.cumsum([0, *(len(meter.filters) for meter in meters)]).tolist()
    members = [
        (
            meter,
            # The loops look for no value where an expression is worked out after them, no more than for a count.
            COUNT if meters[meter].expression is not None else AGGREGATIONS.index(meters[meter].aggregation),
            NONE if (value := meters[meter].value_property) is None else number[value],
            ends[meter],
            ends[meter + 1],
        )
        for kind in kinds
        for meter in kind
    ]
    conditions = [condition for meter in meters for condition in meter.filters]
    judged = tuple(
        dict.fromkeys(
            Judged(number[one.property], one.op, one.values) for one in conditions if filter_kind(one) == JUDGED
        )
    )
    verdicts = {one: place for place, one in enumerate(judged)}
    filters = [
        (
            number[one.property],
            filter_kind(one),
            (one.op in {"ne", "not_in"}) != one.negated,
            one.alternative,
            verdicts.get(Judged(number[one.property], one.op, one.values), NONE),
        )
        for one in conditions
    ]
    values = [
        (at, value)
        for at, condition in enumerate(conditions)
        if filter_kind(condition) == LISTED
        for value in dict.fromkeys(condition.values)
    ]
    rules = MeterRules(
        kind_bounds=np.cumsum([0, *map(len, kinds)]).astype(np.int32),
        members=np.array(members, np.int32).reshape(-1, 5),
        filters=np.array(filters, np.int32).reshape(-1, 5),
        values=names_of(places(at for at, _ in values), pa.array([value for _, value in values], pa.string())),
    )
    return rules, judged


def filter_kind(condition: Filter) -> int:
    """How the loops find out whether a condition holds."""
    if condition.op in {"eq", "ne", "in", "not_in"}:
        return LISTED
    return THERE if condition.op == "exists" else JUDGED


def group_properties(meters: list[Meter], number: dict[str, int]) -> Places:
    """One row a place in a group key, one column a meter."""
    width = max((len(meter.group_by) for meter in meters), default=0)
    rows = [[number[m.group_by[at]] if at < len(m.group_by) else NONE for m in meters] for at in range(width)]
    return np.array(rows, dtype=np.int64).reshape(width, len(meters))


def group_prefixes(meters: list[Meter]) -> list[str]:
    """What stands before the values of a meter's group key, such as ``{"model":`` or ``,"region":``."""
    width = max((len(meter.group_by) for meter in meters), default=0)
    return [
        ("," if at else "{") + orjson.dumps(m.group_by[at]).decode() + ":" if at < len(m.group_by) else ""
        for at in range(width)
        for m in meters
    ]


def places(numbers: Iterable[int]) -> Places:
    """Whole numbers as an array."""
    return np.array(list(numbers), dtype=np.int64)
