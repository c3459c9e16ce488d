"""Reading what a bill takes of a meter, where that is worked out from its usage when a period is closed."""

from __future__ import annotations

from typing import Final

from catalog.fields import Fields, kind_of
from core.derivation import BUCKETS, CARRIED, COMBINED_BY, LASTING, UNIT_US, Derivation
from core.quantity import plain_text

KINDS: Final = ("bucket", "percentile", "held", "carried")
PERCENT_MAX: Final = 100


def read_billed(fields: Fields, aggregation: str | None) -> str | None:
    """The derivation that ``billed`` declares, as a text; ``None`` where the quantity is the aggregation's own."""
    raw = fields.take("billed")
    if raw is None:
        return None
    if not isinstance(raw, dict):
        fields.fault("billed", "not_mapping", f"must be a mapping of fields, not {kind_of(raw)}")
        return None
    inner = Fields(raw, fields.at("billed"), fields.faults)
    named = [name for name in KINDS if inner.take(name) is not None]
    if len(named) != 1:
        fields.fault("billed", "billed_invalid", f"must say one of {', '.join(KINDS)}")
        return None
    found = read_kind(inner, named[0], aggregation)
    inner.end()
    return None if found is None else str(found)


def read_kind(fields: Fields, kind: str, aggregation: str | None) -> Derivation | None:
    """What it says of the kind, which must go with the aggregation."""
    if kind == "bucket":
        unit, combine = fields.one_of("bucket", BUCKETS), fields.one_of("combine", COMBINED_BY)
        return Derivation("bucket", unit, combine) if unit and combine else None
    if kind == "percentile":
        refuse_others(fields, kind, aggregation, ("sum", "min", "max", "latest", "avg"))
        return read_percentile(fields)
    if kind == "held":
        refuse_others(fields, kind, aggregation, LASTING)
        unit = fields.one_of("held", tuple(UNIT_US))
        return Derivation("held", unit) if unit else None
    what = fields.one_of("carried", CARRIED)
    # Changes that are sent add up to the rise by themselves.
    refuse_others(fields, kind, aggregation, ("latest",) if what == "rise" else LASTING)
    return Derivation("carried", what) if what else None


def read_percentile(fields: Fields) -> Derivation | None:
    """A number above 0, and 100 at most."""
    number = fields.decimal("percentile")
    if number is None:
        return None
    if not 0 < number <= PERCENT_MAX:
        fields.fault("percentile", "percentile_invalid", f"must be above 0 and at most {PERCENT_MAX}")
        return None
    return Derivation("percentile", plain_text(number))


def refuse_others(fields: Fields, kind: str, aggregation: str | None, fitting: tuple[str, ...]) -> None:
    """Note an aggregation that the kind does not go with."""
    if aggregation is not None and aggregation not in fitting:
        fields.fault(kind, "billed_not_with_aggregation", f"goes with {', '.join(fitting)}, not with {aggregation}")
