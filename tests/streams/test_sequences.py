"""Sets of sequence numbers behave like sets, and stay small."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from streams.sequences import SealedSequences

pairs = st.lists(st.tuples(st.sampled_from([UUID(int=1), UUID(int=2)]), st.integers(1, 40)), max_size=60)


@given(pairs, pairs)
def test_it_holds_what_was_added_and_nothing_else(
    first: list[tuple[UUID, int]], second: list[tuple[UUID, int]]
) -> None:
    """In whatever order and however often."""
    found = SealedSequences().with_added(first).with_added(second)

    expected = {*first, *second}
    assert {(p, n) for p in (UUID(int=1), UUID(int=2)) for n in range(45) if (p, n) in found} == expected


@given(pairs)
def test_it_survives_the_ledger(added: list[tuple[UUID, int]]) -> None:
    """Written as JSON and read again it is equal."""
    found = SealedSequences().with_added(added)

    assert SealedSequences(found.as_json()) == found


def test_neighbouring_numbers_become_one_range() -> None:
    """A gateway that never skips a number costs one range, whatever the order of the seals."""
    producer = UUID(int=1)

    found = SealedSequences().with_added((producer, number) for number in [5, 1, 2, 9, 4, 3])

    assert found.as_json() == {producer.hex: [[1, 5], [9, 9]]}


def test_adding_leaves_the_smaller_set_as_it_was() -> None:
    """A block that is done again must see what it saw the first time."""
    before = SealedSequences().with_added([(UUID(int=1), 1)])
    before.with_added([(UUID(int=1), 2)])

    assert (UUID(int=1), 2) not in before
