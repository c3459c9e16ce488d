"""Kinds of fields: how each is read into its one spelling, and how JSON Schema describes it.

A field that says what would hold without it is left out of the spelling, so that two prices which charge alike compare
alike; ``Field.kept`` is the exception for fields that stored prices have always written out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from catalog.fields import Fields, kind_of
from core.limits import QUANTITY_DIGITS_MAX, QUANTITY_SCALE
from core.quantity import plain_text

# JSON in which every number is a text.
Definition = dict[str, object]


class Kind(Protocol):
    """One kind of value."""

    def read(self, fields: Fields, name: str) -> object:
        """The value in its one spelling; an empty text after a fault."""

    def schema(self) -> Definition:
        """The value as JSON Schema."""


@dataclass(frozen=True, slots=True)
class Number:
    """A decimal that is not negative, written as text; ``most`` is inclusive."""

    above_zero: bool = False
    places_max: int = QUANTITY_SCALE
    most: int | None = None

    def read(self, fields: Fields, name: str) -> object:
        """The plain text of the number, empty after a fault."""
        found = fields.decimal(name)
        if found is None:
            return ""
        if self.above_zero and found == 0:
            fields.fault(name, "value_not_positive", "must be above 0")
            return ""
        text = plain_text(found)
        if len(text.partition(".")[2]) > self.places_max:
            say = f"at most {self.places_max} decimal places" if self.places_max else "a whole number"
            fields.fault(name, "value_too_precise", f"must have {say}, not {text}")
            return ""
        if self.most is not None and found > self.most:
            fields.fault(name, "value_too_large", f"must be at most {self.most}, not {text}")
            return ""
        return text

    def schema(self) -> Definition:
        """A text of digits, or a JSON number."""
        places = rf"(\.[0-9]{{1,{self.places_max}}})?" if self.places_max else ""
        limits: Definition = {"exclusiveMinimum": 0} if self.above_zero else {"minimum": 0}
        if self.most is not None:
            limits["maximum"] = self.most
        kind = "number" if self.places_max else "integer"
        some = "(?=.*[1-9])" if self.above_zero else ""
        text = {"type": "string", "pattern": f"^{some}[0-9]{{1,{QUANTITY_DIGITS_MAX}}}{places}$"}
        return {"anyOf": [text, {"type": kind, **limits}]}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    def read(self, fields: Fields, name: str) -> object:
        """The word, empty after a fault."""
        return fields.one_of(name, self.words) or ""

    def schema(self) -> Definition:
        """An enumeration."""
        return {"enum": list(self.words)}


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def read(self, fields: Fields, name: str) -> object:
        """The truth, false after a fault."""
        raw = fields.take(name)
        if not isinstance(raw, bool):
            fields.fault(name, "not_flag", f"must be true or false, not {kind_of(raw)}")
        return raw is True

    def schema(self) -> Definition:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Text:
    """A short text."""

    bytes_max: int = 64

    def read(self, fields: Fields, name: str) -> object:
        """The text, empty after a fault."""
        return fields.text(name, self.bytes_max)

    def schema(self) -> Definition:
        """A text that is not empty."""
        return {"type": "string", "minLength": 1, "maxLength": self.bytes_max}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a mapping. ``default`` is what holds without it; it is left out of the spelling unless ``kept``."""

    name: str
    kind: Kind
    required: bool = False
    default: object = None
    kept: bool = False

    def read(self, fields: Fields) -> Definition:
        """The field's entry in the spelling, or none."""
        if fields.take(self.name) is None:
            if self.required:
                fields.required(self.name, None)
                return {self.name: ""}
            return {self.name: self.default} if self.kept else {}
        value = self.kind.read(fields, self.name)
        return {} if value == self.default and not self.kept else {self.name: value}


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with fields of its own."""

    members: Sequence[Field]

    def read(self, fields: Fields, name: str) -> object:
        """The mapping in its spelling."""
        raw = fields.take(name)
        if not isinstance(raw, dict):
            fields.fault(name, "not_mapping", f"must be a mapping of fields, not {kind_of(raw)}")
            return ""
        inner = Fields(raw, fields.at(name), fields.faults)
        found = read_members(inner, self.members)
        inner.end()
        return found

    def schema(self) -> Definition:
        """An object."""
        return object_schema(self.members)


@dataclass(frozen=True, slots=True)
class Records:
    """A list of mappings, of which there must be one at least."""

    members: Sequence[Field]
    count_max: int
    entry: str

    def read(self, fields: Fields, name: str) -> object:
        """The mappings in their spelling and order."""
        found = [read_members(inner, self.members) for inner in fields.mappings(name, self.count_max)]
        if fields.take(name) in (None, []):
            fields.fault(name, "field_missing", f"at least one {self.entry} is required")
        return found

    def schema(self) -> Definition:
        """An array of objects."""
        items = object_schema(self.members)
        return {"type": "array", "minItems": 1, "maxItems": self.count_max, "items": items}


def read_members(fields: Fields, members: Sequence[Field]) -> Definition:
    """The spelling of a mapping, field by field."""
    found: Definition = {}
    for member in members:
        found |= member.read(fields)
    return found


def object_schema(
    members: Sequence[Field], *, optional: Definition | None = None, model: Definition | None = None
) -> Definition:
    """A mapping of these fields and no others; ``optional`` ones are described elsewhere, ``model`` comes first."""
    properties: Definition = {}
    for member in members:
        described = member.kind.schema()
        # What is not required may be null, which says the same as leaving it out.
        properties[member.name] = described if member.required else {"anyOf": [described, {"type": "null"}]}
    first: Definition = {} if model is None else {"model": model}
    required = [member.name for member in members if member.required]
    return {
        "type": "object",
        "properties": {**first, **properties, **(optional or {})},
        "required": [*first, *required],
        "additionalProperties": False,
    }


def decimal_of(found: Definition, name: str) -> Decimal | None:
    """A number of a spelling; ``None`` where it is absent or was at fault."""
    text = found.get(name)
    return Decimal(text) if isinstance(text, str) and text else None
