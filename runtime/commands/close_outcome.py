"""What ``millrace close`` says of what it did, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict

import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.money import Money
from core.quantity import plain_text
from invoicing.find import Total
from runtime.close import Closed

SHOWN_MAX = 20


def parked_rows(closed: Closed) -> list[dict[str, str]]:
    """The subscriptions that could not be billed, each once with its first reason."""
    parked = closed.closing.lines.filter(pl.col("parked_reason").is_not_null())
    # The line at fault comes before those that are only held back with it.
    first = parked.sort(pl.col("parked_reason").str.starts_with("held back"), maintain_order=True)
    columns = ("merchant_id", "subscription_id", "subject", "meter", "parked_reason")
    return first.unique("subscription_id", keep="first", maintain_order=True).select(columns).to_dicts()


def corrected_rows(closed: Closed) -> list[dict[str, str]]:
    """The lines of which something was stored more than once: what the windows said, and what is billed."""
    corrected = closed.closing.lines.filter(pl.col("corrected_from").is_not_null())
    names = ("merchant_id", "subscription_id", "subject", "meter")
    return [
        {name: row[name] for name in names}
        | {
            "windows_said": plain_text(row["corrected_from"]),
            "quantity": plain_text(row["quantity"]),
            "correction": plain_text(row["quantity"] - row["corrected_from"]),
        }
        for row in corrected.iter_rows(named=True)
    ]


def late_json(closed: Closed) -> dict[str, object]:
    """What was stored for the period after it was billed, by subscription and meter."""
    names = ("merchant_id", "subscription_id", "subject", "meter", "events", "policy")
    instants = ("cutoff", "first_window", "last_window", "last_stored_at")
    rows = closed.late.to_dicts()
    return {
        "events": sum(row["events"] for row in rows),
        "subscriptions": closed.late["subscription_id"].n_unique(),
        "usage": [
            {name: row[name] for name in names} | {name: row[name].isoformat() for name in instants} for row in rows
        ],
    }


def adjusted_rows(closed: Closed) -> list[dict[str, object]]:
    """What earlier periods have come to since they were billed: what this close bills of it, line by line."""
    names = ("merchant_id", "subscription_id", "subject", "meter", "for_period", "sequence", "currency")
    numbers = ("old_quantity", "new_quantity", "quantity", "old_amount", "new_amount", "amount")
    return [
        {name: row[name] for name in names}
        | {name: plain_text(row[name]) for name in numbers}
        | {name: row[name].isoformat() for name in ("billed_cutoff", "cutoff")}
        for row in closed.closing.adjustments.iter_rows(named=True)
    ]


def stuck_rows(closed: Closed) -> list[dict[str, str]]:
    """The adjustments that could not be worked out."""
    names = ("merchant_id", "subscription_id", "subject", "meter", "for_period", "parked_reason")
    return closed.closing.stuck.select(names).to_dicts()


def waiting_rows(closed: Closed) -> list[dict[str, object]]:
    """The periods that have ended and wait for late usage, and until when."""
    return [row | {"due_at": row["due_at"].isoformat()} for row in closed.closing.waiting.to_dicts()]


def new_totals(closed: Closed) -> list[Total]:
    """What the invoices of this close add up to, by state and currency."""
    grouped = closed.drafts.invoices.group_by("state", "currency").agg(
        pl.len(), pl.col("total_minor").cast(pl.Int128).sum()
    )
    rows = grouped.sort("state", "currency").iter_rows()
    return [Total(state, count, Money(int(minor), currency)) for state, currency, count, minor in rows]


def as_json(period: str, closed: Closed, totals: list[Total], dry_run: bool) -> dict[str, object]:
    """The outcome for programs: what this close did, and what the period holds now."""
    made = new_totals(closed)
    return {
        "period": period,
        "dry_run": dry_run,
        "cutoff": closed.closing.cutoff.isoformat(),
        "already_closed": closed.closing.rated_before,
        "not_ended": closed.closing.not_ended,
        "waiting": waiting_rows(closed),
        "drafted": sum(total.count for total in made if total.state == "draft"),
        "skipped": sum(total.count for total in made if total.state == "skipped"),
        "finalized": closed.finalized,
        "parked": parked_rows(closed),
        "corrected": corrected_rows(closed),
        "adjusted": adjusted_rows(closed),
        "not_adjusted": stuck_rows(closed),
        "incomplete": [asdict(gap) for gap in closed.gaps],
        "late": late_json(closed),
        "new": [total_json(total) for total in made],
        "invoices": [total_json(total) for total in totals],
    }


def total_json(total: Total) -> dict[str, object]:
    """One total for programs."""
    return {
        "state": total.state,
        "count": total.count,
        "currency": total.amount.currency,
        "total": str(total.amount.decimal()),
    }


def show(period: str, closed: Closed, totals: list[Total], dry_run: bool) -> None:
    """The outcome for people."""
    console = Console(highlight=False)
    done = closed.drafts.invoices.height + closed.finalized
    if dry_run:
        console.print(f"[bold]{period}, dry run:[/] nothing was written")
        show_drafts(console, closed.drafts.invoices)
    elif done == 0 and parked_rows(closed):
        console.print(f"[bold]{period}[/]: no invoice was written, for all that is left is parked")
    elif done == 0 and closed.closing.rated_before:
        console.print(f"[bold]{period} is already closed[/]: nothing is due, nothing was written")
    elif done == 0:
        console.print(f"[bold]{period}[/]: nothing is due")
    else:
        console.print(f"[bold]{period} closed[/] at the cut-off {closed.closing.cutoff.isoformat()}")
    for total in new_totals(closed) if dry_run else totals:
        console.print(f"  {total.count:>9,} {total.state:<10} {total.amount}")
    if closed.closing.not_ended:
        console.print(f"  {closed.closing.not_ended:>9,} subscriptions whose period has not ended yet")
    for row in closed.closing.waiting.head(SHOWN_MAX).iter_rows(named=True):
        console.print(
            f"  {row['subscriptions']:>9,} subscriptions in their grace, until {row['due_at']:%Y-%m-%d %H:%M} UTC"
        )
    show_parked(console, parked_rows(closed))
    show_corrected(console, corrected_rows(closed))
    show_adjusted(console, closed)
    show_gaps(console, closed, dry_run)
    show_late(console, closed.late)


def show_drafts(console: Console, drafts: pl.DataFrame) -> None:
    """What the first invoices would be."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("customer", "plan", "state"):
        table.add_column(name)
    table.add_column("total", justify="right")
    columns = ("subject", "plan", "state", "total_minor", "currency")
    for subject, plan, state, minor, currency in drafts.select(columns).head(SHOWN_MAX).iter_rows():
        table.add_row(Text(subject), Text(plan), state, str(Money(minor, currency)))
    console.print(table)
    if drafts.height > SHOWN_MAX:
        console.print(f"  … and {drafts.height - SHOWN_MAX:,} more")


def show_parked(console: Console, parked: list[dict[str, str]]) -> None:
    """Who could not be billed, and why."""
    if not parked:
        return
    console.print(f"\n[bold red]{len(parked):,} parked[/]: not billed; mend the reason and close again")
    for row in parked[:SHOWN_MAX]:
        console.print(Text(f"  {row['subject']} ({row['subscription_id']}), {row['meter']}: {row['parked_reason']}"))
    if len(parked) > SHOWN_MAX:
        console.print(f"  … and {len(parked) - SHOWN_MAX:,} more; --json lists all")


def show_corrected(console: Console, corrected: list[dict[str, str]]) -> None:
    """Which lines were counted from the events, because something was stored more than once."""
    if not corrected:
        return
    console.print(f"\n[bold yellow]{len(corrected):,} lines corrected[/]: usage was stored twice, and is billed once")
    for row in corrected[:SHOWN_MAX]:
        console.print(
            Text(f"  {row['subject']}, {row['meter']}: {row['quantity']}, where the windows say {row['windows_said']}")
        )
    if len(corrected) > SHOWN_MAX:
        console.print(f"  … and {len(corrected) - SHOWN_MAX:,} more; --json lists all")


def show_adjusted(console: Console, closed: Closed) -> None:
    """What earlier periods have come to since they were billed."""
    adjusted, stuck = closed.closing.adjustments, stuck_rows(closed)
    if not adjusted.is_empty():
        console.print(
            f"\n[bold yellow]{adjusted.height:,} lines for earlier periods[/]: what changed after their invoices"
        )
    lines = closed.drafts.lines.filter(pl.col("kind") == "adjustment")
    named = lines.join(closed.drafts.invoices.select("invoice_id", "subject", "currency"), on="invoice_id")
    columns = ("subject", "description", "amount_minor", "currency")
    for subject, description, minor, currency in named.select(columns).head(SHOWN_MAX).iter_rows():
        console.print(Text(f"  {subject}: {description}, {Money(minor, currency)}"))
    if named.height > SHOWN_MAX:
        console.print(f"  … and {named.height - SHOWN_MAX:,} more; --json lists all")
    if stuck:
        console.print(
            f"\n[bold red]{len(stuck):,} lines of earlier periods could not be rated again[/]: not billed yet"
        )
    for row in stuck[:SHOWN_MAX]:
        console.print(Text(f"  {row['subject']}, {row['meter']} of {row['for_period']}: {row['parked_reason']}"))


def show_gaps(console: Console, closed: Closed, dry_run: bool) -> None:
    """What the stream lacked."""
    if not closed.gaps:
        return
    consequence = "a close would be refused" if dry_run else "what it lacks is late usage once it comes"
    console.print(f"\n[bold yellow]The stream is not complete[/]: {consequence}")
    for gap in closed.gaps[:SHOWN_MAX]:
        console.print(Text(f"  {gap.message}"))
    if len(closed.gaps) > SHOWN_MAX:
        console.print(f"  … and {len(closed.gaps) - SHOWN_MAX:,} more; --json lists all")


def show_late(console: Console, late: pl.DataFrame) -> None:
    """What was stored for the period after it was billed."""
    if late.is_empty():
        return
    events, subscriptions = int(late["events"].sum()), late["subscription_id"].n_unique()
    console.print(
        f"\n[bold yellow]{events:,} events came late[/], for {subscriptions:,} subscriptions: no invoice was changed"
    )
    carried = late.filter(pl.col("policy") == "next_invoice")["subscription_id"].n_unique()
    if carried:
        console.print(f"  {carried:,} of them will have the difference on their next invoice")
    if carried < subscriptions:
        console.print(f"  {subscriptions - carried:,} of them are only reported, as their merchant wants it")
    for row in late.head(SHOWN_MAX).iter_rows(named=True):
        console.print(
            Text(
                f"  {row['subject']} ({row['subscription_id']}), {row['meter']}: {row['events']:,} events "
                f"from {row['first_window']:%Y-%m-%d %H:%M}, stored until {row['last_stored_at']:%Y-%m-%d %H:%M}"
            )
        )
    if late.height > SHOWN_MAX:
        console.print(f"  … and {late.height - SHOWN_MAX:,} more; --json lists all")
