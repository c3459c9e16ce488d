"""Expressions of meters in the SQL of ``usage_events``: the same steps as ``streams.value``, to the last place.

ClickHouse multiplies decimals exactly, cuts quotients off, and rounds halves away from zero. A quotient is cut off one
place behind the last, which decides how it is rounded. Products of two Decimal(38, 12) fit 256 bits, and what has come
to more than 26 digits before the point is NULL, as is all that follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from core.expression import Expression, Node, Number, Property, Step
from core.limits import DECIMAL_PRECISION, QUANTITY_DIGITS_MAX, QUANTITY_SCALE
from core.quantity import ONE

_TOO_LARGE: Final = f"toDecimal256('{10 ** (DECIMAL_PRECISION - QUANTITY_SCALE)}', {QUANTITY_SCALE})"
_NO_VALUE: Final = f"toDecimal256('{10**QUANTITY_DIGITS_MAX}', {QUANTITY_SCALE})"

# Each argument stands in the text of a step once: with every repetition the text would double from step to step.
_STEPS: Final[Mapping[str, str]] = {
    "negate": "-({0})",
    "abs": "abs({0})",
    "add": "({0}) + ({1})",
    "subtract": "({0}) - ({1})",
    "multiply": "round(({0}) * ({1}), 12)",
    "divide": "round(toDecimal256({0}, 13) / nullIf({1}, toDecimal256(0, 12)), 12)",
    "min": "arrayMap(p -> multiIf(isNull(p.1) OR isNull(p.2), NULL, p.1 < p.2, p.1, p.2), [({0}, {1})])[1]",
    "max": "arrayMap(p -> multiIf(isNull(p.1) OR isNull(p.2), NULL, p.1 < p.2, p.2, p.1), [({0}, {1})])[1]",
    "round": "round({0}, {places})",
    "floor": "floor({0}, {places})",
    "ceil": "ceil({0}, {places})",
}
_MAY_GROW: Final = frozenset({"add", "subtract", "multiply", "divide", "round", "floor", "ceil"})


@dataclass(frozen=True, slots=True)
class ExpressionSql:
    """``value`` is a Nullable(Decimal256) with 12 places, NULL where there is none; ``texts`` are what it reads."""

    value: str
    texts: Mapping[str, str]
    parameters: Mapping[str, object]


def expression_sql(expression: Expression, name: str) -> ExpressionSql:
    """An expression in SQL; its parameters begin with ``name``. ``texts`` has the SQL of each property by parameter."""
    names = {said: f"{name}{place}" for place, said in enumerate(expression.properties)}
    texts = {parameter: f"properties[{{{parameter}:String}}]" for parameter in names.values()}
    value = written(expression.root, lambda said: texts[names[said]])
    parameters: dict[str, object] = {parameter: said for said, parameter in names.items()}
    return ExpressionSql(within(value, _NO_VALUE), texts, parameters)


def written(node: Node, text_of: Callable[[str], str]) -> str:
    """A Decimal256 with 12 places, or NULL; a text that is no number is 0."""
    if isinstance(node, Number):
        sign = "-" if node.units < 0 else ""
        whole, part = divmod(abs(node.units), ONE)
        return f"toDecimal256('{sign}{whole}.{part:0{QUANTITY_SCALE}d}', {QUANTITY_SCALE})"
    if isinstance(node, Property):
        return f"toDecimal256OrZero({text_of(node.name)}, {QUANTITY_SCALE})"
    return step_sql(node, text_of)


def step_sql(step: Step, text_of: Callable[[str], str]) -> str:
    """One step of others."""
    arguments = [written(argument, text_of) for argument in step.arguments]
    sql = _STEPS[step.operation].format(*arguments, places=step.places)
    return within(f"toDecimal256({sql}, {QUANTITY_SCALE})", _TOO_LARGE) if step.operation in _MAY_GROW else sql


def within(value: str, bound: str) -> str:
    """The value, or NULL when it is not below a bound on either side of zero.

    What a column holds under a NULL takes part in later steps, and must not outgrow 256 bits: it is the bound.
    """
    return f"arrayMap(x -> nullIf(if(abs(x) < {bound}, x, {bound}), {bound}), [toNullable({value})])[1]"
