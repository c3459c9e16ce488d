"""A case to try prices on, read as strictly as a catalog: every fault by its path, unknown fields refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from itertools import accumulate
from typing import Final

from catalog.fields import Faults, Fields, kind_of, shortened
from catalog.price import Definition, currencies_of, in_currency, parse_price
from core.errors import BadEvent, Problem, Refused
from core.money import minor_digits
from core.quantity import EXACT, parse_quantity

EVENTS_MAX: Final = 1_000_000
PARTS_MAX: Final = 10_000
CURRENCY: Final = "USD"
# Where an event may have its amount, and the mappings in which to look for it.
AMOUNT_NAMES: Final = ("amount", "value", "quantity")
INSIDE: Final = ("data", "properties")
USAGE_FIELDS: Final = ("quantity", "events", "groups", "buckets", "cumulative", "parts")

# How JSON writes a half of a surrogate pair.
HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")

Event = tuple[Decimal, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Case:
    """A price in its one spelling, and the usage to try it on.

    ``events`` are amounts in their order, each with the values of its group keys. ``running`` are the quantities of a
    period that is billed in parts, each counted from the period's start. ``buckets`` are the quantities of all buckets
    of a period, those without usage among them.
    """

    definition: Definition
    currency: str
    quantity: Decimal | None = None
    events: tuple[Event, ...] | None = None
    groups: tuple[Event, ...] | None = None
    running: tuple[Decimal, ...] | None = None
    buckets: tuple[Decimal, ...] | None = None


def read_price(raw: object, currency: str | None = None, path: str = "price") -> tuple[Definition, str]:
    """A price as declared, perhaps with its ``currency`` in it; raises ``Refused`` with every fault by its path."""
    if not isinstance(raw, dict):
        fault = Problem("price_not_mapping", f"must be a mapping of fields, not {kind_of(raw)}", path or None)
        raise Refused("price_not_mapping", f"the price is not a JSON object but {kind_of(raw)}", problems=(fault,))
    said = raw.get("currency") or currency or CURRENCY
    faults = Faults()
    definition = parse_price({name: value for name, value in raw.items() if name != "currency"}, path, faults)
    at = f"{path}.currency" if path else "currency"
    try:
        minor_digits(str(said))
    except Refused as error:
        faults.add(at, error.code, error.message)
    if currency is not None and said != currency:
        faults.add(at, "currency_differs", f"the price is in {said}, and {currency} was asked for")
    bodies = None if definition is None else currencies_of(definition)
    if bodies is not None and not faults.problems and str(said) not in bodies:
        where = f"{path}.currencies" if path else "currencies"
        faults.add(where, "currency_not_priced", f"says nothing in {said}; it has {', '.join(bodies)}")
    if definition is None or faults.problems:
        told = "; ".join(f"{problem.field} {problem.message}" for problem in faults.problems)
        raise Refused("price_invalid", f"the price is invalid: {told}", problems=tuple(faults.problems))
    return in_currency(definition, str(said)), str(said)


def read_json(source: bytes) -> object:
    """JSON in which every number stays the text that was written; raises ``Refused`` for anything else."""
    if not source.strip():
        raise Refused("not_json", "not JSON: there is nothing in it")
    try:
        found = json.loads(source, parse_float=str, parse_constant=refuse_word, object_pairs_hook=without_repeats)
        if HALF.search(source):
            # A half of a pair alone is no text: nothing that repeats it could be answered or kept.
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as error:
        raise Refused("not_json", "not JSON that can be read: too many levels inside each other") from error
    except ValueError as error:
        raise Refused("not_json", f"not JSON: {shortened(str(error))}") from error
    return found


def refuse_word(word: str) -> object:
    """NaN and Infinity are no JSON."""
    raise ValueError(f"{word} is not a number")


def without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A mapping; a name given twice is refused: nobody can know which one is meant."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is given twice")
    return found


def read_case(raw: object, path: str = "") -> Case:
    """A case from a mapping with ``price``, perhaps ``currency``, and one field of usage; raises ``Refused``."""
    faults = Faults()
    if not isinstance(raw, dict):
        raise Refused("case_not_mapping", f"{path or 'the case'} must be a mapping of fields, not {kind_of(raw)}")
    fields = Fields(raw, path, faults)
    definition, currency = read_price(fields.take("price"), fields.optional_text("currency"), fields.at("price"))
    fields.optional_text("name")
    given = [name for name in USAGE_FIELDS if fields.take(name) is not None]
    if len(given) != 1:
        fields.fault(given[1] if given else "quantity", "usage_unclear", f"give one of {', '.join(USAGE_FIELDS)}")
    case = Case(
        definition,
        currency,
        quantity=signed(fields, "quantity", fields.take("quantity")) if given == ["quantity"] else None,
        events=tuple(read_events(fields, "events")) if given == ["events"] else None,
        groups=tuple(read_groups(fields)) if given == ["groups"] else None,
        buckets=read_quantities(fields, "buckets") if given == ["buckets"] else None,
        running=read_running(fields, given[0]) if given in (["cumulative"], ["parts"]) else None,
    )
    fields.end()
    refuse_faults(faults, "the case")
    refuse_ungrouped(case, fields.at("quantity"))
    refuse_unbucketed(case, fields)
    refuse_unrunning(case, fields.at(given[0]))
    return case


def refuse_ungrouped(case: Case, at: str) -> None:
    """A price by group cannot be tried on a quantity without one: it would cost nothing, or whatever."""
    if case.definition["model"] == "matrix" and case.groups is None and case.events is None:
        say = "a price by group needs groups, or events with the group's values"
        fault = Problem("usage_not_by_group", say, at)
        raise Refused("usage_not_by_group", f"{at}: {say}", problems=(fault,))


def refuse_unrunning(case: Case, at: str) -> None:
    """A price by event, group or bucket is not billed in parts of a quantity."""
    definition = case.definition
    if case.running is not None and (definition["model"] in ("percentage", "matrix") or "bucket" in definition):
        what = "a price by bucket" if "bucket" in definition else definition["model"]
        fault = Problem("parts_not_possible", f"{what} has no running quantity: give the whole period's usage", at)
        raise Refused("parts_not_possible", f"{at}: {fault.message}", problems=(fault,))


def refuse_unbucketed(case: Case, fields: Fields) -> None:
    """A price by bucket is tried on the quantity of each bucket, any other on something else."""
    by_bucket = "bucket" in case.definition
    if case.running is None and by_bucket != (case.buckets is not None):
        say = "the price is by bucket: give buckets" if by_bucket else "the price is not by bucket"
        faults = Faults()
        faults.add(fields.at("buckets"), "usage_unclear", say)
        refuse_faults(faults, "the case")


def refuse_faults(faults: Faults, what: str) -> None:
    """Raise ``Refused`` with all faults, if there are any."""
    if faults.problems:
        told = "; ".join(f"{problem.field} {problem.message}" for problem in faults.problems)
        raise Refused("case_invalid", f"{what} is invalid: {told}", problems=tuple(faults.problems))


def signed(fields: Fields, name: str, raw: object) -> Decimal:
    """A decimal that may be negative, exactly as its text says; 0 after a fault."""
    if isinstance(raw, bool) or not isinstance(raw, str | int):
        fields.fault(name, "value_not_numeric", f"must be a decimal number, not {kind_of(raw)}")
        return Decimal(0)
    try:
        return parse_quantity(str(raw))
    except BadEvent as error:
        fields.fault(name, error.code, error.message)
        return Decimal(0)


def read_running(fields: Fields, name: str) -> tuple[Decimal, ...]:
    """Quantities from the period's start: as they are (``cumulative``), or added up from those of the parts."""
    found = read_quantities(fields, name)
    with localcontext(EXACT):
        return tuple(found if name == "cumulative" else accumulate(found))


def read_quantities(fields: Fields, name: str) -> tuple[Decimal, ...]:
    """A list of quantities, of which there must be one at least."""
    found = [signed(fields, f"{name}[{index}]", raw) for index, raw in enumerate(fields.items(name, PARTS_MAX))]
    if not found:
        fields.fault(name, "field_missing", "at least one quantity is required")
    return tuple(found)


def read_events(fields: Fields, name: str) -> Iterator[Event]:
    """Events in their order."""
    for index, raw in enumerate(fields.items(name, EVENTS_MAX)):
        yield read_event(fields, f"{name}[{index}]", raw)


def read_event(fields: Fields, at: str, raw: object, value: str | None = None) -> Event:
    """An amount alone, or an event with its amount in ``value``, ``amount`` or ``quantity``, perhaps below ``data``.

    Whatever else an event says is what it may be grouped by.
    """
    if not isinstance(raw, dict):
        return signed(fields, at, raw), {}
    said = dict(raw)
    for inner in INSIDE:
        if isinstance(raw.get(inner), dict):
            said |= raw[inner]
    names = AMOUNT_NAMES if value is None else (value,)
    found = next((name for name in names if name in said), None)
    if found is None:
        fields.fault(at, "field_missing", f"has no amount: {', '.join(names)}")
        return Decimal(0), {}
    texts = {name: str(text) for name, text in said.items() if isinstance(text, str | int)}
    return signed(fields, f"{at}.{found}", said[found]), texts


def read_groups(fields: Fields) -> Iterator[Event]:
    """Usage by group: ``{"group": {"region": "eu"}, "quantity": "5"}``."""
    for entry in fields.mappings("groups", EVENTS_MAX):
        group = entry.take("group")
        if not isinstance(group, dict) or not all(isinstance(value, str) for value in group.values()):
            entry.fault("group", "not_mapping", "must be a mapping of group keys to texts")
            group = {}
        yield signed(entry, "quantity", entry.take("quantity")), group
