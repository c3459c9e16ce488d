"""What a merchant wants done with usage that comes after its period ended, or after it was billed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, get_args

import polars as pl
from sqlalchemy import Connection, insert, select

from catalog.duration import duration_text, parse_duration
from catalog.fields import Fields
from catalog.tables import merchant_settings
from catalog.version import close_rows, holds_at
from core.frames import Schema

# next_invoice  the difference is a line of the next invoice
# report_only   it is reported, and billed to nobody
Policy = Literal["next_invoice", "report_only"]
POLICIES: Final[tuple[Policy, ...]] = get_args(Policy)
NOT_YET_AVAILABLE: Final = ("credit_note", "void_and_reissue")

# A period that waits longer would still be open when the next but one is due.
GRACE_MAX: Final = timedelta(days=31)
MONTHS_BACK_MAX: Final = 120

NO_GRACE: Final = timedelta(0)
DEFAULT_POLICY: Final[Policy] = "next_invoice"
DEFAULT_MONTHS_BACK: Final = 12

# The settings of merchants that have said something; whoever is not there has the defaults.
LATE_SETTINGS: Final[Schema] = {
    "merchant_id": pl.String(),
    "grace": pl.Duration("us"),
    "policy": pl.String(),
    "months_back": pl.Int64(),
}


@dataclass(frozen=True, slots=True)
class LateUsage:
    """What a file says of late usage; ``None`` keeps what was said before, or the default."""

    grace: timedelta | None = None
    policy: Policy | None = None
    months_back: int | None = None

    def or_else(self, before: LateUsage) -> LateUsage:
        """This, and where it says nothing, what was before."""
        return LateUsage(
            before.grace if self.grace is None else self.grace,
            self.policy or before.policy,
            before.months_back if self.months_back is None else self.months_back,
        )

    def says(self) -> dict[str, str | None]:
        """Its fields as text."""
        return {
            "late_usage.grace": None if self.grace is None else duration_text(self.grace),
            "late_usage.policy": self.policy,
            "late_usage.months_back": None if self.months_back is None else str(self.months_back),
        }


SAYS_NOTHING: Final = LateUsage()
DEFAULT_LATE_USAGE: Final = LateUsage(NO_GRACE, DEFAULT_POLICY, DEFAULT_MONTHS_BACK)


def read_late_usage(merchant: Fields) -> LateUsage:
    """The entry ``late_usage`` of a merchant."""
    raw = merchant.take("late_usage")
    if raw is None:
        return SAYS_NOTHING
    if not isinstance(raw, dict):
        merchant.fault("late_usage", "not_mapping", "must be a mapping: late_usage: {grace: 2h, policy: next_invoice}")
        return SAYS_NOTHING
    fields = Fields(raw, merchant.at("late_usage"), merchant.faults)
    found = LateUsage(read_grace(fields), read_policy(fields), read_months_back(fields))
    fields.end()
    return found


def read_grace(fields: Fields) -> timedelta | None:
    """How long a period stays open after its end."""
    text = fields.optional_text("grace")
    if text is None:
        return None
    grace = parse_duration(text)
    if grace is None:
        fields.fault("grace", "duration_invalid", f"must be a length of time such as 90m, 2h or 1d12h, not {text!r}")
    elif grace > GRACE_MAX:
        fields.fault("grace", "grace_too_long", f"must be {duration_text(GRACE_MAX)} at most, not {text}")
    return grace


def read_policy(fields: Fields) -> Policy | None:
    """What becomes of usage that comes after its period was billed."""
    text = fields.optional_text("policy")
    if text is None:
        return None
    found = next((policy for policy in POLICIES if policy == text), None)
    if text in NOT_YET_AVAILABLE:
        fields.fault("policy", "policy_not_yet_available", f"{text} is not available yet; {' or '.join(POLICIES)} is")
    elif found is None:
        fields.fault("policy", "choice_unknown", f"must be one of {', '.join(POLICIES)}, not {text!r}")
    return found


def read_months_back(fields: Fields) -> int | None:
    """How many months before the one that is closed are still looked at."""
    raw = fields.take("months_back")
    if raw is None:
        return None
    text = str(raw)
    if not (text.isascii() and text.isdigit()) or int(text[:9]) > MONTHS_BACK_MAX:
        fields.fault("months_back", "months_invalid", f"must be a whole number from 0 to {MONTHS_BACK_MAX}, not {text}")
        return None
    return int(text)


def known_late_usage(connection: Connection, merchant_id: str) -> LateUsage:
    """What holds for a merchant now, defaults included."""
    columns = merchant_settings.c
    row = connection.execute(
        select(columns.late_grace_s, columns.late_policy, columns.late_months_back).where(
            columns.merchant_id == merchant_id, columns.until_version.is_(None)
        )
    ).one_or_none()
    if row is None:
        return DEFAULT_LATE_USAGE
    return LateUsage(timedelta(seconds=row.late_grace_s), row.late_policy, row.late_months_back)


def write_late_usage(connection: Connection, merchant_id: str, version: int, settings: LateUsage) -> None:
    """Write down what holds from ``version`` on."""
    assert settings.grace is not None, "what is written is whole"
    close_rows(connection, merchant_settings.c.merchant_id, [merchant_id], version)
    values = {
        "merchant_id": merchant_id,
        "from_version": version,
        "late_grace_s": int(settings.grace.total_seconds()),
        "late_policy": settings.policy,
        "late_months_back": settings.months_back,
    }
    connection.execute(insert(merchant_settings).values(values))


def load_late_settings(connection: Connection, version: int) -> pl.DataFrame:
    """LATE_SETTINGS as of a catalog version."""
    columns = merchant_settings.c
    rows = connection.execute(
        select(columns.merchant_id, columns.late_grace_s, columns.late_policy, columns.late_months_back).where(
            holds_at(merchant_settings, version)
        )
    )
    told = [(merchant_id, timedelta(seconds=grace_s), policy, back) for merchant_id, grace_s, policy, back in rows]
    return pl.DataFrame(told, schema=LATE_SETTINGS, orient="row")


def with_late_settings(frame: pl.DataFrame, settings: pl.DataFrame) -> pl.DataFrame:
    """A frame with a column ``merchant_id``, and its merchants' grace, policy and months_back added."""
    return frame.join(settings, on="merchant_id", how="left", maintain_order="left").with_columns(
        pl.col("grace").fill_null(pl.lit(NO_GRACE)),
        pl.col("policy").fill_null(DEFAULT_POLICY),
        pl.col("months_back").fill_null(DEFAULT_MONTHS_BACK),
    )
