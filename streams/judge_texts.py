"""Conditions that are more than a look into a list: of each, for which of a block's texts it holds."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from core.compiled import compiled
from streams.arrow import series_of
from streams.numbers import QUANTITY, parse_odd
from streams.pair_up import Flags, Properties
from streams.plain_number import decimals, read_plain, words_of
from streams.texts import U64, Places, Texts, column_of_texts

COMPARED: Final = frozenset({"lt", "lte", "gt", "gte"})


class Judged(NamedTuple):
    """A condition on the texts of one property, by the property's number."""

    number: int
    op: str
    values: tuple[str, ...]


def judge_texts(properties: Properties, judged: Sequence[Judged]) -> Flags:
    """One row a condition, one column a property of an event: whether it holds, false for other properties."""
    verdicts = np.zeros((len(judged), len(properties.numbers) if judged else 0), np.bool_)
    numbers: dict[int, pl.Series] = {}
    for row, one in enumerate(judged):
        places = np.flatnonzero(properties.numbers == one.number)
        if one.op in COMPARED:
            if one.number not in numbers:
                numbers[one.number] = quantities_at(properties.texts, places)
            verdicts[row, places] = compare(numbers[one.number], one)
        else:
            texts = column_of_texts(properties.texts).take(pa.array(places))
            verdicts[row, places] = match(texts, one)
    return verdicts


def match(texts: pa.Array, one: Judged) -> Flags:
    """Which texts have one of the values in them, or at their beginning, letter by letter."""
    found = np.zeros(len(texts), np.bool_)
    for value in one.values:
        holds = pc.match_substring(texts, value) if one.op == "contains" else pc.starts_with(texts, value)
        found |= holds.to_numpy(zero_copy_only=False)
    return found


def compare(numbers: pl.Series, one: Judged) -> Flags:
    """Which numbers stand in order with the bound; a null does not."""
    bound = pl.lit(Decimal(one.values[0]), QUANTITY)
    column = pl.col("number")
    holds = {"lt": column < bound, "lte": column <= bound, "gt": column > bound, "gte": column >= bound}[one.op]
    found: Flags = numbers.to_frame("number").select(holds.fill_null(value=False)).to_series().to_numpy()
    return found


def quantities_at(texts: Texts, places: Places) -> pl.Series:
    """The exact quantities of the texts at some places; null for texts that are none."""
    words, plain = read_all(texts, places)
    odd = np.flatnonzero(~plain)
    if len(odd):
        values, _ = parse_odd(series_of(column_of_texts(texts).take(pa.array(places[odd]))))
        words[odd], plain[odd] = words_of(values), values.is_not_null().to_numpy()
    return decimals(words, plain)


@compiled
def read_all(texts: Texts, places: Places) -> tuple[U64, Flags]:
    """The words of the plain numbers at some places, and which these are."""
    words, plain = np.zeros((len(places), 2), np.uint64), np.zeros(len(places), np.bool_)
    for row in range(len(places)):
        at = places[row]
        plain[row], words[row, 0], words[row, 1] = read_plain(texts.data, texts.bounds[at], texts.bounds[at + 1])
    return words, plain
