"""What expressions make of events: whole columns at a time, in whole numbers of 10^-12, by the steps of a tree.

``clickhouse.expression`` says the same in SQL. Numbers are Python's own, which no product outgrows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from core.compiled import compiled
from core.expression import Expression, Node, Number, Operation, Property, Step
from core.limits import DECIMAL_PRECISION, QUANTITY_DIGITS_MAX, QUANTITY_SCALE
from core.quantity import ONE, quotient
from streams.arrow import series_of
from streams.judge_texts import read_all
from streams.numbers import parse_odd
from streams.pair_up import Properties, find_property
from streams.plain_number import words_of
from streams.texts import U64, Places, Texts, column_of_texts

STEP_END: Final = 10**DECIMAL_PRECISION
VALUE_END: Final = 10 ** (QUANTITY_DIGITS_MAX + QUANTITY_SCALE)
WORD_BITS: Final = 64
WORD: Final = (1 << WORD_BITS) - 1

Units = list[int]


@dataclass(frozen=True, slots=True)
class Formula:
    """An expression, and the catalog's numbers of the properties that it names."""

    expression: Expression
    numbers: tuple[int, ...]


def work_out(formula: Formula, properties: Properties, rows: Places) -> tuple[U64, dict[int, str]]:
    """The words of the value of each of some events, and for those without one (by place among ``rows``) the reason.

    The reason is that of the first property, in the order of the text, that says no quantity, or ``value_too_large``,
    or ``value_divided_by_zero``.
    """
    columns: dict[str, Units] = {}
    reasons: dict[int, str] = {}
    for name, number in zip(formula.expression.properties, formula.numbers, strict=True):
        columns[name], faults = read_quantities(properties.texts, find_properties(properties, rows, number))
        reasons = faults | reasons
    values, faults = evaluate(formula.expression, columns)
    return as_words(values), faults | reasons


def evaluate(expression: Expression, columns: Mapping[str, Units]) -> tuple[Units, dict[int, str]]:
    """The value for each row of the columns of its properties; 0 where a reason says that there is none."""
    faults: dict[int, str] = {}
    values = evaluate_node(expression.root, columns, faults)
    return bounded(values, VALUE_END, faults), faults


def evaluate_node(node: Node, columns: Mapping[str, Units], faults: dict[int, str]) -> Units:
    """A column; rows that come to nothing are noted, and go on as 0."""
    if isinstance(node, Property):
        return columns[node.name]
    if isinstance(node, Number):
        return [node.units] * len(next(iter(columns.values())))
    arguments = [evaluate_node(argument, columns, faults) for argument in node.arguments]
    if node.operation == "divide":
        arguments[1] = divisors(arguments[1], faults)
    return bounded(STEPS[node.operation](node, *arguments), STEP_END, faults)


def divisors(values: Units, faults: dict[int, str]) -> Units:
    """The values, with 1 in place of a 0, which is noted."""
    if 0 not in values:
        return values
    for row, units in enumerate(values):
        if units == 0:
            faults.setdefault(row, "value_divided_by_zero")
    return [units or ONE for units in values]


def bounded(values: Units, end: int, faults: dict[int, str]) -> Units:
    """The values, with 0 in place of those too far from zero, which are noted."""
    if not values or -end < min(values) <= max(values) < end:
        return values
    for row, units in enumerate(values):
        if not -end < units < end:
            faults.setdefault(row, "value_too_large")
    return [units if -end < units < end else 0 for units in values]


def multiply(_step: Step, left: Units, right: Units) -> Units:
    """Products, rounded."""
    return [quotient(one * other, ONE) for one, other in zip(left, right, strict=True)]


def divide(_step: Step, left: Units, right: Units) -> Units:
    """Quotients, rounded."""
    return [quotient(one * ONE, other) for one, other in zip(left, right, strict=True)]


def to_places(step: Step, values: Units) -> Units:
    """Halves away from zero, or the next number below, or above."""
    unit = 10 ** (QUANTITY_SCALE - step.places)
    if step.operation == "round":
        return [quotient(units, unit) * unit for units in values]
    return [units // unit * unit if step.operation == "floor" else -(-units // unit) * unit for units in values]


STEPS: Final[Mapping[Operation, Callable[..., Units]]] = {
    "negate": lambda _step, values: [-units for units in values],
    "abs": lambda _step, values: [abs(units) for units in values],
    "add": lambda _step, left, right: [one + other for one, other in zip(left, right, strict=True)],
    "subtract": lambda _step, left, right: [one - other for one, other in zip(left, right, strict=True)],
    "multiply": multiply,
    "divide": divide,
    "min": lambda _step, left, right: list(map(min, left, right)),
    "max": lambda _step, left, right: list(map(max, left, right)),
    **dict.fromkeys(("round", "floor", "ceil"), to_places),
}


def read_quantities(texts: Texts, places: Places) -> tuple[Units, dict[int, str]]:
    """The numbers of the texts at some places, 0 for those that say none, and why these do not; -1 is no text."""
    there = places >= 0
    words, plain = read_all(texts, places[there])
    found = np.zeros((len(places), 2), np.uint64)
    found[there] = words
    reasons = dict.fromkeys(np.flatnonzero(~there).tolist(), "value_missing")
    odd = np.flatnonzero(there)[~plain]
    if len(odd):
        values, faults = parse_odd(series_of(column_of_texts(texts).take(pa.array(places[odd]))))
        found[odd] = words_of(values)
        reasons |= {row: reason for row, reason in zip(odd.tolist(), faults, strict=True) if reason}
    return as_units(found), reasons


def as_units(words: U64) -> Units:
    """Two's complement numbers of two words as Python's."""
    highs = words.view(np.int64)[:, 1].tolist()
    return [high << WORD_BITS | low for low, high in zip(words[:, 0].tolist(), highs, strict=True)]


def as_words(values: Units) -> U64:
    """The same the other way."""
    words = np.empty((len(values), 2), np.uint64)
    words[:, 0] = [units & WORD for units in values]
    words[:, 1] = [units >> WORD_BITS & WORD for units in values]
    return words


@compiled
def find_properties(properties: Properties, rows: Places, number: int) -> Places:
    """Where a property of some events stands, -1 for those that have none."""
    found = np.empty(len(rows), np.int64)
    for place in range(len(rows)):
        found[place] = find_property(properties, rows[place], number)
    return found
