"""The catalog's Postgres tables.

A row of a versioned table holds for the catalog versions ``from_version <= v < until_version`` (no end: still
holds), so a reader that names a version always sees the same catalog.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from core.db import metadata

catalog_version = Table(
    "catalog_version",
    metadata,
    # One row for the whole catalog: its lock puts writers in line, so that versions commit in their order.
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="single"),
)

merchants = Table(
    "merchants",
    metadata,
    Column("merchant_id", Text, primary_key=True),
    Column("code", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# What a merchant has said beyond its name; one without a row has the defaults.
merchant_settings = Table(
    "merchant_settings",
    metadata,
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), primary_key=True),
    Column("from_version", BigInteger, primary_key=True, autoincrement=False),
    Column("until_version", BigInteger, nullable=True),
    Column("late_grace_s", BigInteger, nullable=False),
    Column("late_policy", Text, nullable=False),
    Column("late_months_back", Integer, nullable=False),
    CheckConstraint("late_grace_s >= 0 and late_months_back >= 0", name="not_negative"),
    CheckConstraint("late_policy in ('next_invoice', 'report_only')", name="late_policy_known"),
    Index("uq_merchant_settings_live", "merchant_id", unique=True, postgresql_where=text("until_version is null")),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), nullable=False, index=True),
    # Enough of the key for people to tell their keys apart, far too little to guess the rest.
    Column("prefix", Text, nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("revoked_at", DateTime(timezone=True), nullable=True),
)

meters = Table(
    "meters",
    metadata,
    # A changed meter keeps its id and gets a new row; prices and windows refer to the id.
    Column("meter_id", Text, primary_key=True),
    Column("meter_version", Integer, primary_key=True, autoincrement=False),
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), nullable=False),
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("aggregation", Text, nullable=False),
    Column("value_property", Text, nullable=True),
    Column("group_by", JSONB, nullable=False),
    Column("filters", JSONB, nullable=False),
    # How a bill's quantity is worked out of the usage, as ``core.derivation`` writes it; null where it is the usage.
    Column("billed", Text, nullable=True),
    # What is worked out of an event in place of ``value_property``, as ``core.expression`` reads it.
    Column("expression", Text, nullable=True),
    Column("from_version", BigInteger, nullable=False),
    Column("until_version", BigInteger, nullable=True),
    CheckConstraint(
        "aggregation in ('count', 'sum', 'min', 'max', 'latest', 'unique', 'avg')", name="aggregation_known"
    ),
    CheckConstraint(
        "num_nonnulls(value_property, expression) = (case when aggregation = 'count' then 0 else 1 end)",
        name="value_present",
    ),
    CheckConstraint("expression is null or aggregation <> 'unique'", name="expression_numeric"),
    Index("uq_meters_live", "merchant_id", "code", unique=True, postgresql_where=text("until_version is null")),
)

customers = Table(
    "customers",
    metadata,
    Column("customer_id", Text, primary_key=True),
    Column("from_version", BigInteger, primary_key=True, autoincrement=False),
    Column("until_version", BigInteger, nullable=True),
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), nullable=False),
    Column("subject", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Index(
        "uq_customers_live",
        "merchant_id",
        "subject",
        unique=True,
        postgresql_where=text("until_version is null"),
    ),
)

plans = Table(
    "plans",
    metadata,
    Column("plan_id", Text, primary_key=True),
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), nullable=False),
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("merchant_id", "code"),
)

prices = Table(
    "prices",
    metadata,
    # One definition for ever: a changed price is a new row with a new id, so a charge line's price_id says all.
    Column("price_id", Text, primary_key=True),
    Column("plan_id", Text, ForeignKey("plans.plan_id"), nullable=False),
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), nullable=False, index=True),
    Column("meter_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("definition", JSONB, nullable=False),
    Column("currency", Text, nullable=False),
    Column("from_version", BigInteger, nullable=False),
    Column("until_version", BigInteger, nullable=True),
    # The day from which this version is sold; the one that a plan began with has the first day there is.
    Column("effective_from", Date, nullable=False, server_default=text("'0001-01-01'::date")),
    Index(
        "uq_prices_live",
        "plan_id",
        "meter_id",
        "effective_from",
        unique=True,
        postgresql_where=text("until_version is null"),
    ),
)

# Subscriptions that were given another version of a price than the one that was sold when they began, from a day on.
price_pins = Table(
    "price_pins",
    metadata,
    Column("subscription_id", Text, ForeignKey("subscriptions.subscription_id"), primary_key=True),
    Column("meter_id", Text, primary_key=True),
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), nullable=False),
    Column("holds_from", Date, primary_key=True),
    Column("from_version", BigInteger, primary_key=True, autoincrement=False),
    Column("until_version", BigInteger, nullable=True),
    Column("effective_from", Date, nullable=False),
    Index(
        "uq_price_pins_live",
        "subscription_id",
        "meter_id",
        "holds_from",
        unique=True,
        postgresql_where=text("until_version is null"),
    ),
)

# What single subscriptions pay instead of the price of their plan, in periods that begin within the days.
price_overrides = Table(
    "price_overrides",
    metadata,
    # As of prices: a changed one is a new row with a new id.
    Column("price_id", Text, primary_key=True),
    Column("subscription_id", Text, ForeignKey("subscriptions.subscription_id"), nullable=False),
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), nullable=False, index=True),
    Column("meter_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("definition", JSONB, nullable=False),
    Column("currency", Text, nullable=False),
    Column("holds_from", Date, nullable=False),
    Column("holds_until", Date, nullable=True),
    Column("from_version", BigInteger, nullable=False),
    Column("until_version", BigInteger, nullable=True),
    Index(
        "uq_price_overrides_live",
        "subscription_id",
        "meter_id",
        "holds_from",
        unique=True,
        postgresql_where=text("until_version is null"),
    ),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("plan_id", Text, ForeignKey("plans.plan_id"), nullable=False, index=True),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=True),
    Column("anchor_day", SmallInteger, nullable=False),
    Column("interval", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("from_version", BigInteger, nullable=False),
    # The version that set ends_at: earlier versions see a subscription without an end.
    Column("ended_version", BigInteger, nullable=True),
    CheckConstraint("ends_at > starts_at", name="has_length"),
    CheckConstraint("anchor_day between 1 and 31", name="anchor_day_of_month"),
    CheckConstraint("\"interval\" = 'month'", name="interval_known"),
    CheckConstraint("(ends_at is null) = (ended_version is null)", name="end_versioned"),
    Index(None, "merchant_id", "customer_id"),
)
