"""Which envelopes were sealed: per producer, the sequence numbers as ranges."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from uuid import UUID

# {producer as 32 hex digits: [[first, last], ...]}, ranges ascending, apart by at least one missing number.
Ranges = dict[str, list[list[int]]]


class SealedSequences:
    """A set of (producer, sequence) pairs that never changes; ``with_added`` makes a larger one.

    A gateway numbers its envelopes 1, 2, 3, ... for each partition, so a whole process usually is one range.
    """

    __slots__ = ("_ranges",)

    def __init__(self, ranges: Mapping[str, list[list[int]]] | None = None) -> None:
        self._ranges: Ranges = {name: [list(pair) for pair in pairs] for name, pairs in (ranges or {}).items()}

    def __contains__(self, pair: tuple[UUID, int]) -> bool:
        producer, sequence = pair
        ranges = self._ranges.get(producer.hex, [])
        index = bisect_right(ranges, [sequence, 2**64]) - 1
        return index >= 0 and ranges[index][0] <= sequence <= ranges[index][1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SealedSequences) and self._ranges == other._ranges

    __hash__ = None  # type: ignore[assignment]

    def with_added(self, pairs: Iterable[tuple[UUID, int]]) -> SealedSequences:
        """The same set with more pairs in it."""
        added: dict[str, set[int]] = {}
        for producer, sequence in pairs:
            added.setdefault(producer.hex, set()).add(sequence)
        larger = SealedSequences(self._ranges)
        for name, numbers in added.items():
            larger._ranges[name] = joined([*larger._ranges.get(name, []), *([n, n] for n in numbers)])
        return larger

    def as_json(self) -> Ranges:
        """The ranges, as the ledger keeps them."""
        return {name: [list(pair) for pair in pairs] for name, pairs in self._ranges.items()}


def joined(ranges: list[list[int]]) -> list[list[int]]:
    """Ranges sorted and merged where they touch or overlap."""
    result: list[list[int]] = []
    for first, last in sorted(ranges):
        if result and first <= result[-1][1] + 1:
            result[-1][1] = max(result[-1][1], last)
        else:
            result.append([first, last])
    return result
