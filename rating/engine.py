"""Rating: a pure function from usage and prices to charge lines, over all subscriptions at once.

Nothing here knows a clock, a database or a single subscription; preview, dry run and close all call ``rate``.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import Final, TypeVar

import polars as pl

from core.frames import checked
from rating.charge import AMOUNT, QUANTITY, RATED_LINES, TIERS
from rating.detail import LINE, Detail, line_hash
from rating.fingerprint import input_hash, shared_hash
from rating.inputs import DUE_PRICES, USAGE
from rating.priced import lines_of, problems
from rating.shared import Shared, shared_by
from rating.steps import work_out
from rating.terms import NONE_REFUSED, PRICE, REFUSED, ReadPrices, read_prices

First = TypeVar("First")
Second = TypeVar("Second")

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
    due, used = checked(prices, DUE_PRICES), checked(usage, USAGE)
    is_small = due.height <= LINES_ALONE
    (shared, read, found), lines = both(lambda: known_of(due, detail), lambda: measured(used, due), in_turn=is_small)
    lines = lines.hstack([shared.numbers.alias("shared")])
    known = shared.rows.select(shared_hash=shared_hash()).hstack([read.of_rows])
    reasons = refusals(read, detail)
    if is_small:
        return rate_lines(lines, known, read, found, reasons)
    cores = pl.thread_pool_size()
    rounds = ceil(lines.height / (cores * LINES_TOGETHER))
    with ThreadPoolExecutor(cores) as threads:
        parts = threads.map(
            lambda some: rate_lines(some, known, read, found.between(some["line"][0], some["line"][-1]), reasons),
            lines.iter_slices(ceil(lines.height / (cores * rounds))),
        )
        return pl.concat(parts)


def both(first: Callable[[], First], second: Callable[[], Second], *, in_turn: bool) -> tuple[First, Second]:
    """What two functions answer that need nothing of each other, one on another core unless they are asked in turn."""
    if in_turn:
        return first(), second()
    with ThreadPoolExecutor(1) as thread:
        beside = thread.submit(second)
        return first(), beside.result()


def known_of(prices: pl.DataFrame, detail: Detail | None) -> tuple[Shared, ReadPrices, Detail]:
    """What can be said of lines without their quantities: what they share, what their prices say, and their detail."""
    shared = shared_by(prices)
    read = read_prices(shared.rows)
    return shared, read, Detail() if detail is None else detail_of_lines(detail, prices, read, shared.numbers)


def detail_of_lines(detail: Detail, prices: pl.DataFrame, read: ReadPrices, shared: pl.Series) -> Detail:
    """The detail of lines whose price goes by it. What there is of others does not determine them, nor their hash."""
    if read.detailed.is_empty():
        return Detail(of_period=detail.of_period)
    by_detail = read.of_rows.is_in(read.detailed["price_number"].implode())
    return detail.of(prices.select(LINE).with_row_index("line").filter(by_detail[shared]))


def refusals(prices: ReadPrices, detail: Detail | None) -> pl.DataFrame:
    """The prices that cannot be charged (REFUSED), each with its first reason."""
    refused = [prices.refused]
    if detail is None:
        refused.append(prices.detailed.select(list(REFUSED)))
    if detail is None or detail.of_period:
        refused.append(prices.not_of_period)
    found = [some for some in refused if not some.is_empty()]
    return pl.concat(found).unique(PRICE, maintain_order=True) if found else NONE_REFUSED


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
    ready = finished.hstack([of_line["shared_hash"], told_detail(lines, hashes)])
    made = {"price": pl.col("definition"), "input_hash": input_hash()}
    return checked(ready.select(made[name].alias(name) if name in made else name for name in RATED_LINES), RATED_LINES)


def told_detail(lines: pl.DataFrame, hashes: pl.DataFrame) -> pl.Series:
    """The hash of each line's detail; null where it has none."""
    if hashes.is_empty():
        return pl.Series("detail", [None], dtype=pl.String).new_from_index(0, lines.height)
    # Lines are numbered in their order, so that the first tells where each of them lies.
    places = hashes["line"] - lines["line"][0]
    nothing = pl.Series([None], dtype=pl.UInt32).new_from_index(0, lines.height)
    return hashes["detail"].gather(nothing.scatter(places, pl.int_range(hashes.height, dtype=pl.UInt32, eager=True)))


def measured(usage: pl.DataFrame, prices: pl.DataFrame) -> pl.DataFrame:
    """The lines to rate, each with its quantity and the evidence for it."""
    if lie_side_by_side(usage, prices):
        lines = prices.hstack([usage[name] for name in USAGE if name not in LINE])
    else:
        lines = prices.join(usage, on=LINE, how="left", validate="1:1", maintain_order="left")
    if any(lines[name].null_count() for name in ("quantity", "events", "windows")):
        lines = lines.with_columns(
            pl.col("quantity").fill_null(pl.lit(0, dtype=QUANTITY)),
            pl.col("events", "windows").fill_null(pl.lit(0, dtype=pl.UInt64)),
        )
    return lines.with_row_index("line")


def lie_side_by_side(usage: pl.DataFrame, prices: pl.DataFrame) -> bool:
    """Whether the usage is that of the prices row by row, as a store's answer is, and so needs no join.

    No pair of ids is there twice if their hashes are not; where two hashes meet, the join finds out.
    """
    if usage.height != prices.height or not all(usage[name].equals(prices[name]) for name in LINE):
        return False
    return bool(prices.select(line_hash().n_unique()).item() == prices.height)


def explained(lines: pl.DataFrame, refused: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Say of each line what is wrong with it, if anything; a parked line keeps no amount and no arithmetic.

    ``refused`` are the prices that cannot be charged, ``told`` the lines that their model could not charge.
    """
    if all(frame.is_empty() for frame in (refused, told)) and nothing_wrong(lines):
        return lines.hstack([lines["problem"].alias("parked_reason")])
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


def nothing_wrong(lines: pl.DataFrame) -> bool:
    """Whether every line has an amount and its quantity no problem."""
    return lines["amount"].null_count() == 0 and lines["problem"].null_count() == lines.height
