"""Expressions by their definition: Python's own grammar, and plain decimals one event at a time."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext

from hypothesis import strategies as st

from core.errors import BadEvent
from core.quantity import EXACT, parse_quantity

SMALLEST = Decimal("0.000000000001")
STEP_END, VALUE_END = Decimal(10) ** 26, Decimal(10) ** 19
MODES = {"round": ROUND_HALF_UP, "floor": ROUND_FLOOR, "ceil": ROUND_CEILING}
BINARY: dict[type, Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
}
NAMES = ("gb", "hours", "n.of", "vCPU")


def worked_out(text: str, said: Mapping[str, str]) -> Decimal:
    """The value of an event with these properties; raises ``BadEvent``. No property in brackets."""
    for name in dict.fromkeys(re.findall(r"properties\.([\w.]+)", text)):
        if name not in said:
            raise BadEvent("value_missing", name)
        parse_quantity(said[name])
    tree = ast.parse(text, mode="eval").body
    with localcontext(EXACT):
        return within(value_of(tree, text, said), VALUE_END)


def within(number: Decimal, end: Decimal) -> Decimal:
    """The number, if it is in bounds."""
    if abs(number) >= end:
        raise BadEvent("value_too_large", str(number))
    return number


def value_of(node: ast.expr, text: str, said: Mapping[str, str]) -> Decimal:
    """A part of an expression, to the twelfth place."""
    if isinstance(node, ast.Constant):
        return Decimal(ast.get_source_segment(text, node) or "")
    if isinstance(node, ast.Attribute):
        return parse_quantity(said[ast.unparse(node).removeprefix("properties.")])
    if isinstance(node, ast.UnaryOp):
        return -value_of(node.operand, text, said)
    if isinstance(node, ast.Call):
        return within(called(node, text, said), STEP_END)
    assert isinstance(node, ast.BinOp)
    left, right = value_of(node.left, text, said), value_of(node.right, text, said)
    if isinstance(node.op, ast.Div) and right == 0:
        raise BadEvent("value_divided_by_zero", text)
    return within(BINARY[type(node.op)](left, right).quantize(SMALLEST, ROUND_HALF_UP), STEP_END)


def called(node: ast.Call, text: str, said: Mapping[str, str]) -> Decimal:
    """A function's value."""
    assert isinstance(node.func, ast.Name)
    numbers = [value_of(argument, text, said) for argument in node.args]
    if node.func.id in MODES:
        places = int(numbers[1]) if len(numbers) > 1 else 0
        return numbers[0].quantize(Decimal(1).scaleb(-places), MODES[node.func.id])
    return abs(numbers[0]) if node.func.id == "abs" else {"min": min, "max": max}[node.func.id](numbers)


LITERALS = st.one_of(
    st.integers(0, 5000).map(str),
    st.decimals(0, 100, places=4).map(lambda number: format(abs(number), "f")),
    st.sampled_from(["0.000000000001", "9999999999999999999", "3600", "1073741824"]),
)
QUANTITIES = st.one_of(
    st.decimals(-1000, 1000, places=3).map(str),
    st.decimals(-(10**7), 10**7, places=12).map(lambda number: format(number, "f")),
    st.sampled_from(["0", "1", "-0.000000000001", "0.5", "9999999999999999999.999999999999", "-1e18", "3"]),
)
LEAVES = st.one_of(st.sampled_from([f"properties.{name}" for name in NAMES]), LITERALS)


def longer(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Expressions made of shorter ones, with parentheses where they are needed and where they are not."""
    binary = st.builds(lambda left, sign, right: f"{left} {sign}{right}", inner, st.sampled_from("+-*/"), inner)
    return st.one_of(
        binary,
        binary.map(lambda text: f"({text})"),
        inner.map(lambda text: f"-({text})"),
        inner.map(lambda text: f"abs({text})"),
        st.builds(lambda name, one, other: f"{name}({one}, {other})", st.sampled_from(["min", "max"]), inner, inner),
        st.builds(
            lambda name, one, places: f"{name}({one}{places})",
            st.sampled_from(list(MODES)),
            inner,
            st.sampled_from(["", ", 0", ", 2", ", 11", ", 12"]),
        ),
    )


def divides_by_a_zero(text: str) -> bool:
    """Whether an expression has a literal zero, which is refused behind a division."""
    return any(
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Div)
        and isinstance(node.right, ast.Constant)
        and node.right.value == 0
        for node in ast.walk(ast.parse(text, mode="eval"))
    )


EXPRESSIONS = (
    st.recursive(LEAVES, longer, max_leaves=10)
    .map(lambda text: f"properties.gb + {text}" if "properties" not in text else text)
    .filter(lambda text: len(text) <= 500 and not divides_by_a_zero(text))
)
SAID = st.fixed_dictionaries(dict.fromkeys(NAMES, QUANTITIES))
