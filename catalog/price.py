"""What a price says, checked and in one spelling. What it costs is rating's business.

The fields of every model are one table in ``catalog.prices.models``, what may stand on any of them one in
``catalog.prices.adjustments``.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from catalog.fields import Faults, Fields
from catalog.prices.adjustments import check_adjustments
from catalog.prices.kinds import Definition, read_members
from catalog.prices.models import MODELS, adjustments_of

__all__ = ["Definition", "parse_price", "price_text", "read_price"]


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
    model = MODELS[name]
    found = read_members(fields, (*model.members, *adjustments_of(name)))
    model.check(fields, found)
    check_adjustments(fields, name, found)
    return {"model": name} | found


def price_text(definition: Definition) -> str:
    """The one text of a definition, by which two can be compared."""
    return orjson.dumps(definition, option=orjson.OPT_SORT_KEYS).decode()
