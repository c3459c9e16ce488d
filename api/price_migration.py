"""``POST /v1/prices/migrate``: another version of a price for a plan's subscriptions, and first what it changes."""

from __future__ import annotations

from datetime import date
from decimal import Decimal, localcontext
from typing import Any

import polars as pl
from sqlalchemy import Engine

from catalog.document import read_day
from catalog.fields import Faults, Fields, kind_of
from clickhouse.client import UsageStore
from core.clock import Clock
from core.errors import Refused
from core.quantity import EXACT, plain_text
from rating.migrate_prices import Wish, migrate_prices, preview_migration
from rating.preview_case import read_json

AMOUNTS = ("old_amount", "new_amount", "amount")
NAMES = ("subject", "subscription_id", "currency", "problem")


def migrated(books: Engine, store: UsageStore, clock: Clock, merchant_id: str, body: bytes) -> dict[str, Any]:
    """The answer to ``{"plan", "meter", "to", "from", "preview"}``; nothing is written unless ``preview`` is false.

    ``to`` is the day from which the version is sold, null for the first one; ``from`` the day from which periods that
    begin are charged by it. Raises ``Refused`` with every fault by its path.
    """
    wish, preview = read_wish(merchant_id, read_json(body))
    if preview:
        return effect_json(preview_migration(books, store, wish, clock.now()))
    count, version = migrate_prices(books, wish)
    return {"migrated": count, "catalog_version": version}


def read_wish(merchant_id: str, raw: object) -> tuple[Wish, bool]:
    """What is asked for, and whether it is only to be looked at."""
    if not isinstance(raw, dict):
        raise Refused("body_not_mapping", f"the body must be a mapping of fields, not {kind_of(raw)}")
    faults = Faults()
    fields = Fields(raw, "", faults)
    plan, meter, to, since = fields.code("plan"), fields.code("meter"), read_day(fields, "to"), read_day(fields, "from")
    fields.required("from", raw.get("from"))
    preview = fields.take("preview")
    if preview not in (None, True, False):
        fields.fault("preview", "not_flag", f"must be true or false, not {kind_of(preview)}")
    fields.end()
    if faults.problems:
        raise Refused("migration_invalid", "the migration is invalid", problems=tuple(faults.problems))
    return Wish(merchant_id, plan, meter, to, since or date.min), preview is not False


def effect_json(effect: pl.DataFrame) -> dict[str, Any]:
    """Each subscription's last ended period at both prices, and the totals by currency; amounts are unrounded."""
    rows = [row_json(row) for row in effect.iter_rows(named=True)]
    totals: dict[str, dict[str, Decimal]] = {}
    with localcontext(EXACT):
        for row in effect.filter(pl.col("amount").is_not_null()).iter_rows(named=True):
            total = totals.setdefault(row["currency"], dict.fromkeys(AMOUNTS, Decimal(0)))
            for name in AMOUNTS:
                total[name] += row[name]
        told = {code: {name: plain_text(one) for name, one in total.items()} for code, total in totals.items()}
    return {"preview": True, "subscriptions": rows, "totals": told}


def row_json(row: dict[str, Any]) -> dict[str, Any]:
    """One subscription; null where no period has ended yet."""
    told = {name: row[name] for name in NAMES}
    told |= {name: None if row[name] is None else row[name].isoformat() for name in ("period_start", "period_end")}
    return told | {name: None if row[name] is None else plain_text(row[name]) for name in AMOUNTS}
