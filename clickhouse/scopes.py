"""The periods that a question is about, put where ClickHouse can join usage to them."""

from __future__ import annotations

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.schema import USAGE_SCOPES
from core.frames import checked
from core.ids import new_id


def ask_about(store: UsageStore, scopes: pl.DataFrame) -> tuple[str, pl.DataFrame]:
    """Write ``scopes`` to ``usage_scopes``; returns the question that names them, and them with their ``row``.

    ``row`` ties an answer to its place. The question's id is the insert's token too, so a retry writes nothing twice.
    A derivation behind an aggregation is left out: usage is asked for as the windows have it.
    """
    question = new_id("question")
    asked = scopes.with_row_index("row")
    written = asked.with_columns(
        pl.lit(question).alias("question"), pl.col("aggregation").str.split(" ").list.first().alias("aggregation")
    )
    store.insert_frame("usage_scopes", checked(written, USAGE_SCOPES), token=question)
    return question, asked
