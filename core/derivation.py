"""What a bill takes of a meter whose quantity is worked out from its usage when a period is closed.

Windows add such a meter up as they do any other, by its aggregation. In texts that name how a line's quantity came
about, such as ``max bucket:hour:sum``, the derivation stands behind the aggregation and a blank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["bucket", "percentile", "held", "carried"]

UNIT_US: Final = {"second": 10**6, "minute": 60 * 10**6, "hour": 3_600 * 10**6, "day": 86_400 * 10**6}
BUCKETS: Final = ("minute", "hour", "day")
COMBINED_BY: Final = ("sum", "max", "min", "avg")
CARRIED: Final = ("end", "max", "rise")
# What a value that lasts may be added up from: changes of it, or the value itself.
LASTING: Final = ("sum", "latest")


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a quantity is worked out; ``by`` and ``combine`` are as the kind needs them.

    ``bucket``: the aggregation of each bucket of time (``by``), combined. ``percentile``: of all values, ``by`` of 100.
    ``held``: the value times how long it lasted, in units of time (``by``). ``carried``: the value at the ``end`` of
    the period, its ``max`` in it, or by how much it came to ``rise`` in it.
    """

    kind: Kind
    by: str
    combine: str = ""

    def __str__(self) -> str:
        return ":".join(part for part in (self.kind, self.by, self.combine) if part)

    @property
    def lasts(self) -> bool:
        """Whether what happened before a period counts in it."""
        return self.kind in ("held", "carried")


def read_derivation(text: str) -> Derivation:
    """The derivation that ``str`` wrote."""
    kind, by, *rest = text.split(":")
    assert kind in ("bucket", "percentile", "held", "carried"), f"unknown derivation {text}"
    return Derivation(kind, by, *rest)  # type: ignore[arg-type]


def derivation_of(aggregation: str) -> Derivation | None:
    """What stands behind an aggregation, if anything does."""
    _base, _, text = aggregation.partition(" ")
    return read_derivation(text) if text else None
