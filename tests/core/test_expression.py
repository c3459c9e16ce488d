"""Expressions of meters are read as their grammar says, and refused with the place of what is wrong."""

from __future__ import annotations

import pytest

from core.errors import Refused
from core.expression import Node, Number, Property, read_expression
from core.limits import EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_STEPS_MAX
from core.quantity import ONE

SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}


def shown(node: Node) -> str:
    """A tree with parentheses around every step."""
    if isinstance(node, Number):
        return f"{node.units // ONE}" if node.units % ONE == 0 else f"{node.units}u"
    if isinstance(node, Property):
        return node.name
    arguments = [shown(argument) for argument in node.arguments]
    if node.operation in SIGNS:
        return f"({arguments[0]}{SIGNS[node.operation]}{arguments[1]})"
    places = f":{node.places}" if node.places else ""
    return f"{node.operation}{places}({','.join(arguments)})"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("properties.gb", "gb"),
        ("properties.gb * properties.hours / 3600", "((gb*hours)/3600)"),
        ("properties.a + properties.b * properties.c", "(a+(b*c))"),
        ("(properties.a + properties.b) * properties.c", "((a+b)*c)"),
        ("properties.a - properties.b - properties.c", "((a-b)-c)"),
        ("properties.a / properties.b / 2", "((a/b)/2)"),
        ("-properties.a * 2", "(negate(a)*2)"),
        ("2 - -properties.a", "(2-negate(a))"),
        ("--properties.a", "negate(negate(a))"),
        ("  0.5*properties.a ", "(500000000000u*a)"),
        ("properties.usage.gb-properties.free", "(usage.gb-free)"),
        ("properties[\"gb-hours of 'eu'\"] + properties['é']", "(gb-hours of 'eu'+é)"),
        ("properties.min * min(properties.a, 2, properties.b)", "(min*min(min(a,2),b))"),
        ("max(abs(properties.a), 1)", "max(abs(a),1)"),
        ("round(properties.a, 2) + floor(properties.a) + ceil(properties.a, 12)", "((round:2(a)+floor(a))+ceil:12(a))"),
    ],
)
def test_an_expression_is_the_tree_that_its_grammar_says(text: str, tree: str) -> None:
    """Products before sums, from the left; a minus before both."""
    assert shown(read_expression(text).root) == tree


def test_properties_are_named_once_in_the_order_of_the_text() -> None:
    """Which is the order in which they are found missing."""
    assert read_expression("properties.b * properties.a + properties.b").properties == ("b", "a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at character 1: expected a number, a property, a function or '(', not the end"),
        ("properties.a *", "at character 15: expected a number, a property, a function or '(', not the end"),
        ("properties.a * / 2", "at character 16: expected a number, a property, a function or '(', not '/'"),
        ("(properties.a + 1", "at character 18: expected ')', not the end"),
        ("properties.a)", "at character 13: expected an operator or the end, not ')'"),
        ("properties.a properties.b", "at character 14: expected an operator or the end, not 'b'"),
        ("properties.a * 1e3", "at character 17: expected an operator or the end, not 'e3'"),
        ("properties.a * .5", "at character 16: '.' has no meaning here"),
        ("properties.a ** 2", "at character 15: expected a number, a property, a function or '(', not '*'"),
        ("properties.a % 2", "at character 14: '%' has no meaning here"),
        ("properties.gb.", "at character 14: '.' has no meaning here"),
        ("properties.a\n+ 1", "at character 13: '\\n' has no meaning here"),
        ("gb * 2", "at character 1: 'gb' is no function (min, max, abs, round, floor, ceil); a property is written"),
        ("properties['a\"] + 1", "at character 11: '[' has no meaning here"),
        ("__import__(properties.a)", "at character 1: '__import__' is no function"),
        ("properties.a / 0", "at character 14: divides by zero"),
        ("properties.a / (0.0)", "at character 14: divides by zero"),
        ("properties.a * 10000000000000000000", "at character 16: 10000000000000000000 has more than 19 digits"),
        ("properties.a * 0.1234567890123", "at character 16: 0.1234567890123 has more than 12 decimal places"),
        ("properties." + "a" * 129, "at character 1: the property's name has more than 128 bytes"),
        ("min(properties.a)", "at character 1: min takes two or more"),
        ("abs(properties.a, 1)", "at character 1: abs takes one number"),
        ("1 + round(properties.a, 1, 2)", "at character 5: round takes a number and perhaps places"),
        ("round(properties.a, 13)", "at character 1: the places of round must be a whole number from 0 to 12"),
        ("floor(properties.a, 0.5)", "at character 1: the places of floor must be a whole number from 0 to 12"),
        ("ceil(properties.a, -1)", "at character 1: the places of ceil must be a whole number from 0 to 12"),
        ("abs()", "at character 5: expected a number, a property, a function or '(', not ')'"),
        ("1 + 2", "names no property of an event, such as properties.gb"),
    ],
)
def test_a_wrong_expression_is_refused_with_its_place(text: str, message: str) -> None:
    """Whoever wrote it is told at which character, and what would have been right."""
    with pytest.raises(Refused) as refused:
        read_expression(text)

    assert (refused.value.code, refused.value.message[: len(message)]) == ("expression_invalid", message)


@pytest.mark.parametrize(
    ("longest", "longer"),
    [
        (
            "+".join(["properties.a"] * (EXPRESSION_STEPS_MAX + 1)),
            "+".join(["properties.a"] * (EXPRESSION_STEPS_MAX + 2)),
        ),
        (
            "(" * (EXPRESSION_DEPTH_MAX - 1) + "properties.a" + ")" * (EXPRESSION_DEPTH_MAX - 1),
            "(" * EXPRESSION_DEPTH_MAX + "properties.a" + ")" * EXPRESSION_DEPTH_MAX,
        ),
        ("-" * (EXPRESSION_DEPTH_MAX - 1) + "properties.a", "-" * EXPRESSION_DEPTH_MAX + "properties.a"),
        ("properties.a" + " " * (EXPRESSION_BYTES_MAX - 12), "properties.a" + " " * (EXPRESSION_BYTES_MAX - 11)),
        ("properties.a", "(" * EXPRESSION_BYTES_MAX),
    ],
)
def test_an_expression_has_an_end(longest: str, longer: str) -> None:
    """Its operations, its depth and its bytes are bounded, before anything could go too deep."""
    assert read_expression(longest).properties == ("a",)
    with pytest.raises(Refused) as refused:
        read_expression(longer)

    assert refused.value.code == "expression_too_long"
