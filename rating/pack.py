"""Packs the steps of each line into one list, which is that line's explanation."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from rating.charge import TIER_FIELDS, TIERS
from rating.exact import as_amount


def pack_steps(steps: pl.DataFrame, lengths: pl.Series) -> pl.Series:
    """One list for each line of STEPS; the steps must be sorted by line, of which each has so many as ``lengths`` say.

    The lists are laid over the steps as they lie in memory. A ``group_by`` that collects structs does the same five
    times slower, and took more than half of the whole rating.
    """
    ends = lengths.cast(pl.Int64).cum_sum()
    offsets = pl.concat([pl.Series([0], dtype=pl.Int64), ends])
    explained = steps.select(
        pl.struct(*(pl.col(name) for name in TIER_FIELDS if name != "amount"), as_amount(pl.col("amount")))
    ).to_series()
    # Otherwise texts would be copied, for readers that know no views of them.
    newest = pl.CompatLevel.newest()
    lists = pa.LargeListArray.from_arrays(offsets.to_arrow(), explained.to_arrow(compat_level=newest))
    tiers = pl.Series("tiers", lists)
    assert tiers.dtype == TIERS, "the lists must hold what charge lines declare"
    return tiers
