"""What happens at month end, for all subscriptions at once.

    1. freeze   decide what counts: usage stored until a cut-off, the catalog at a version
    2. prices   find the subscriptions that are due, with every price of their plans
    3. adjust   find what their earlier periods have come to since they were billed
    4. claim    write down the runs and their freeze; refused while the stream is known to lack something
    5. dedupe   load the frozen quantities, and count anew what was stored more than once; then the detail of prices
                by event, group or bucket
    6. rate     work out the charge lines, park what cannot be billed
    7. record   charge lines, adjustments, whatever is made of them, and the end of the runs: one transaction

A crash before 4 leaves nothing. A crash between 4 and 7 leaves claimed runs: the next close finishes them first, with
their own freeze, and so gets the lines that this one would have had. After 7 there is nothing left to do; unique keys
keep a second line for the same period out, and a second adjustment for the same difference, whatever else goes wrong.
With ``commit`` off nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl
from sqlalchemy import Connection, Engine

from catalog.late_usage import load_late_settings
from catalog.pricing import load_priced_subscriptions
from catalog.read_frame import read_frame
from clickhouse.client import UsageStore
from core.db import transaction
from core.ids import new_id
from core.period import parse_month
from rating.adjust import find_adjustments, posted
from rating.adjustment import ADJUSTMENTS
from rating.charge import CHARGE_LINES
from rating.completeness import Gap, refuse_gaps
from rating.derive import derive
from rating.due import due_prices, ended_targets, targets, waiting, with_due_times, with_periods
from rating.engine import rate
from rating.freeze import Freeze, freeze_now, freezes_left
from rating.load_detail import load_detail
from rating.load_usage import load_usage
from rating.park import park_subscriptions
from rating.record import record_adjustments, record_claims, record_lines, stamped
from rating.recount import recount

RATED_BEFORE = """
    SELECT DISTINCT subscription_id FROM charge_lines WHERE period = %(period)s AND parked_reason IS NULL
"""

ADJUSTED_BEFORE = "SELECT DISTINCT subscription_id FROM charge_adjustments WHERE period = %(period)s"

# Given charge lines (CHARGE_LINES) and adjustments (ADJUSTMENTS).
HandOn = Callable[[Connection, pl.DataFrame, pl.DataFrame], None]
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
    """What a close did. ``lines`` are its CHARGE_LINES, parked ones among them, ``adjustments`` those that it posted.

    ``stuck`` are FOUND_ADJUSTMENTS that could not be worked out; the next close tries them again. ``waiting`` (WAITING)
    are the periods in their grace; the rest counts subscriptions.
    """

    lines: pl.DataFrame
    adjustments: pl.DataFrame
    stuck: pl.DataFrame
    cutoff: datetime
    rated_before: int
    not_ended: int
    waiting: pl.DataFrame


def close_period(
    books: Engine, store: UsageStore, scope: Scope, *, hand_on: HandOn, on_step: OnStep, commit: bool = True
) -> Closing:
    """Rate every subscription whose period starts in the scope's month and has ended, once.

    ``hand_on`` is given charge lines and adjustments inside the transaction that records them, and ``on_step`` the name
    of each step. To be called inside ``sole_close``. Raises ``Conflict`` (``period_not_complete``) when something is
    due and the scope has gaps, ``Transient`` when a store does not answer, and ``Stop`` when somebody else closes the
    same period all the same; it can always be called again.
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
    seen = [frame["subscription_id"] for part in parts for frame in (part.lines, part.adjustments)]
    parts.append(
        close_frozen(books, store, scope, fresh, None, hand_on=hand_on, on_step=on_step, commit=commit, seen=seen)
    )
    last = parts[-1]
    finished = sum(billed_subscriptions(part.lines) for part in parts[:-1]) if commit else 0
    return replace(
        last,
        lines=pl.concat([part.lines for part in parts]),
        adjustments=pl.concat([part.adjustments for part in parts]),
        stuck=pl.concat([part.stuck for part in parts]),
        rated_before=last.rated_before - finished,
    )


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
    seen: Sequence[pl.Series] = (),
) -> Closing:
    """Steps 2 to 7 for one freeze: for the ``runs`` (by merchant) that were claimed with it, or for new ones.

    Subscriptions that were ``seen`` with another freeze are left out.
    """
    on_step("prices")
    month = load_month(books, scope, freeze, runs, seen)
    prices = due_prices(month.periods, freeze.ended_by)

    on_step("adjust")
    found = find_adjustments(books, store, scope.period, freeze, month.targets)
    nothing = nothing_billed(month, freeze, found)
    claimed = dict(runs) if runs is not None else new_runs(prices, found)
    if not claimed:
        return nothing

    on_step("claim")
    if commit and runs is None:
        if not scope.even_if_incomplete:
            refuse_gaps(scope.period, scope.gaps)
        with transaction(books) as connection:
            record_claims(connection, scope.period, freeze, claimed, scope.gaps)

    on_step("dedupe")
    usage = load_usage(store, prices, freeze.cutoff)
    if not prices.is_empty():
        usage = derive(books, store, recount(books, store, usage, prices, freeze), prices, freeze)
    detail, usage = load_detail(books, store, usage, prices, freeze)

    on_step("rate")
    lines = stamped(park_subscriptions(rate(usage, prices, detail)), scope.period, freeze, claimed)
    # What was parked has no invoice yet that could take adjustments.
    parked = lines.filter(pl.col("parked_reason").is_not_null())
    kept = found.join(parked, on="subscription_id", how="anti", maintain_order="left")
    adjustments = posted(kept, scope.period, freeze, claimed)

    on_step("record")
    if commit:
        with transaction(books) as connection:
            record_lines(connection, scope.period, lines, claimed)
            record_adjustments(connection, adjustments)
            hand_on(connection, lines, adjustments)
    return replace(nothing, lines=lines, adjustments=adjustments)


@dataclass(frozen=True, slots=True, eq=False)
class Month:
    """What a month may have to bill: periods without charge lines (``with_due_times``), and whose invoices are due.

    ``targets`` (TARGETS) are the subscriptions whose earlier periods may be adjusted; ``rated_before`` counts those
    that have their charge lines.
    """

    periods: pl.DataFrame
    targets: pl.DataFrame
    rated_before: int


def nothing_billed(month: Month, freeze: Freeze, found: pl.DataFrame) -> Closing:
    """What is known of a month before anything of it is billed; ``found`` are FOUND_ADJUSTMENTS."""
    return Closing(
        lines=pl.DataFrame(schema=CHARGE_LINES),
        adjustments=pl.DataFrame(schema=ADJUSTMENTS),
        stuck=found.filter(pl.col("parked_reason").is_not_null()),
        cutoff=freeze.cutoff,
        rated_before=month.rated_before,
        not_ended=month.periods.filter(pl.col("period_end") > freeze.ended_by)["subscription_id"].n_unique(),
        waiting=waiting(month.periods, freeze.ended_by),
    )


def load_month(
    books: Engine, scope: Scope, freeze: Freeze, runs: Mapping[str, str] | None, seen: Sequence[pl.Series]
) -> Month:
    """The scope's month as of a freeze, for some runs (by merchant) or for everybody."""
    values, one_column = {"period": scope.period}, dict[str, pl.DataType](subscription_id=pl.String())
    with transaction(books) as connection:
        priced = load_priced_subscriptions(connection, freeze.catalog_version)
        settings = load_late_settings(connection, freeze.catalog_version)
        rated = read_frame(connection, RATED_BEFORE, values, one_column)
        adjusted = read_frame(connection, ADJUSTED_BEFORE, values, one_column)
    wanted = scope.merchant_ids if runs is None else list(runs)
    if wanted is not None:
        priced = priced.filter(pl.col("merchant_id").is_in(list(wanted)))
    if seen:
        priced = priced.filter(~pl.col("subscription_id").is_in(pl.concat(seen).implode()))
    month = parse_month(scope.period)
    periods = with_periods(priced, month)
    unrated = periods.join(rated, on="subscription_id", how="anti", maintain_order="left")
    before = periods.join(rated, on="subscription_id", how="semi")["subscription_id"].n_unique()
    open_periods = with_due_times(unrated, settings)
    ended = ended_targets(priced, month, settings, freeze.ended_by)
    late_ones = ended.join(adjusted, on="subscription_id", how="anti", maintain_order="left")
    return Month(open_periods, pl.concat([targets(open_periods, freeze.ended_by), late_ones]), before)


def billed_subscriptions(lines: pl.DataFrame) -> int:
    """How many subscriptions have lines that are not parked."""
    return lines.filter(pl.col("parked_reason").is_null())["subscription_id"].n_unique()


def new_runs(prices: pl.DataFrame, found: pl.DataFrame) -> dict[str, str]:
    """A fresh run for each merchant with something due, or with something to adjust."""
    postable = found.filter(pl.col("parked_reason").is_null())
    merchants = pl.concat([prices["merchant_id"], postable["merchant_id"]])
    return {merchant_id: new_id("run") for merchant_id in merchants.unique().sort()}
