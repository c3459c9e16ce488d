"""What the simulated merchants sell: event types, meters over them, and prices."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Aggregation = Literal["count", "sum", "max", "latest", "unique"]

CURRENCIES = ("USD", "EUR", "JPY", "GBP", "KWD")
# What one dollar's worth of price is called in each currency, roughly, so that invoices look alike.
CURRENCY_SCALE = {"USD": "1", "EUR": "0.9", "JPY": "150", "GBP": "0.8", "KWD": "0.3"}
# None lies west of Greenwich: a month that is over in UTC is then over for every customer.
ZONES = ("UTC", "Europe/Berlin", "Asia/Tokyo")
REGIONS = ("eu", "us", "ap", "me")


@dataclass(frozen=True, slots=True)
class SimType:
    """An event type: how often it occurs in sixteen events, its largest whole value and its decimal places."""

    code: str
    share: int
    whole_max: int
    places: Literal[0, 3, 6]


@dataclass(frozen=True, slots=True)
class SimMeter:
    """A meter over one event type. ``value`` names a property; ``only_eu`` filters ``region = eu``."""

    code: str
    type: str
    aggregation: Aggregation
    value: str | None
    price: str
    graduated: bool = False
    group_by: tuple[str, ...] = ()
    only_eu: bool = False


@dataclass(frozen=True, slots=True)
class SimTier:
    """A graduated tier: up to and including ``up_to`` (none: without end), by ``unit_price``, plus ``flat_price``."""

    up_to: Decimal | None
    unit_price: Decimal
    flat_price: Decimal


@dataclass(frozen=True, slots=True)
class SimPrice:
    """A price per unit when ``tiers`` is empty, else graduated."""

    unit_price: Decimal
    tiers: tuple[SimTier, ...]


TYPES = (
    SimType("llm.request", 2, 8_000, 0),
    SimType("compute.job", 1, 900, 3),
    SimType("storage.hour", 1, 400, 6),
    SimType("network.out", 1, 50, 6),
    SimType("network.in", 1, 80, 6),
    SimType("api.call", 1, 10, 0),
    SimType("page.render", 1, 10, 0),
    SimType("email.sent", 1, 10, 0),
    SimType("seat.report", 1, 500, 0),
    SimType("database.size", 1, 2_000, 3),
    SimType("image.made", 1, 16, 0),
    SimType("speech.minute", 1, 60, 3),
    SimType("search.query", 1, 10, 0),
    SimType("vector.upsert", 1, 10_000, 0),
    SimType("gpu.hour", 1, 24, 6),
)
UNKNOWN_TYPE = "nothing.known"

METERS = (
    SimMeter("tokens", "llm.request", "sum", "value", "0.0000025", graduated=True),
    SimMeter("requests", "llm.request", "count", None, "0.0004"),
    SimMeter("storage_gb_hours", "storage.hour", "sum", "value", "0.000031"),
    SimMeter("gb_out", "network.out", "sum", "value", "0.09", graduated=True),
    SimMeter("calls", "api.call", "count", None, "0.001", graduated=True),
    SimMeter("compute_seconds", "compute.job", "sum", "value", "0.0000166667"),
    SimMeter("seats", "seat.report", "latest", "value", "12.5"),
    SimMeter("database_gb_peak", "database.size", "max", "value", "0.115"),
    SimMeter("active_users", "llm.request", "unique", "user", "0.05"),
    SimMeter("renders", "page.render", "count", None, "0.00002"),
    SimMeter("emails", "email.sent", "count", None, "0.0008", graduated=True),
    SimMeter("gb_in", "network.in", "sum", "value", "0.01"),
    SimMeter("images", "image.made", "sum", "value", "0.04", group_by=("model",)),
    SimMeter("speech_minutes", "speech.minute", "sum", "value", "0.006", graduated=True),
    SimMeter("searches", "search.query", "count", None, "0.0025"),
    SimMeter("vectors", "vector.upsert", "sum", "value", "0.0000004"),
    SimMeter("gpu_hours", "gpu.hour", "sum", "value", "2.49", graduated=True, group_by=("model", "region")),
    SimMeter("tokens_eu", "llm.request", "sum", "value", "0.0000005", only_eu=True),
    SimMeter("job_peak_seconds", "compute.job", "max", "value", "0.001"),
    SimMeter("mailed_users", "email.sent", "unique", "user", "0.01"),
)


def currency_of(merchant: int) -> str:
    """The currency in which a merchant bills."""
    return CURRENCIES[merchant % len(CURRENCIES)]


def zone_of(customer: int) -> str:
    """The zone in which a customer's months are counted."""
    return ZONES[customer % len(ZONES)]


def types_of(meters: int) -> tuple[SimType, ...]:
    """The event types over which the first ``meters`` meters run; no other types are sent."""
    used = {meter.type for meter in METERS[:meters]}
    return tuple(kind for kind in TYPES if kind.code in used)


def price_of(merchant: int, meter: SimMeter) -> SimPrice:
    """What a merchant asks for a meter: the meter's price, varied by merchant, in the merchant's currency."""
    factor = Decimal(10 + merchant % 7) / 10 * Decimal(CURRENCY_SCALE[currency_of(merchant)])
    unit = Decimal(meter.price) * factor
    if not meter.graduated:
        return SimPrice(unit, ())
    small, large = Decimal(1000), Decimal("25000.5")
    if meter.type == "llm.request":
        small, large = small * 100, large * 100
    tiers = (
        SimTier(small, unit, Decimal(0)),
        SimTier(large, unit * Decimal("0.8"), Decimal("1.5") * factor),
        SimTier(None, unit * Decimal("0.55"), Decimal(10) * factor),
    )
    return SimPrice(unit, tiers)
