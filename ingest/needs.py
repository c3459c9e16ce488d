"""Which properties the meters of an event type read as numbers, so that a wrong value is refused at the door."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

ValueProperties = Mapping[tuple[str, str], tuple[str, ...]]


class Needs(NamedTuple):
    """Value properties of one merchant's event type.

    ``required`` must be there and be decimals. ``optional`` belong to meters with filters, which may not count
    every event of the type: they are written plainly when they are decimals, and left alone otherwise.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


NO_NEEDS = Needs()


@dataclass(frozen=True, slots=True)
class DoorCatalog:
    """What the gateway knows of the catalog: needs by merchant id, then by event type."""

    version: int
    by_merchant: Mapping[str, Mapping[str, Needs]]

    def of(self, merchant_id: str) -> Mapping[str, Needs]:
        """The needs of a merchant's event types; types without an entry are accepted as they are."""
        return self.by_merchant.get(merchant_id, {})


def build_catalog(version: int, required: ValueProperties, optional: ValueProperties | None = None) -> DoorCatalog:
    """Arrange value properties, keyed by ``(merchant_id, event type)``, for the door."""
    optional = optional or {}
    by_merchant: dict[str, dict[str, Needs]] = {}
    for merchant_id, event_type in {*required, *optional}:
        first = required.get((merchant_id, event_type), ())
        rest = without(optional.get((merchant_id, event_type), ()), first)
        by_merchant.setdefault(merchant_id, {})[event_type] = Needs(first, rest)
    return DoorCatalog(version, by_merchant)


def without(names: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """``names`` that are not among ``others``, in order."""
    taken = set(others)
    return tuple(name for name in names if name not in taken)
