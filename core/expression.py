"""Expressions of meters: what is taken of an event, worked out of its properties.

    sum     := product { ("+" | "-") product }
    product := signed { ("*" | "/") signed }
    signed  := "-" signed | atom
    atom    := number | property | function "(" sum { "," sum } ")" | "(" sum ")"
    property := "properties." name { "." name } | "properties[" quoted text "]"

Every number is a Decimal(38, 12), kept as a whole number of 10^-12 (``units``). A step whose result has more places is
rounded at the twelfth, halves away from zero; one with more than 26 digits before the point has no result, nor has a
division by zero. ``streams.value`` works expressions out, ``clickhouse.expression`` says them in SQL: both by step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from core.errors import BadEvent, Refused
from core.limits import (
    EXPRESSION_BYTES_MAX,
    EXPRESSION_DEPTH_MAX,
    EXPRESSION_STEPS_MAX,
    PROPERTY_NAME_BYTES_MAX,
    QUANTITY_SCALE,
)
from core.quantity import ONE, parse_quantity, units_of

Operation = Literal["negate", "add", "subtract", "multiply", "divide", "min", "max", "abs", "round", "floor", "ceil"]

SIGNS: Final[dict[str, Operation]] = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}
FUNCTIONS: Final[tuple[Operation, ...]] = ("min", "max", "abs", "round", "floor", "ceil")
TO_PLACES: Final = ("round", "floor", "ceil")

NAME = "[A-Za-z_][A-Za-z0-9_]*"
TOKEN: Final = re.compile(
    rf"""\x20*(?:(?P<number>[0-9]+(?:\.[0-9]+)?)
    |properties(?:\.(?P<plain>{NAME}(?:\.{NAME})*)|\["(?P<double>[^"]+)"\]|\['(?P<single>[^']+)'\])
    |(?P<name>{NAME})|(?P<sign>[-+*/(),])|(?P<end>$))""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Number:
    """A literal."""

    units: int


@dataclass(frozen=True, slots=True)
class Property:
    """The number that a property of the event says."""

    name: str


@dataclass(frozen=True, slots=True)
class Step:
    """An operation on one or two numbers; ``places`` is what ``round``, ``floor`` and ``ceil`` keep."""

    operation: Operation
    arguments: tuple[Node, ...]
    places: int = 0


Node = Number | Property | Step


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression, read. ``properties`` are those that it names, in the order of the text, each once."""

    text: str
    root: Node
    properties: tuple[str, ...]


class Token(NamedTuple):
    """A piece of the text: what it is, what it says, and at which character (from 1) it begins."""

    kind: str
    text: str
    at: int


@lru_cache(maxsize=10_000)
def read_expression(text: str) -> Expression:
    """Read an expression; raises ``Refused`` with ``expression_invalid`` or ``expression_too_long`` and says where."""
    if len(text.encode()) > EXPRESSION_BYTES_MAX:
        raise Refused("expression_too_long", f"has more than {EXPRESSION_BYTES_MAX} bytes")
    reader = Reader(split(text))
    root = reader.sum()
    if reader.token.kind != "end":
        raise reader.unexpected("an operator or the end")
    if not reader.properties:
        raise Refused("expression_invalid", "names no property of an event, such as properties.gb")
    return Expression(text, root, tuple(reader.properties))


def split(text: str) -> list[Token]:
    """The text's pieces, the last of which is its end."""
    tokens: list[Token] = []
    at = 0
    while not tokens or tokens[-1].kind != "end":
        found = TOKEN.match(text, at)
        if found is None:
            begins = at + len(text[at:]) - len(text[at:].lstrip(" "))
            raise invalid(begins + 1, f"{text[begins]!r} has no meaning here")
        kind = found.lastgroup or "end"
        said = found[kind]
        begins = found.end() if kind == "end" else found.start() + len(found[0]) - len(found[0].lstrip(" "))
        if kind in ("plain", "double", "single"):
            kind = "property"
        tokens.append(Token(kind, said, begins + 1))
        at = found.end()
    return tokens


def invalid(at: int, message: str) -> Refused:
    """What is wrong, and where."""
    return Refused("expression_invalid", f"at character {at}: {message}")


class Reader:
    """Goes through the tokens once, from the left; each method reads what its rule of the grammar says."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.place = 0
        self.depth = 0
        self.steps = 0
        self.properties: dict[str, None] = {}

    @property
    def token(self) -> Token:
        """The next token."""
        return self.tokens[self.place]

    def take(self) -> Token:
        """The next token, which is read with that."""
        self.place += 1
        return self.tokens[self.place - 1]

    def next_is(self, signs: str) -> bool:
        """Whether the next token is one of some signs."""
        return self.token.kind == "sign" and self.token.text in signs

    def expect(self, sign: str) -> None:
        """Read a sign that must come."""
        if not self.next_is(sign):
            raise self.unexpected(repr(sign))
        self.take()

    def unexpected(self, wanted: str) -> Refused:
        """Something else came."""
        kind, text, at = self.token
        return invalid(at, f"expected {wanted}, not " + ("the end" if kind == "end" else repr(text)))

    def step(self, at: int, operation: Operation, *arguments: Node, places: int = 0) -> Step:
        """One more operation."""
        self.steps += 1
        if self.steps > EXPRESSION_STEPS_MAX:
            raise Refused("expression_too_long", f"at character {at}: has more than {EXPRESSION_STEPS_MAX} operations")
        return Step(operation, arguments, places)

    def sum(self) -> Node:
        """Products added and subtracted, from the left."""
        found = self.product()
        while self.next_is("+-"):
            sign = self.take()
            found = self.step(sign.at, SIGNS[sign.text], found, self.product())
        return found

    def product(self) -> Node:
        """Factors multiplied and divided, from the left."""
        found = self.signed()
        while self.next_is("*/"):
            sign = self.take()
            factor = self.signed()
            if sign.text == "/" and factor == Number(0):
                raise invalid(sign.at, "divides by zero")
            found = self.step(sign.at, SIGNS[sign.text], found, factor)
        return found

    def signed(self) -> Node:
        """An atom, perhaps behind a minus."""
        self.depth += 1
        if self.depth > EXPRESSION_DEPTH_MAX:
            say = f"at character {self.token.at}: stands more than {EXPRESSION_DEPTH_MAX} deep"
            raise Refused("expression_too_long", say)
        if self.next_is("-"):
            at = self.take().at
            found: Node = self.step(at, "negate", self.signed())
        else:
            found = self.atom()
        self.depth -= 1
        return found

    def atom(self) -> Node:
        """A number, a property, a function of others, or anything in parentheses."""
        if self.next_is("("):
            self.take()
            found = self.sum()
            self.expect(")")
            return found
        kind = self.token.kind
        if kind == "number":
            return self.number()
        if kind == "property":
            return self.named()
        if kind == "name":
            return self.call()
        raise self.unexpected("a number, a property, a function or '('")

    def number(self) -> Number:
        """A literal, within the bounds of a quantity."""
        token = self.take()
        try:
            return Number(units_of(parse_quantity(token.text)))
        except BadEvent as error:
            raise invalid(token.at, error.message) from error

    def named(self) -> Property:
        """A property."""
        token = self.take()
        if len(token.text.encode()) > PROPERTY_NAME_BYTES_MAX:
            raise invalid(token.at, f"the property's name has more than {PROPERTY_NAME_BYTES_MAX} bytes")
        self.properties[token.text] = None
        return Property(token.text)

    def call(self) -> Node:
        """A function with its arguments."""
        token = self.take()
        operation = next((name for name in FUNCTIONS if name == token.text), None)
        if operation is None:
            known = ", ".join(FUNCTIONS)
            raise invalid(
                token.at, f"{token.text!r} is no function ({known}); a property is written properties.{token.text}"
            )
        self.expect("(")
        arguments = [self.sum()]
        while self.next_is(","):
            self.take()
            arguments.append(self.sum())
        self.expect(")")
        return self.applied(token, operation, arguments)

    def applied(self, token: Token, operation: Operation, arguments: list[Node]) -> Node:
        """A function of so many arguments; ``min`` and ``max`` of several go from the left."""
        if operation in TO_PLACES and len(arguments) <= 2:
            places = as_places(token, arguments[1]) if len(arguments) > 1 else 0
            return self.step(token.at, operation, arguments[0], places=places)
        if operation == "abs" and len(arguments) == 1:
            return self.step(token.at, operation, arguments[0])
        if operation in ("min", "max") and len(arguments) > 1:
            found = arguments[0]
            for other in arguments[1:]:
                found = self.step(token.at, operation, found, other)
            return found
        wanted = {"abs": "one number", "min": "two or more", "max": "two or more"}
        raise invalid(token.at, f"{operation} takes {wanted.get(operation, 'a number and perhaps places')}")


def as_places(token: Token, node: Node) -> int:
    """How many decimal places a function is to keep."""
    if isinstance(node, Number) and node.units % ONE == 0 and node.units <= QUANTITY_SCALE * ONE:
        return node.units // ONE
    raise invalid(token.at, f"the places of {token.text} must be a whole number from 0 to {QUANTITY_SCALE}")
