"""What a meter counts, in the SQL of ``usage_events``: for whoever works usage out again from the events themselves.

The stream's own rules (``streams/measure.py``), said once more in SQL. Values of stored events are known to be exact
decimals, so that reading them again cannot fail or round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from clickhouse.expression import expression_sql
from core.expression import read_expression
from core.limits import QUANTITY_DIGITS_MAX, QUANTITY_SCALE

# What the value of an event must be for it to count: anything, there, or an exact quantity.
Needs = Literal["nothing", "text", "number"]

COMPARED = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# A number as ``core.quantity`` reads it: the digits before and after the point, and the exponent.
NUMBER = "^-?([0-9]{1,38})(?:[.]([0-9]{1,38}))?(?:[eE]([+-]?[0-9]{1,3}))?$"


class Condition(Protocol):
    """A condition on one property's text, such as ``catalog.meter.Filter``."""

    @property
    def op(self) -> str:
        """One of eq, ne, in, not_in, exists, contains, prefix, lt, lte, gt, gte."""

    @property
    def values(self) -> Sequence[str]:
        """What it is compared with."""

    @property
    def negated(self) -> bool:
        """Whether it must not hold."""

    @property
    def alternative(self) -> bool:
        """Whether it need not hold where the condition before it does."""

    # The last, because the name hides Python's own from here on.
    @property
    def property(self) -> str:
        """Whose text is looked at."""


@dataclass(frozen=True, slots=True)
class BlockSpan:
    """Blocks of one partition of one incarnation that begin at ``first`` or later, and before ``until``."""

    incarnation: int
    partition: int
    first: int
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Filled:
    """Events of one partition that a fill counted anew: of ``[start, end)``, stored before the fill's block."""

    partition: int
    start: datetime
    end: datetime
    stored_before: datetime


@dataclass(frozen=True, slots=True)
class Rule:
    """Which events count, and what of them.

    A rule that held for some blocks only names them, one that fills applied names what was filled; None means all.
    ``unless`` is what later fills took out of it. ``needs`` is for events that were stored under other rules: their
    value may not be what this one needs, and then they do not count.
    """

    event_type: str
    value_property: str | None
    conditions: tuple[Condition, ...] = ()
    blocks: tuple[BlockSpan, ...] | None = None
    filled: tuple[Filled, ...] | None = None
    unless: tuple[Filled, ...] = ()
    needs: Needs = "nothing"
    # What is taken in place of a property, as the catalog says it.
    expression: str | None = None


@dataclass(frozen=True, slots=True)
class RuleSql:
    """A rule as expressions over ``usage_events``; ``value`` is a Decimal256 with 12 places, ``text`` a String."""

    counts: str
    value: str
    text: str
    parameters: Mapping[str, object]


def rule_sql(rule: Rule, name: str) -> RuleSql:
    """The rule's SQL; its parameters begin with ``name``, so that several rules fit one question."""
    parts = [f"type = {{{name}type:String}}"]
    parameters: dict[str, object] = {f"{name}type": rule.event_type}
    for index, condition in enumerate(rule.conditions):
        sql, bound = condition_sql(condition, f"{name}f{index}")
        if condition.alternative:
            sql = f"({parts.pop()} OR {sql})"
        parts.append(sql)
        parameters |= bound
    if rule.blocks is not None:
        parts.append(blocks_sql(rule.blocks))
    if rule.filled is not None:
        parts.append(any_of(rule.filled))
    if rule.unless:
        parts.append(f"NOT {any_of(rule.unless)}")
    if rule.expression is not None:
        return worked_out(rule.expression, name, parts, parameters, must_be_there=rule.needs == "number")
    if rule.value_property is None:
        return RuleSql(" AND ".join(parts), "toDecimal256(1, 12)", "''", parameters)
    parameters[f"{name}value"] = rule.value_property
    text = f"properties[{{{name}value:String}}]"
    if rule.needs != "nothing":
        parts.append(f"mapContains(properties, {{{name}value:String}})")
    if rule.needs == "number":
        parts.append(is_quantity(text))
    return RuleSql(" AND ".join(parts), f"toDecimal256OrZero({text}, 12)", text, parameters)


def worked_out(
    expression: str, name: str, parts: list[str], parameters: dict[str, object], *, must_be_there: bool
) -> RuleSql:
    """The SQL of a rule that takes an expression; an event without a value for it may have to be left out."""
    sql = expression_sql(read_expression(expression), f"{name}e")
    parameters |= sql.parameters
    if must_be_there:
        for parameter, text in sql.texts.items():
            parts += [f"mapContains(properties, {{{parameter}:String}})", is_quantity(text)]
        parts.append(f"isNotNull({sql.value})")
    return RuleSql(" AND ".join(parts), f"ifNull({sql.value}, toDecimal256(0, 12))", "''", parameters)


def condition_sql(condition: Condition, name: str) -> tuple[str, dict[str, object]]:
    """A condition with its parameters. A missing property equals nothing: ``ne`` and ``not_in`` hold for it."""
    there, text = f"mapContains(properties, {{{name}p:String}})", f"properties[{{{name}p:String}}]"
    bound: dict[str, object] = {f"{name}p": condition.property}
    if condition.op != "exists":
        bound[f"{name}v"] = list(condition.values)
    holds = f"({there} AND {holds_sql(condition.op, text, f'{{{name}v:Array(String)}}')})"
    return f"NOT {holds}" if (condition.op in {"ne", "not_in"}) != condition.negated else holds, bound


def holds_sql(op: str, text: str, values: str) -> str:
    """Whether a text that is there is as a condition wants it, before the answer is turned round."""
    if op == "exists":
        return "1"
    if op == "contains":
        return f"arrayExists(part -> position({text}, part) > 0, {values})"
    if op == "prefix":
        return f"arrayExists(part -> startsWith({text}, part), {values})"
    if op in COMPARED:
        number, other = f"toDecimal256OrZero({text}, 12)", f"toDecimal256({values}[1], 12)"
        return f"{is_quantity(text)} AND {number} {COMPARED[op]} {other}"
    return f"has({values}, {text})"


def blocks_sql(spans: Sequence[BlockSpan]) -> str:
    """The condition that an event is of one of these blocks. Whole numbers only, so nothing has to be bound."""
    return f"({' OR '.join(map(span_sql, spans)) or '0'})"


def span_sql(span: BlockSpan) -> str:
    """The same for one span."""
    place = f"incarnation = {span.incarnation:d} AND partition = {span.partition:d} AND block_first >= {span.first:d}"
    return f"({place})" if span.until is None else f"({place} AND block_first < {span.until:d})"


def any_of(filled: Sequence[Filled]) -> str:
    """The condition that an event is one of those that were filled. Whole numbers only, again."""
    return f"({' OR '.join(map(filled_sql, filled)) or '0'})"


def filled_sql(filled: Filled) -> str:
    """The same for one fill of one partition."""
    inside = f"occurred_at >= {instant_sql(filled.start)} AND occurred_at < {instant_sql(filled.end)}"
    return f"(partition = {filled.partition:d} AND {inside} AND stored_at < {instant_sql(filled.stored_before)})"


def instant_sql(at: datetime) -> str:
    """An instant in SQL, exact to the microsecond."""
    return f"fromUnixTimestamp64Micro({(at - BEGINNING) // timedelta(microseconds=1):d}, 'UTC')"


def is_quantity(text: str) -> str:
    """The condition that a text is an exact quantity, by the rules of ``core.quantity.parse_quantity``.

    Its digits without outer zeros, and the power of ten that the last of them stands for, say how large and how
    precise it is.
    """
    parts = f"extractGroups({text}, '{NUMBER}')"
    written = f"concat({parts}[1], {parts}[2])"
    digits = f"length(trim(BOTH '0' FROM {written}))"
    zeros = f"(length({written}) - length(trim(TRAILING '0' FROM {written})))"
    power = f"(toInt32OrZero(replaceOne({parts}[3], '+', '')) - length({parts}[2]) + {zeros})"
    fits = f"({digits} - 1 + {power} < {QUANTITY_DIGITS_MAX} AND {power} >= -{QUANTITY_SCALE})"
    return f"(notEmpty({parts}) AND ({digits} = 0 OR {fits}))"
