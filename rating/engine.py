"""Rating: a pure function from usage and prices to charge lines, over all subscriptions at once.

Nothing here knows a clock, a database or a single subscription; preview, dry run and close all call ``rate``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import Final

import polars as pl

from core.frames import checked
from rating.charge import AMOUNT, QUANTITY, RATED_LINES, TIERS
from rating.detail import LINE, Detail, line_hash
from rating.fingerprint import input_hash, shared_hash
from rating.inputs import DUE_PRICES, USAGE
from rating.priced import lines_of, problems
from rating.shared import shared_by
from rating.steps import work_out
from rating.terms import PRICE, REFUSED, ReadPrices, read_prices

OVERFLOW: Final = "the amount does not fit 14 digits before the point; nothing was rounded or cut"

# More lines than the one are worked out in parts, on every core one at a time, and no part has more than the other.
# A part costs some fifty milliseconds before its first line, and holds what it needs on the way until its last.
LINES_ALONE: Final = 131_072
LINES_TOGETHER: Final = 524_288


def rate(usage: pl.DataFrame, prices: pl.DataFrame, detail: Detail | None = None) -> pl.DataFrame:
    """Charge lines (RATED_LINES) for every row of ``prices`` (DUE_PRICES), in the same order.

    ``usage`` (USAGE) has at most one row per (subscription_id, price_id); where it has none the quantity is 0. A line
    that cannot be rated is parked with its reason and a null amount; it never stops the others. The same frames
    give the same lines, whatever the order of their rows.

    ``detail`` has usage by event, by group and by bucket for the prices that charge by them; without it their lines are
    parked. Lines of prices that no period owes when it has ended are parked unless they are tried out.
    """
    shared = shared_by(checked(prices, DUE_PRICES))
    read = read_prices(shared.rows)
    lines = measured(checked(usage, USAGE), prices).with_columns(shared.numbers.alias("shared"))
    known = shared.rows.with_columns(shared_hash=shared_hash()).join(
        read.numbers, on=PRICE, how="left", maintain_order="left"
    )
    # What there is of other lines does not determine them, and is not under their hash.
    by_detail = known["price_number"].is_in(read.detailed["price_number"].implode())
    found = Detail() if detail is None else detail.of(lines.filter(by_detail.gather(lines["shared"])))
    refused = [read.refused]
    if detail is None:
        refused.append(read.detailed.select(list(REFUSED)))
    if detail is None or detail.of_period:
        refused.append(read.not_of_period)
    reasons = pl.concat(refused).unique(PRICE, maintain_order=True)
    if lines.height <= LINES_ALONE:
        return rate_lines(lines, known, read, found, reasons)
    cores = pl.thread_pool_size()
    rounds = ceil(lines.height / (cores * LINES_TOGETHER))
    with ThreadPoolExecutor(cores) as threads:
        parts = threads.map(
            lambda some: rate_lines(some, known, read, found.between(some["line"][0], some["line"][-1]), reasons),
            lines.iter_slices(ceil(lines.height / (cores * rounds))),
        )
        return pl.concat(parts)


def rate_lines(
    lines: pl.DataFrame, known: pl.DataFrame, prices: ReadPrices, detail: Detail, refused: pl.DataFrame
) -> pl.DataFrame:
    """Some of the lines, with their detail by line; ``refused`` are the prices that cannot be charged.

    ``known`` has the number of the price, and the hash, of what lines share.
    """
    hashes = detail.hashes()
    of_line = known[lines["shared"]]
    numbered = lines_of(lines, of_line["price_number"])
    worked = work_out(lines, numbered, prices, detail, hashes)
    finished = explained(worked, refused, problems(numbered, prices, detail))
    # Joined to the numbers alone: a join of whole lines would copy all that they hold.
    told = lines.select("line").join(hashes, on="line", how="left", maintain_order="left")
    ready = finished.with_columns(of_line["shared_hash"], told["detail"], price=pl.col("definition"))
    return checked(ready.with_columns(input_hash=input_hash()), RATED_LINES)


def measured(usage: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    """The lines to rate, each with its quantity and the evidence for it."""
    if lie_side_by_side(usage, prices):
        lines = prices.hstack(usage.drop(LINE))
    else:
        lines = prices.join(usage, on=LINE, how="left", validate="1:1", maintain_order="left")
    return lines.with_columns(
        pl.col("quantity").fill_null(pl.lit(0, dtype=QUANTITY)),
        pl.col("events", "windows").fill_null(pl.lit(0, dtype=pl.UInt64)),
    ).with_row_index("line")


def lie_side_by_side(usage: pl.DataFrame, prices: pl.DataFrame) -> bool:
    """Whether the usage is that of the prices row by row, as a store's answer is, and so needs no join.

    No pair of ids is there twice if their hashes are not; where two hashes meet, the join finds out.
    """
    if usage.height != prices.height or not usage.select(LINE).equals(prices.select(LINE)):
        return False
    return bool(prices.select(line_hash().n_unique()).item() == prices.height)


def explained(lines: pl.DataFrame, refused: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Say of each line what is wrong with it, if anything; a parked line keeps no amount and no arithmetic.

    ``refused`` are the prices that cannot be charged, ``told`` the lines that their model could not charge.
    """
    overflow = pl.when(pl.col("amount").is_null()).then(pl.lit(OVERFLOW))
    reasons = ["problem"]
    if not refused.is_empty():
        lines = lines.join(refused, on=PRICE, how="left", maintain_order="left")
        reasons.append("refused")
    if not told.is_empty():
        lines = lines.join(told, on="line", how="left", maintain_order="left", suffix="_told")
        reasons.append("problem_told")
    found = lines.with_columns(parked_reason=pl.coalesce(*reasons, overflow))
    if found["parked_reason"].null_count() == found.height:
        return found
    good = pl.col("parked_reason").is_null()
    return found.with_columns(
        amount=pl.when(good).then("amount").otherwise(pl.lit(None, dtype=AMOUNT)),
        tiers=pl.when(good).then("tiers").otherwise(pl.lit([], dtype=TIERS)),
    )
