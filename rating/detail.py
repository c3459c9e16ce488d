"""Usage in more detail than one quantity a line, for prices that charge by event, by group or by bucket of time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from operator import or_
from typing import Final

import polars as pl
import polars_hash as plh

from core.frames import Schema, checked
from rating.charge import INSTANT, QUANTITY
from rating.exact import UNITS
from rating.shapes import NO_STEPS, completed

# Any number of rows per (subscription_id, price_id); ``order`` is the order of time, ``value`` the amount.
USAGE_EVENTS: Final[Schema] = {
    "subscription_id": pl.String(),
    "price_id": pl.String(),
    "order": pl.Int64(),
    "value": QUANTITY,
}

# One row per (subscription_id, price_id) and group; ``group`` is JSON text as of ``rating.models.matrix.group_text``.
USAGE_GROUPS: Final[Schema] = {
    "subscription_id": pl.String(),
    "price_id": pl.String(),
    "group": pl.String(),
    "value": QUANTITY,
}

# A row per (subscription_id, price_id) and bucket of time that was used, by its start; ``buckets`` is 1. Those without
# usage are one row more, without a start: so many ``buckets`` of 0.
USAGE_BUCKETS: Final[Schema] = {
    "subscription_id": pl.String(),
    "price_id": pl.String(),
    "bucket": INSTANT,
    "buckets": pl.Int64(),
    "value": QUANTITY,
}
DETAIL: Final = {"events": USAGE_EVENTS, "groups": USAGE_GROUPS, "buckets": USAGE_BUCKETS}
LINE: Final = ("subscription_id", "price_id")
# What stands between the entries under the hash.
SEPARATOR: Final = "\x1e"
NO_HASHES: Final = pl.DataFrame(schema={"line": pl.UInt32(), "detail": pl.String()})


@dataclass(frozen=True, slots=True, eq=False)
class Detail:
    """Events (USAGE_EVENTS), groups (USAGE_GROUPS) and buckets (USAGE_BUCKETS), or all by ``line``; ``None`` for none.

    ``of_period`` says that it is all there is of periods that have ended, as a close has it.
    """

    events: pl.DataFrame | None = None
    groups: pl.DataFrame | None = None
    buckets: pl.DataFrame | None = None
    of_period: bool = False

    def of(self, lines: pl.DataFrame) -> Detail:
        """The same by line instead of by subscription and price, in an order that is the same in every run."""
        given = {
            name: checked(frame, schema)
            for name, schema in DETAIL.items()
            if (frame := getattr(self, name)) is not None and not frame.is_empty()
        }
        numbers = line_numbers(list(given.values()), lines) if given else []
        wanted = []
        for frame, line in zip(given.values(), numbers, strict=True):
            own = frame.columns[len(LINE) :]
            wanted.append(frame.lazy().select(line, *own).drop_nulls("line").sort("line", *own))
        found = dict(zip(given, pl.collect_all(wanted), strict=True))
        return Detail(**found, of_period=self.of_period)

    def between(self, first: int, last: int) -> Detail:
        """What there is of some lines, of a detail by line."""

        def some(frame: pl.DataFrame | None) -> pl.DataFrame | None:
            if frame is None:
                return None
            begin, end = frame["line"].search_sorted(first, "left"), frame["line"].search_sorted(last, "right")
            return frame[begin:end]

        return Detail(some(self.events), some(self.groups), some(self.buckets), self.of_period)

    def hashes(self) -> pl.DataFrame:
        """Rows of (line, detail): SHA-256 of all that is said of a line beside its quantity, where that is anything."""
        if self.events is None and self.groups is None and self.buckets is None:
            return NO_HASHES
        start = pl.col("bucket").dt.epoch("us").cast(pl.String).fill_null("")
        parts = [
            joined(frame.select("line", text=pl.concat_str(first, pl.lit("="), "value")))
            for frame, first in (
                (self.events, pl.col("order").cast(pl.String)),
                (self.groups, pl.col("group")),
                (self.buckets, pl.concat_str(start, pl.lit("*"), "buckets")),
            )
            if frame is not None
        ]
        nothing = pl.DataFrame(schema={"line": pl.UInt32(), "text": pl.String()})
        # A line has mostly one of the three.
        every = pl.concat([nothing, *parts])
        texts = every if every["line"].n_unique() == every.height else joined(every)
        hashed = plh.col("text").chash.sha2_256() if texts.height else pl.col("text")
        return texts.select("line", detail=hashed)


def line_numbers(frames: list[pl.DataFrame], lines: pl.DataFrame) -> list[pl.Series]:
    """The ``line`` of each row of the frames, null where it has none.

    Rows of a line mostly lie together, and are looked up together.
    """
    begins = reduce(or_, (pl.col(name) != pl.col(name).shift() for name in LINE)).fill_null(value=True)
    are_first = [found.to_series() for found in pl.collect_all(frame.lazy().select(begins) for frame in frames)]
    runs = pl.concat(frame.select(LINE).filter(first) for frame, first in zip(frames, are_first, strict=True))
    # A number is found in half the time that two texts take. Where hashes meet by chance, the texts differ.
    keys = lines.select("line", line_hash().alias("hash"), **{f"{name}_of_line": name for name in LINE})
    hashed = runs.with_row_index("run").with_columns(line_hash().alias("hash")).join(keys, on="hash")
    found = hashed.filter(pl.col(name) == pl.col(f"{name}_of_line") for name in LINE)
    of_run = pl.Series("line", [None], dtype=pl.UInt32).new_from_index(0, runs.height)
    of_run = of_run.scatter(found["run"], found["line"])
    numbers = of_run.gather(pl.concat(are_first).cum_sum() - 1)
    ends = accumulate(frame.height for frame in frames)
    return [numbers[end - frame.height : end] for frame, end in zip(frames, ends, strict=True)]


def joined(texts: pl.DataFrame) -> pl.DataFrame:
    """The texts of each line in one. A ``group_by`` that joins texts itself takes seven times as long."""
    lists = texts.group_by("line", maintain_order=True).agg("text")
    return lists.with_columns(pl.col("text").list.join(SEPARATOR))


def line_hash() -> pl.Expr:
    """A number for the pair of ids that a line has; two pairs may have the same."""
    subscription_id, price_id = (pl.col(name).hash(seed) for seed, name in enumerate(LINE))
    return subscription_id ^ price_id


def told_inputs(hashes: pl.DataFrame) -> pl.DataFrame:
    """A row of STEPS for each line with detail: the hash of it, so that the line's own hash can be worked out again."""
    if hashes.is_empty():
        return NO_STEPS
    rows = hashes.select(
        "line", tier=pl.lit(0, dtype=pl.UInt32), group="detail", label=pl.lit("inputs"), amount=pl.lit(0, dtype=UNITS)
    )
    return completed(rows)
