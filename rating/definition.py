"""Reads a price's JSON field by field and collects everything that is wrong with it, each with its path.

The catalog refuses bad prices at the door. Rating reads strictly all the same: a field that it does not know could be
the one that changes the bill, so such a price is never charged in part.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

from core.errors import BadEvent, Problem, Refused
from core.quantity import parse_quantity

ZERO = Decimal(0)


class Fields:
    """The fields of one JSON object. Reading never raises: problems are kept, and told by ``finish``."""

    def __init__(self, values: Mapping[str, object], path: str = "", problems: list[Problem] | None = None) -> None:
        self._values = values
        self._path = path
        self._known: set[str] = set()
        self.problems: list[Problem] = [] if problems is None else problems

    def number(self, name: str, default: Decimal | None = None) -> Decimal:
        """A decimal given as text or as a JSON number; ``default`` where it is absent, if there is one."""
        value = self.take(name)
        if value is None:
            if default is None:
                self.wrong(name, "missing", "must be given")
            return default or ZERO
        return self._decimal(name, value)

    def optional_number(self, name: str) -> Decimal | None:
        """A decimal, or ``None`` where the field is null or absent."""
        value = self.take(name)
        return None if value is None else self._decimal(name, value)

    def text(self, name: str) -> str:
        """A text that must be there."""
        value = self.take(name)
        if isinstance(value, str):
            return value
        self.wrong(name, "not_text", "must be a text")
        return ""

    def rows(self, name: str) -> list[Fields]:
        """A list of objects with at least one in it."""
        value = self.take(name)
        if not isinstance(value, list) or not value:
            self.wrong(name, "not_a_list", "must be a list with at least one entry")
            return []
        return [self._row(name, place, row) for place, row in enumerate(value)]

    def wrong(self, name: str, code: str, message: str) -> None:
        """Note a problem of one field."""
        self.problems.append(Problem(code, message, field=self._path + name))

    def take(self, name: str) -> object:
        """The raw value of a field that the model knows."""
        self._known.add(name)
        return self._values.get(name)

    def refuse_unknown(self) -> None:
        """Note every field that nobody asked for."""
        for name in sorted(set(self._values) - self._known):
            self.wrong(name, "unknown_field", "is not a field of this model")

    def _row(self, name: str, place: int, row: object) -> Fields:
        path = f"{self._path}{name}[{place}]"
        if not isinstance(row, Mapping):
            self.problems.append(Problem("not_an_object", "must be an object", field=path))
            row = {}
        return Fields(row, f"{path}.", self.problems)

    def _decimal(self, name: str, value: object) -> Decimal:
        if not isinstance(value, str | Decimal):
            self.wrong(name, "value_not_numeric", "must be a decimal number")
            return ZERO
        try:
            return parse_quantity(str(value))
        except BadEvent as bad:
            self.wrong(name, bad.code, bad.message)
            return ZERO


def open_definition(text: str) -> Fields:
    """The fields of a price given as JSON text, its numbers as their digits say; raises ``Refused``."""
    try:
        values = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    except ValueError as error:
        raise Refused("price_not_json", f"the price is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise Refused("price_not_an_object", "the price is not a JSON object")
    return Fields(values)


def finish(fields: Fields) -> None:
    """Raise ``Refused`` with every problem found."""
    fields.refuse_unknown()
    if fields.problems:
        told = "; ".join(f"{problem.field}: {problem.message}" for problem in fields.problems)
        raise Refused("price_invalid", f"the price is invalid: {told}", problems=tuple(fields.problems))
