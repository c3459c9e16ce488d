"""The shape of a pricing model: how its JSON is read, and how many lines at once are charged by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

import polars as pl

from catalog.price import Definition
from core.frames import Schema
from rating.charge import QUANTITY, TIER_FIELDS
from rating.exact import UNITS

# What most models are charged by: one row per tier of a price. ``flat_at_zero`` says whether the flat price of the
# first tier is due where nothing was used, ``size`` how many units one priced thing has.
TIER_TERMS: Final[Schema] = {
    "price_number": pl.UInt32(),
    "tier": pl.UInt32(),
    "from": QUANTITY,
    "to": QUANTITY,
    "unit_price": QUANTITY,
    "flat_price": QUANTITY,
    "max_amount": QUANTITY,
    "size": QUANTITY,
    "flat_at_zero": pl.Boolean(),
}

# What a model is given: the lines to be charged. ``finer`` has the 13th to 24th decimal places of the quantity, with
# its sign. A quantity that does not fit is null, and so is then the amount.
LINES: Final[Schema] = {
    "line": pl.UInt32(),
    "price_number": pl.UInt32(),
    "quantity": QUANTITY,
    "finer": pl.Int64(),
}

# What a model by event is given: each line with its events together, in their order; one of nulls where there are none.
EVENT_LINES: Final[Schema] = {
    "line": pl.UInt32(),
    "price_number": pl.UInt32(),
    "order": pl.Int64(),
    "value": QUANTITY,
}

# What a model by group is given: each line with its groups; one of nulls where there are none.
GROUP_LINES: Final[Schema] = {
    "line": pl.UInt32(),
    "price_number": pl.UInt32(),
    "group": pl.String(),
    "value": QUANTITY,
}

# What a model answers: the arithmetic of each line, one row per step, in the order of the steps. ``amount`` is in
# integer units of scale 24, and null where it does not fit; the engine adds a line's steps up. Columns that a model
# has nothing to say in may be missing.
STEPS: Final[Schema] = {"line": pl.UInt32(), **TIER_FIELDS, "amount": UNITS}

# Made once: a literal takes longer than the work that it is for where one line is rated by itself.
LEFT_OUT: Final = {name: pl.lit(None, dtype=kind).alias(name) for name, kind in STEPS.items()}
NO_STEPS: Final = pl.DataFrame(schema=STEPS)

Terms = list[dict[str, object]]
Tier = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Model:
    """One way to charge.

    ``read`` turns a definition, as the catalog checked it, into the rows of its terms (without ``price_number``).
    ``charge`` joins what it is given (``by`` quantity LINES, by event EVENT_LINES, by group GROUP_LINES) with terms
    of the schema ``terms`` and answers STEPS, at least one row a line. ``charge_small`` answers the same for lines and
    terms that are ``rating.exact.small``. ``problems`` finds what keeps lines from being charged: rows of (line,
    problem); it is asked of the prices only that ``holding`` finds in the terms.
    """

    name: str
    terms: Schema
    read: Callable[[Definition], Terms]
    charge: Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]
    charge_small: Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame] | None = None
    by: Literal["quantity", "event", "group"] = "quantity"
    problems: Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame] | None = None
    holding: Callable[[pl.DataFrame], pl.Series] | None = None


def tiers_of(definition: Definition) -> list[Tier]:
    """The tiers of a definition that the catalog has checked."""
    tiers = definition["tiers"]
    assert isinstance(tiers, list), "the catalog has checked it"
    return tiers


def tier_terms(bounds: Iterable[Decimal | None], rows: Iterable[dict[str, object]], *, flat_at_zero: bool) -> Terms:
    """Rows of TIER_TERMS, each from where the one before it ends to its own bound."""
    start: Decimal | None = Decimal(0)
    terms: Terms = []
    for place, (bound, row) in enumerate(zip(bounds, rows, strict=True), 1):
        terms.append({"tier": place, "from": start, "to": bound, "flat_at_zero": flat_at_zero} | row)
        start = bound
    return terms


def one_tier(unit_price: Decimal, flat_price: Decimal = Decimal(0), *, flat_at_zero: bool = False) -> Terms:
    """The terms of a price that has no tiers."""
    return tier_terms([None], [{"unit_price": unit_price, "flat_price": flat_price}], flat_at_zero=flat_at_zero)


def number(text: object) -> Decimal | None:
    """A number of a definition; ``None`` where there is none."""
    return None if text is None else Decimal(str(text))


def completed(steps: pl.DataFrame) -> pl.DataFrame:
    """STEPS with nulls in the columns that were left out."""
    given = steps.columns
    return steps.select(pl.col(name) if name in given else nothing for name, nothing in LEFT_OUT.items())
