"""Reading a meter's filters: conditions and ``any``, ``all`` and ``not`` of them, as conditions that must all hold.

Whatever stands inside each other is written as a list of alternatives, all of which must hold (conjunctive normal
form), so that the stream and ClickHouse have one flat list to go through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from catalog.fields import Fields, kind_of
from catalog.meter import COMPARISONS, FILTER_OPS, Filter, FilterOp
from core.errors import BadEvent
from core.limits import PROPERTY_NAME_BYTES_MAX, PROPERTY_VALUE_BYTES_MAX
from core.quantity import parse_quantity, plain_text

FILTERS_MAX: Final = 16
# Conditions after writing out, and how deep groups may stand inside each other (YAML may be 12 levels deep).
CONDITIONS_MAX: Final = 64
DEPTH_MAX: Final = 3
FILTER_VALUES_MAX: Final = 1_000
NEGATIONS: Final[dict[FilterOp, FilterOp]] = {"eq": "ne", "ne": "eq", "in": "not_in", "not_in": "in"}
GROUPS: Final = ("any", "all", "not")
ONE_VALUE: Final = frozenset({"eq", "ne", *COMPARISONS})

# Alternatives, of which one must hold.
Clause = tuple[Filter, ...]


def read_filters(fields: Fields) -> tuple[Filter, ...]:
    """The entries of ``filters``, all of which must hold; an ``alternative`` is one to the condition before it."""
    clauses: list[Clause] = []
    for entry in fields.mappings("filters", FILTERS_MAX):
        clauses += read_entry(entry, negated=False, depth=1)
    if sum(map(len, clauses)) > CONDITIONS_MAX:
        too_many(fields, "filters")
        return ()
    return tuple(
        replace(condition, alternative=place > 0) for clause in clauses for place, condition in enumerate(clause)
    )


def read_entry(fields: Fields, *, negated: bool, depth: int) -> list[Clause]:
    """A condition, or ``any``, ``all`` or ``not`` of others, as clauses; ``negated`` when it must not hold."""
    named = [name for name in GROUPS if fields.take(name) is not None]
    if not named:
        return [(read_condition(fields, negated=negated),)]
    if len(named) > 1 or depth > DEPTH_MAX:
        fields.fault(named[0], "filter_invalid", f"one of any, all and not, at most {DEPTH_MAX} inside each other")
        return []
    name = named[0]
    if name == "not":
        return read_not(fields, negated=negated, depth=depth)
    parts = [read_entry(entry, negated=negated, depth=depth + 1) for entry in fields.mappings(name, FILTERS_MAX)]
    if not parts:
        fields.fault(name, "field_missing", "needs at least one condition")
    # Neither of two holds when both do not, and so on.
    return both_hold(parts) if (name == "all") != negated else one_holds(fields, name, parts)


def read_not(fields: Fields, *, negated: bool, depth: int) -> list[Clause]:
    """What must not hold."""
    raw = fields.take("not")
    if not isinstance(raw, dict):
        fields.fault("not", "not_mapping", f"must be a mapping of fields, not {kind_of(raw)}")
        return []
    inner = Fields(raw, fields.at("not"), fields.faults)
    found = read_entry(inner, negated=not negated, depth=depth + 1)
    inner.end()
    return found


def both_hold(parts: Sequence[list[Clause]]) -> list[Clause]:
    """The clauses of all parts."""
    return [clause for part in parts for clause in part]


def one_holds(fields: Fields, name: str, parts: Sequence[list[Clause]]) -> list[Clause]:
    """Each clause of one part with each of the others: (a and b) or c is (a or c) and (b or c)."""
    found: list[Clause] = [()]
    for part in parts:
        if not part:
            continue
        found = [(*one, *other) for one in found for other in part]
        if sum(map(len, found)) > CONDITIONS_MAX:
            too_many(fields, name)
            return []
    return found if found != [()] else []


def too_many(fields: Fields, name: str) -> None:
    """Note filters that are too long when written out."""
    fields.fault(name, "filters_too_many", f"come to more than {CONDITIONS_MAX} conditions when written out")


def read_condition(fields: Fields, *, negated: bool) -> Filter:
    """A condition on one property."""
    op = fields.one_of("op", FILTER_OPS) or "exists"
    values = fields.texts("values", PROPERTY_VALUE_BYTES_MAX, FILTER_VALUES_MAX)
    if op in ONE_VALUE and len(values) != 1:
        fields.fault("values", "values_count", f"{op} needs exactly one value")
    elif op == "exists" and values:
        fields.fault("values", "values_count", "exists takes no values")
    elif op != "exists" and not values:
        fields.fault("values", "values_count", f"{op} needs at least one value")
    elif op in COMPARISONS:
        values = (read_bound(fields, values[0]),)
    name = fields.text("property", PROPERTY_NAME_BYTES_MAX)
    if negated and op in NEGATIONS:
        return Filter(name, NEGATIONS[op], values)
    return Filter(name, op, values, negated=negated)


def read_bound(fields: Fields, text: str) -> str:
    """The number that a comparison is with, in one spelling."""
    try:
        return plain_text(parse_quantity(text))
    except BadEvent as error:
        fields.fault("values[0]", error.code, error.message)
        return text
