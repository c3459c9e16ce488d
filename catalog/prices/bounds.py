"""Checks of what several fields of a price say together."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from catalog.fields import Fields
from catalog.prices.kinds import Definition, decimal_of
from core.quantity import plain_text

Entries = list[Definition]


def entries_of(found: Definition, name: str) -> Entries:
    """A list of mappings of a spelling; empty after a fault."""
    entries = found.get(name)
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def check_bounds(fields: Fields, found: Definition) -> None:
    """Bounds must rise from above zero, and only the last tier is without end, so that every quantity has its tier."""
    reached = Decimal(0)
    tiers = entries_of(found, "tiers")
    for index, tier in enumerate(tiers):
        at = f"tiers[{index}].up_to"
        bound, end = tier.get("up_to"), decimal_of(tier, "up_to")
        last = index == len(tiers) - 1
        if bound is None and not last:
            fields.fault(at, "tier_endless", "only the last tier may be without end")
        elif bound is not None and bound != "" and last:
            fields.fault(at, "tier_bounded", "the last tier must be without end: up_to: null")
        elif end is not None and end <= reached:
            fields.fault(at, "tier_not_rising", f"must be above {plain_text(reached)}, where the tier before ends")
        reached = reached if end is None else max(reached, end)


def check_blocks(fields: Fields, found: Definition) -> None:
    """Only the last tier has blocks without end, and the units of all others can be added up."""
    tiers = entries_of(found, "tiers")
    reached = Decimal(0)
    for index, tier in enumerate(tiers):
        at = f"tiers[{index}].max_blocks"
        blocks, size = tier.get("max_blocks"), decimal_of(tier, "block_size")
        last = index == len(tiers) - 1
        if blocks is None and not last:
            fields.fault(at, "tier_endless", "only the last tier may be without end")
        elif blocks is not None and blocks != "" and last:
            fields.fault(at, "tier_bounded", "the last tier must be without end: max_blocks: null")
        elif blocks and size is not None:
            reached += Decimal(str(blocks)) * size
            if reached >= Decimal(10) ** 26:
                fields.fault(at, "value_too_large", "the units of the tiers so far do not fit 26 digits")


def check_pair(fields: Fields, found: Definition, one: str, other: str) -> None:
    """Two fields that mean nothing without each other."""
    for given, missing in ((one, other), (other, one)):
        if given in found and missing not in found and fields.take(missing) is None:
            fields.fault(missing, "field_missing", f"is required with {given}")


def check_matrix(fields: Fields, found: Definition) -> None:
    """Every entry names a value for each key, no group twice."""
    keys = found.get("group_by")
    if keys == []:
        fields.fault("group_by", "field_missing", "at least one key is required")
    seen: dict[str, int] = {}
    for index, entry in enumerate(entries_of(found, "prices")):
        group = entry.get("group")
        if not isinstance(group, dict) or not isinstance(keys, list):
            continue
        at = f"prices[{index}].group"
        if set(group) != set(keys):
            fields.fault(at, "group_incomplete", f"must have a value for each of {', '.join(keys)}, and no other")
        name = str(sorted(group.items()))
        if seen.setdefault(name, index) != index:
            fields.fault(at, "given_twice", f"prices[{seen[name]}] is for the same group")


def check_event_bounds(fields: Fields, found: Definition) -> None:
    """No event can cost more than the most and less than the least at once."""
    least, most = decimal_of(found, "per_event_min"), decimal_of(found, "per_event_max")
    if least is not None and most is not None and least > most:
        fields.fault("per_event_min", "minimum_above_maximum", f"must not be above per_event_max, {most}")


def refuse_with(fields: Fields, found: Definition, names: Sequence[str], reason: str) -> None:
    """Fields that do not go with a model."""
    for name in names:
        if name in found:
            fields.fault(name, "field_not_with_model", reason)
