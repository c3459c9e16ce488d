"""What a price says, checked and in one spelling. What it costs is rating's business.

The fields of every model are one table in ``catalog.prices.models``, what may stand on any of them one in
``catalog.prices.adjustments``.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from catalog.fields import Faults, Fields, kind_of
from catalog.prices.adjustments import check_adjustments
from catalog.prices.kinds import Definition, read_members
from catalog.prices.models import MODELS, adjustments_of
from core.errors import Refused
from core.money import minor_digits

__all__ = ["Definition", "currencies_of", "in_currency", "parse_price", "price_text", "read_price"]


def parse_price(raw: Mapping[str, object], path: str, faults: Faults) -> Definition | None:
    """The price in its one spelling, such as ``{"model": "per_unit", "unit_price": "0.0000025"}``.

    Numbers come as texts or integers. Every fault, unknown fields among them, goes to ``faults`` under its path
    below ``path``; the result is ``None`` when the model is unknown, and worthless when there are faults.
    """
    fields = Fields(raw, path, faults)
    definition = read_price(fields)
    if definition is not None:
        fields.end()
    return definition


def read_price(fields: Fields) -> Definition | None:
    """``parse_price`` on fields among which there may be others, which the caller has asked for."""
    name = fields.one_of("model", tuple(MODELS))
    if name is None:
        # Which fields belong here depends on the model, so none of them can be called unknown.
        fields.asked.update(fields.value)
        return None
    if fields.take("currencies") is not None:
        return {"model": name, "currencies": read_bodies(fields, name)}
    return {"model": name} | read_body(fields, name)


def read_body(fields: Fields, name: str) -> Definition:
    """All that a price of a model says, in one currency."""
    model = MODELS[name]
    found = read_members(fields, (*model.members, *adjustments_of(name)))
    model.check(fields, found)
    check_adjustments(fields, name, found)
    return found


def read_bodies(fields: Fields, name: str) -> Definition:
    """A body for each currency of ``currencies``, in the order of their codes."""
    raw = fields.take("currencies")
    if not isinstance(raw, dict) or not raw:
        say = f"must be a mapping of currencies to what the price says in each, not {kind_of(raw)}"
        fields.fault("currencies", "not_mapping", say)
        return {}
    bodies = Fields(raw, fields.at("currencies"), fields.faults)
    found: Definition = {}
    for code in sorted(raw):
        try:
            minor_digits(code)
        except Refused as error:
            bodies.fault(code, error.code, error.message)
        body = bodies.take(code)
        if not isinstance(body, dict):
            bodies.fault(code, "not_mapping", f"must be a mapping of fields, not {kind_of(body)}")
            continue
        inner = Fields(body, bodies.at(code), fields.faults)
        found[code] = read_body(inner, name)
        inner.end()
    return found


def currencies_of(definition: Definition) -> tuple[str, ...] | None:
    """The currencies that a price has a body for; ``None`` for one that is in its plan's currency alone."""
    bodies = definition.get("currencies")
    return tuple(bodies) if isinstance(bodies, dict) else None


def in_currency(definition: Definition, currency: str) -> Definition:
    """What a price says in a currency; raises ``Refused`` where it says nothing."""
    bodies = definition.get("currencies")
    if not isinstance(bodies, dict):
        return definition
    body = bodies.get(currency)
    if not isinstance(body, dict):
        known = ", ".join(bodies)
        raise Refused("currency_not_priced", f"the price says nothing in {currency}; it has {known}")
    return {"model": definition["model"], **body}


def price_text(definition: Definition) -> str:
    """The one text of a definition, by which two can be compared."""
    return orjson.dumps(definition, option=orjson.OPT_SORT_KEYS).decode()
