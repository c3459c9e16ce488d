"""What a catalog file says, typed. ``None`` means that the file says nothing about it: what exists is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from catalog.late_usage import SAYS_NOTHING, LateUsage
from catalog.meter import Aggregation, Filter

DEFAULT_ZONE = "UTC"


@dataclass(frozen=True, slots=True)
class MerchantDeclaration:
    """Who sells; without a name it goes by its code."""

    code: str
    name: str | None = None
    late_usage: LateUsage = SAYS_NOTHING


@dataclass(frozen=True, slots=True)
class MeterDeclaration:
    """What happened; without a name it goes by its code."""

    code: str
    name: str | None
    event_type: str
    aggregation: Aggregation
    value_property: str | None
    group_by: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    billed: str | None = None
    expression: str | None = None


@dataclass(frozen=True, slots=True)
class PriceDeclaration:
    """What a meter costs in a plan; ``definition`` is canonical JSON text (see ``catalog.price``).

    ``effective_from`` is the day from which this version is sold; ``None`` for the one that the plan began with.
    """

    meter: str
    model: str
    definition: str
    effective_from: date | None = None


@dataclass(frozen=True, slots=True)
class PlanDeclaration:
    """Prices that are sold together, in one currency."""

    code: str
    name: str | None
    currency: str
    prices: tuple[PriceDeclaration, ...] = ()


@dataclass(frozen=True, slots=True)
class CustomerDeclaration:
    """Someone the merchant bills; ``key`` is the merchant's own key, which events name as their subject."""

    key: str
    name: str | None
    zone: str | None
    currency: str


@dataclass(frozen=True, slots=True)
class OverrideDeclaration:
    """What a meter costs one subscription, in periods that begin on days from ``price.effective_from`` to ``until``.

    The last is the first day without it; ``None`` for either is without bound.
    """

    price: PriceDeclaration
    until: date | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionDeclaration:
    """From the first instant of ``start`` to that of ``end``, days in the customer's zone; monthly from ``start``."""

    customer: str
    plan: str
    start: date
    end: date | None = None
    prices: tuple[OverrideDeclaration, ...] = ()


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that one document says about one merchant."""

    merchant: MerchantDeclaration
    meters: tuple[MeterDeclaration, ...] = ()
    plans: tuple[PlanDeclaration, ...] = ()
    customers: tuple[CustomerDeclaration, ...] = ()
    subscriptions: tuple[SubscriptionDeclaration, ...] = ()
    # Where the document's faults are reported: empty for a file of one document.
    path: str = ""


def sku(code: str, name: str | None = None) -> MeterDeclaration:
    """A product line sold by amount: the meter behind events of the flat form."""
    return MeterDeclaration(code, name, event_type=code, aggregation="sum", value_property="amount")
