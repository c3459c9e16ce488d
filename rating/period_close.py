"""What happens at month end, for all subscriptions at once.

    1. freeze   decide what counts: usage stored until a cut-off, the catalog at a version
    2. prices   find the subscriptions that are due, with every price of their plans
    3. claim    write down the runs and their freeze; refused while the stream is known to lack something
    4. dedupe   load the frozen quantities, and count anew what was stored more than once
    5. rate     work out the charge lines, park what cannot be billed
    6. record   charge lines, whatever is made of them, and the end of the runs: one transaction

A crash before 3 leaves nothing. A crash between 3 and 6 leaves claimed runs: the next close finishes them first, with
their own freeze, and so gets the lines that this one would have had. After 6 there is nothing left to do; a unique key
keeps a second line for the same period out, whatever else goes wrong. With ``commit`` off nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from sqlalchemy import Connection, Engine

from catalog.pricing import load_priced_subscriptions
from catalog.read_frame import read_frame
from clickhouse.client import UsageStore
from core.db import transaction
from core.ids import new_id
from core.period import parse_month
from rating.charge import CHARGE_LINES
from rating.completeness import Gap, refuse_gaps
from rating.due import due_prices, with_periods
from rating.engine import rate
from rating.freeze import Freeze, freeze_now, freezes_left
from rating.load_usage import load_usage
from rating.park import park_subscriptions
from rating.record import record_claims, record_lines, stamped
from rating.recount import recount

RATED_BEFORE = """
    SELECT DISTINCT subscription_id FROM charge_lines WHERE period = %(period)s AND parked_reason IS NULL
"""

HandOn = Callable[[Connection, pl.DataFrame], None]
OnStep = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Scope:
    """What to close: a month such as ``2023-11``, as seen at ``now``, of all merchants or of some (by id).

    ``gaps`` is what the stream is known to lack. Nothing new is claimed over gaps, unless ``even_if_incomplete``: then
    the runs keep them for the record. Runs that were claimed earlier are finished: what they count is decided.
    """

    period: str
    now: datetime
    merchant_ids: Collection[str] | None = None
    gaps: tuple[Gap, ...] = ()
    even_if_incomplete: bool = False

    def of(self, runs: Mapping[str, str]) -> dict[str, str]:
        """Those of some runs (by merchant) that belong to this scope."""
        return {
            merchant_id: run_id
            for merchant_id, run_id in runs.items()
            if self.merchant_ids is None or merchant_id in self.merchant_ids
        }


@dataclass(frozen=True, slots=True, eq=False)
class Closing:
    """What a close did. ``lines`` are its CHARGE_LINES, parked ones among them; the rest counts subscriptions."""

    lines: pl.DataFrame
    cutoff: datetime
    rated_before: int
    not_ended: int


def close_period(
    books: Engine, store: UsageStore, scope: Scope, *, hand_on: HandOn, on_step: OnStep, commit: bool = True
) -> Closing:
    """Rate every subscription whose period starts in the scope's month and has ended, once.

    ``hand_on`` is given the charge lines inside the transaction that records them, and ``on_step`` the name of each
    step. To be called inside ``sole_close``. Raises ``Conflict`` (``period_not_complete``) when something is due and
    the scope has gaps, ``Transient`` when a store does not answer, and ``Stop`` when somebody else closes the same
    period all the same; it can always be called again.
    """
    with transaction(books) as connection:
        left = freezes_left(connection, scope.period)
    parts = [
        close_frozen(books, store, scope, freeze, wanted, hand_on=hand_on, on_step=on_step, commit=commit)
        for freeze, runs in left.items()
        if (wanted := scope.of(runs))
    ]
    on_step("freeze")
    fresh = freeze_now(books, scope.now)
    seen = pl.concat([part.lines["subscription_id"] for part in parts]) if parts else None
    parts.append(
        close_frozen(books, store, scope, fresh, None, hand_on=hand_on, on_step=on_step, commit=commit, without=seen)
    )
    last = parts[-1]
    lines = pl.concat([part.lines for part in parts])
    finished = sum(billed_subscriptions(part.lines) for part in parts[:-1]) if commit else 0
    return Closing(lines, last.cutoff, last.rated_before - finished, last.not_ended)


def close_frozen(
    books: Engine,
    store: UsageStore,
    scope: Scope,
    freeze: Freeze,
    runs: Mapping[str, str] | None,
    *,
    hand_on: HandOn,
    on_step: OnStep,
    commit: bool,
    without: pl.Series | None = None,
) -> Closing:
    """Steps 2 to 6 for one freeze: for the ``runs`` (by merchant) that were claimed with it, or for new ones."""
    on_step("prices")
    periods, rated_before = load_periods(books, scope, freeze, runs)
    if without is not None:
        periods = periods.filter(~pl.col("subscription_id").is_in(without.implode()))
    prices = due_prices(periods, freeze.ended_by)
    not_ended = periods.filter(pl.col("period_end") > freeze.ended_by)["subscription_id"].n_unique()
    claimed = dict(runs) if runs is not None else new_runs(prices)
    if not claimed:
        return Closing(pl.DataFrame(schema=CHARGE_LINES), freeze.cutoff, rated_before, not_ended)

    on_step("claim")
    if commit and runs is None:
        if not scope.even_if_incomplete:
            refuse_gaps(scope.period, scope.gaps)
        with transaction(books) as connection:
            record_claims(connection, scope.period, freeze, claimed, scope.gaps)

    on_step("dedupe")
    usage = recount(books, store, load_usage(store, prices, freeze.cutoff), prices, freeze)

    on_step("rate")
    lines = stamped(park_subscriptions(rate(usage, prices)), scope.period, freeze, claimed)

    on_step("record")
    if commit:
        with transaction(books) as connection:
            record_lines(connection, scope.period, lines, claimed)
            hand_on(connection, lines)
    return Closing(lines, freeze.cutoff, rated_before, not_ended)


def load_periods(
    books: Engine, scope: Scope, freeze: Freeze, runs: Mapping[str, str] | None
) -> tuple[pl.DataFrame, int]:
    """The periods of the scope's month that have no charge lines yet, and how many subscriptions have them."""
    with transaction(books) as connection:
        priced = load_priced_subscriptions(connection, freeze.catalog_version)
        values = {"period": scope.period}
        rated = read_frame(connection, RATED_BEFORE, values, {"subscription_id": pl.String()})
    wanted = scope.merchant_ids if runs is None else list(runs)
    if wanted is not None:
        priced = priced.filter(pl.col("merchant_id").is_in(list(wanted)))
    periods = with_periods(priced, parse_month(scope.period))
    open_periods = periods.join(rated, on="subscription_id", how="anti", maintain_order="left")
    before = periods.join(rated, on="subscription_id", how="semi")["subscription_id"].n_unique()
    return open_periods, before


def billed_subscriptions(lines: pl.DataFrame) -> int:
    """How many subscriptions have lines that are not parked."""
    return lines.filter(pl.col("parked_reason").is_null())["subscription_id"].n_unique()


def new_runs(prices: pl.DataFrame) -> dict[str, str]:
    """A fresh run for each merchant with something due."""
    return {merchant_id: new_id("run") for merchant_id in prices["merchant_id"].unique().sort()}
