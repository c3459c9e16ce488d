"""Texts to exact quantities, a column at a time, by the very rules of ``core.quantity.parse_quantity``."""

from __future__ import annotations

import polars as pl

from core.limits import QUANTITY_DIGITS_MAX, QUANTITY_SCALE

QUANTITY = pl.Decimal(38, QUANTITY_SCALE)

NUMBER = r"^(-?)([0-9]{1,38})(?:\.([0-9]{1,38}))?(?:[eE]([+-]?[0-9]{1,3}))?$"


def parse_odd(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Read each text as a Decimal(38, 12), in whatever form: exponents, leading zeros, many places, words.

    Plain ones are read by ``read_plain`` at a hundredth of the cost. Returns the values (null where there is none) and
    the reasons: empty, or ``value_missing`` for a null, ``value_not_numeric``, ``value_too_large``,
    ``value_too_precise``.
    """
    parts = texts.to_frame("text").select(
        "text",
        numeric=pl.col("text").str.contains(NUMBER),
        sign=pl.col("text").str.extract(NUMBER, 1),
        whole=pl.col("text").str.extract(NUMBER, 2),
        places=pl.col("text").str.extract(NUMBER, 3).fill_null(""),
        exponent=pl.col("text").str.extract(NUMBER, 4).str.strip_prefix("+").cast(pl.Int32).fill_null(0),
    )
    written = pl.col("whole") + pl.col("places")
    trimmed = parts.with_columns(
        digits=written.str.strip_chars("0"),
        # The power of ten that the last digit kept stands for.
        power=pl.col("exponent")
        - pl.col("places").str.len_bytes().cast(pl.Int32)
        + (written.str.len_bytes() - written.str.strip_chars_end("0").str.len_bytes()).cast(pl.Int32),
    )
    length = pl.col("digits").str.len_bytes().cast(pl.Int32)
    judged = trimmed.with_columns(
        reason=pl.when(pl.col("text").is_null())
        .then(pl.lit("value_missing"))
        .when(~pl.col("numeric"))
        .then(pl.lit("value_not_numeric"))
        .when(length == 0)
        .then(pl.lit(""))
        .when(length - 1 + pl.col("power") >= QUANTITY_DIGITS_MAX)
        .then(pl.lit("value_too_large"))
        .when(pl.col("power") < -QUANTITY_SCALE)
        .then(pl.lit("value_too_precise"))
        .otherwise(pl.lit(""))
    )
    answer = judged.select(
        "reason", value=pl.when(pl.col("reason") == "").then(plain_form()).cast(QUANTITY, strict=True)
    )
    return answer["value"], answer["reason"]


def plain_form() -> pl.Expr:
    """The number without exponent: all digits, with twelve of them after the point."""
    shift = pl.col("power") + QUANTITY_SCALE
    width = pl.col("digits").str.len_bytes().cast(pl.Int32) + shift
    zeros = pl.col("digits").str.pad_end(width.clip(0), "0").str.zfill(QUANTITY_SCALE + 1)
    return pl.col("sign") + zeros.str.head(-QUANTITY_SCALE) + "." + zeros.str.tail(QUANTITY_SCALE)
