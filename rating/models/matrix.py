"""Matrix: what a unit costs depends on the group that it was used in, such as a region and a size.

    {"model": "matrix", "group_by": ["region"], "prices": [{"group": {"region": "eu"}, "unit_price": "0.02"}],
     "default": {"unit_price": "0.03"}}

    amount = sum over groups of quantity x unit_price of the group, or of the default

Usage is never priced at 0 because nobody thought of its group: without a default price the word ``hold`` stands in its
place, and then a line with usage of an unknown group is parked, and says which group it is.
"""

from __future__ import annotations

import orjson
import polars as pl

from catalog.price import Definition
from core.frames import Schema
from rating.charge import QUANTITY
from rating.exact import product, units
from rating.shapes import Model, Terms, number

MATRIX_TERMS: Schema = {
    "price_number": pl.UInt32(),
    "group": pl.String(),
    "tier": pl.UInt32(),
    "unit_price": QUANTITY,
}
NOTHING = pl.lit(0, dtype=QUANTITY)


def read(definition: Definition) -> Terms:
    """One row a group, and one without a group for the default; its price is null where usage is to be held."""
    keys, entries, default = definition["group_by"], definition["prices"], definition["default"]
    assert isinstance(keys, list) and isinstance(entries, list), "the catalog has checked it"
    rows: Terms = [
        {"group": group_text(keys, entry["group"]), "tier": place, "unit_price": number(entry["unit_price"])}
        for place, entry in enumerate(entries, 1)
    ]
    price = default["unit_price"] if isinstance(default, dict) else None
    return [*rows, {"group": None, "tier": len(rows) + 1, "unit_price": number(price)}]


def group_text(keys: list[str], values: dict[str, str]) -> str:
    """The one text of a group: a JSON object with the keys in the price's order; a value that is missing is null."""
    return orjson.dumps({key: values.get(key) for key in keys}).decode()


def charge(groups: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """One step a group; a line without usage has one of no units."""
    return matched(groups, terms).with_columns(
        pl.lit(0, dtype=QUANTITY).alias("from"),
        flat_price=NOTHING,
        amount=product(units(pl.col("quantity")), units(pl.col("unit_price").fill_null(NOTHING))),
    )


def holding(terms: pl.DataFrame) -> pl.Series:
    """The prices that hold usage of unknown groups."""
    return terms.filter(pl.col("unit_price").is_null())["price_number"].unique()


def held(groups: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """Lines with usage that has neither a price nor a default."""
    unpriced = matched(groups, terms).filter(pl.col("unit_price").is_null() & (pl.col("quantity") != 0))
    told = pl.format("usage of the group {} has no price and is held; add it to the price, or a default", "group")
    return unpriced.group_by("line").agg(pl.col("group").min()).select("line", problem=told)


def matched(groups: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """Each group with its price, or that of the default."""
    named, default = terms.filter(pl.col("group").is_not_null()), terms.filter(pl.col("group").is_null())
    return (
        groups.join(named, on=["price_number", "group"], how="left", maintain_order="left")
        .join(default.drop("group"), on="price_number", suffix="_default", maintain_order="left")
        .with_columns(
            tier=pl.coalesce("tier", "tier_default"),
            unit_price=pl.coalesce("unit_price", "unit_price_default"),
            quantity=pl.col("value").fill_null(NOTHING),
        )
    )


MATRIX = Model(name="matrix", terms=MATRIX_TERMS, read=read, charge=charge, by="group", problems=held, holding=holding)
