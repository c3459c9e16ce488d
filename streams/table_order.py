"""The order in which ClickHouse keeps windows and their values: handed over in it, rows are not sorted again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from streams.arrow import one_chunk
from streams.group_key import in_order
from streams.rows import UNIQUES, WINDOWS
from streams.sum_up import sort_by
from streams.texts import SEED, Places, column_of_texts, number_texts, texts_of

_OF_WINDOW = ("merchant_id", "customer_id", "meter_id", "window_start", "group_key")
ORDERS = {WINDOWS: _OF_WINDOW, UNIQUES: (*_OF_WINDOW, "value")}


class Numbered(NamedTuple):
    """A column of texts by number: the distinct ones, and which of them each row has."""

    numbers: Places
    distinct: pa.Array


def number_column(table: str, rows: pa.Table, name: str) -> Numbered:
    """Number the texts of a column: those that the table is sorted by in the order of their bytes, others as met."""
    texts = texts_of(one_chunk(rows, name))
    numbers, firsts = number_texts(texts, np.arange(rows.num_rows), SEED)
    distinct = column_of_texts(texts).take(pa.array(firsts))
    return Numbered(*in_order(numbers, distinct)) if name in ORDERS[table] else Numbered(numbers, distinct)


def table_order(table: str, rows: pa.Table, numbered: dict[str, Numbered]) -> Places:
    """The rows' places in the order of their table; ``numbered`` holds at least the texts that it goes by."""
    order = np.arange(rows.num_rows)
    # From what counts least to what counts most.
    for name in reversed(ORDERS[table]):
        order = sort_by(order, numbered[name].numbers if name in numbered else seconds_on(rows, name))
    return order


def seconds_on(rows: pa.Table, name: str) -> Places:
    """A column of whole seconds, counted from the first of them so that few passes sort them."""
    seconds: Places = np.asarray(one_chunk(rows, name).view(pa.int64()))
    since: Places = seconds - seconds.min()
    return since
