"""Ids that are types: a readable prefix, and ULIDs underneath so that they sort by time."""

from __future__ import annotations

from typing import NewType

from ulid import ULID

MerchantId = NewType("MerchantId", str)
CustomerId = NewType("CustomerId", str)
MeterId = NewType("MeterId", str)
PlanId = NewType("PlanId", str)
PriceId = NewType("PriceId", str)
SubscriptionId = NewType("SubscriptionId", str)
KeyId = NewType("KeyId", str)
RunId = NewType("RunId", str)
InvoiceId = NewType("InvoiceId", str)


def new_id(prefix: str) -> str:
    """Return a fresh id such as ``mer_01J…``; ``prefix`` names the kind without its underscore."""
    return f"{prefix}_{ULID()}"
