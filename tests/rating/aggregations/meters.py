"""One meter for each way of aggregating, grouping, filtering and deriving, and the catalog file that declares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import orjson

from core.derivation import Derivation

MERCHANTS: Final = ("north", "south", "east", "west", "upper", "lower")
CUSTOMERS: Final = 9
# So small that the largest quantities can be charged.
UNIT_PRICE: Final = Decimal("0.000001")
# Months of the last two have a day of 25 hours in them, each on another day.
ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York")
# Which property of an event of a type must be a number, as a meter without filters reads it.
NUMBERS: Final = {
    "llm.request": ("tokens", "ms"),
    "network.out": ("gb",),
    "disk.size": ("gb",),
    "seat.change": ("change",),
}


@dataclass(frozen=True, slots=True)
class Sold:
    """A meter as the catalog file says it; ``billed`` is what a bill takes of it."""

    code: str
    type: str
    aggregation: str
    value: str | None = None
    group_by: tuple[str, ...] = ()
    filters: tuple[Mapping[str, Any], ...] = ()
    billed: Mapping[str, str] | None = None

    @property
    def derivation(self) -> Derivation | None:
        """What a bill takes, in one piece."""
        said = dict(self.billed or {})
        combine = said.pop("combine", "")
        return next((Derivation(kind, by, combine) for kind, by in said.items()), None)  # type: ignore[arg-type]

    def declared(self) -> dict[str, Any]:
        """The entry of the file."""
        found: dict[str, Any] = {"code": self.code, "event_type": self.type, "aggregation": self.aggregation}
        found |= {"value": self.value} if self.value else {}
        found |= {"group_by": list(self.group_by)} if self.group_by else {}
        found |= {"filters": list(self.filters)} if self.filters else {}
        return found | ({"billed": dict(self.billed)} if self.billed else {})


def on(name: str, op: str, *values: str) -> dict[str, Any]:
    """A condition on a property."""
    return {"property": name, "op": op} | ({"values": list(values)} if values else {})


LLM, NETWORK, DISK, SEAT = NUMBERS
FILTERS: Final[Mapping[str, tuple[Mapping[str, Any], ...]]] = {
    "eq": (on("region", "eq", "eu-west-1"),),
    "ne": (on("region", "ne", "eu-west-1"),),
    "in": (on("model", "in", "small-1", "large-2"),),
    "not-in": (on("region", "not_in", "us-east-1", "ap"),),
    "contains": (on("region", "contains", "-east", "ap"),),
    "prefix": (on("region", "prefix", "eu-"),),
    "exists": (on("cached", "exists"),),
    "lt": (on("size", "lt", "10"),),
    "lte": (on("size", "lte", "10"),),
    "gt": (on("ms", "gt", "1e2"),),
    "gte": (on("ms", "gte", "99.999"),),
    "and": (on("region", "prefix", "eu-"), {"all": [on("ms", "lt", "500"), on("cached", "exists")]}),
    "or": ({"any": [on("region", "eq", "ap"), on("size", "gte", "9.5"), on("model", "contains", "vision")]},),
    "not": ({"not": on("size", "lt", "10")},),
    "mixed": ({"any": [{"not": {"any": [on("cached", "exists"), on("region", "prefix", "us-")]}},
                       {"all": [on("ms", "gt", "250"), on("model", "ne", "small-1")]}]},),
}  # fmt: skip
PLAIN: Final = (
    Sold("requests", LLM, "count"),
    Sold("tokens", LLM, "sum", "tokens"),
    Sold("tokens-least", LLM, "min", "tokens"),
    Sold("tokens-most", LLM, "max", "tokens"),
    Sold("ms-mean", LLM, "avg", "ms"),
    Sold("ms-latest", LLM, "latest", "ms"),
    Sold("users", LLM, "unique", "user"),
    Sold("gb", NETWORK, "sum", "gb"),
    Sold("gb-mean", NETWORK, "avg", "gb"),
    Sold("gb-latest", NETWORK, "latest", "gb"),
)
BY_GROUP: Final = (
    Sold("sum-by", LLM, "sum", "tokens", ("region", "model")),
    Sold("users-by", LLM, "unique", "user", ("model", "region")),
    Sold("count-by", NETWORK, "count", None, ("peer", "zone")),
    Sold("mean-by", NETWORK, "avg", "gb", ("zone", "peer")),
    Sold("least-by", NETWORK, "min", "gb", ("zone", "peer")),
    Sold("most-by", NETWORK, "max", "gb", ("zone", "peer")),
    Sold("latest-by", DISK, "latest", "gb", ("pool", "disk")),
)
BUCKETS: Final = (
    ("max", "hour", "sum"),
    ("sum", "day", "max"),
    ("latest", "minute", "avg"),
    ("unique", "day", "sum"),
    ("count", "hour", "max"),
    ("avg", "day", "min"),
    ("min", "hour", "avg"),
)
DERIVED: Final = (
    *(
        Sold(f"b-{fold}-{unit}-{combine}", NETWORK, fold, None if fold == "count" else "gb",
             billed={"bucket": unit, "combine": combine})
        for fold, unit, combine in BUCKETS
    ),
    *(Sold(f"p-{percent}", LLM, "max", "ms", billed={"percentile": percent}) for percent in ("50", "95", "99.9")),
    Sold("disk-hours", DISK, "latest", "gb", ("pool", "disk"), billed={"held": "hour"}),
    Sold("disk-end", DISK, "latest", "gb", ("pool", "disk"), billed={"carried": "end"}),
    Sold("disk-most", DISK, "latest", "gb", ("pool", "disk"), billed={"carried": "max"}),
    Sold("seat-days", SEAT, "sum", "change", billed={"held": "day"}),
    Sold("seat-seconds", SEAT, "sum", "change", ("team",), billed={"held": "second"}),
    Sold("seats", SEAT, "sum", "change", billed={"carried": "end"}),
    Sold("seats-most", SEAT, "sum", "change", billed={"carried": "max"}),
)  # fmt: skip
FILTERED: Final = tuple(
    Sold(f"where-{name}", LLM, "sum", "tokens", filters=said)
    if place % 2
    else Sold(f"where-{name}", LLM, "count", filters=said)
    for place, (name, said) in enumerate(FILTERS.items())
)
METERS: Final = (*PLAIN, *BY_GROUP, *FILTERED, *DERIVED)


def subject_of(merchant: str, customer: int) -> str:
    """A customer's key, which is nobody else's, and whose zone its number says."""
    return f"{merchant}-{customer:03d}"


def zone_of(subject: str) -> str:
    """The zone in which a customer's months are counted."""
    return ZONES[int(subject.rsplit("-", 1)[1]) % len(ZONES)]


def catalog_text() -> str:
    """All merchants, each selling every meter to its customers."""
    return "\n---\n".join(orjson.dumps(document(merchant)).decode() for merchant in MERCHANTS)


def document(merchant: str) -> dict[str, Any]:
    """One merchant's catalog."""
    subjects = [subject_of(merchant, customer) for customer in range(CUSTOMERS)]
    prices = [{"meter": meter.code, "model": "per_unit", "unit_price": str(UNIT_PRICE)} for meter in METERS]
    return {
        "merchant": {"code": merchant, "name": merchant},
        "meters": [meter.declared() for meter in METERS],
        "plans": [{"code": "payg", "name": "Pay as you go", "currency": "KWD", "prices": prices}],
        "customers": [
            {"key": subject, "name": subject, "zone": zone_of(subject), "currency": "KWD"} for subject in subjects
        ],
        "subscriptions": [{"customer": subject, "plan": "payg", "start": "2023-10-01"} for subject in subjects],
    }
