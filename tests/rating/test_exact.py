"""Sums and products that cannot wrap, against Python's own integers."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from rating.charge import QUANTITY
from rating.exact import LARGEST, UNITS, adds_up, group_sum, group_total, largest_of, plus, product, sums_of_runs

WIDE = st.integers(0, 38).flatmap(lambda digits: st.integers(-(10**digits) + 1, 10**digits - 1))
EDGES = st.sampled_from([0, 1, -1, LARGEST, -LARGEST, LARGEST // 2, 10**19, -(10**19)])
UNIT = WIDE | EDGES


def or_none(number: int) -> int | None:
    """The number, or nothing where it has more than 38 digits."""
    return number if abs(number) <= LARGEST else None


@given(st.lists(st.tuples(UNIT, UNIT), min_size=1))
def test_products_and_sums_are_exact_or_null(pairs: list[tuple[int, int]]) -> None:
    """Whatever fits 38 digits is exact; whatever does not is null."""
    frame = pl.DataFrame(pairs, schema={"a": UNITS, "b": UNITS}, orient="row")

    found = frame.select(product(pl.col("a"), pl.col("b")).alias("p"), plus(pl.col("a"), pl.col("b")).alias("s"))

    assert found["p"].to_list() == [or_none(a * b) for a, b in pairs]
    assert found["s"].to_list() == [or_none(a + b) for a, b in pairs]


@given(st.lists(UNIT))
def test_what_adds_up_has_no_sum_that_does_not_fit(numbers: list[int]) -> None:
    """The bound is that of all magnitudes together; a null has no sum."""
    column = pl.Series(numbers, dtype=UNITS)

    if adds_up(column):
        assert sum(abs(number) for number in numbers) <= LARGEST
    else:
        assert max(abs(number) for number in numbers) * len(numbers) > LARGEST
    assert not adds_up(column.extend_constant(None, 1))


@given(st.lists(UNIT | st.none()))
def test_the_largest_of_a_column_is_exact_in_integers_and_in_quantities(numbers: list[int | None]) -> None:
    """Whatever the sign and however many digits; 0 of nothing."""
    column = pl.Series(numbers, dtype=UNITS)
    expected = max((abs(number) for number in numbers if number is not None), default=0)

    assert largest_of(column) == expected
    assert largest_of(column.reinterpret(dtype=QUANTITY)) == expected


@given(st.lists(st.tuples(st.integers(0, 3), UNIT | st.none()), min_size=1))
def test_a_group_adds_up_exactly_or_to_null(rows: list[tuple[int, int | None]]) -> None:
    """Partial sums may leave the range as long as the total comes back; a null member makes the total null."""
    frame = pl.DataFrame(rows, schema={"group": pl.Int64(), "x": UNITS}, orient="row")

    found = frame.group_by("group").agg(*group_sum("x")).select("group", group_total("x").alias("x"))

    expected = {}
    for group, _ in rows:
        members = [x for g, x in rows if g == group]
        expected[group] = None if None in members else or_none(sum(x for x in members if x is not None))
    assert dict(found.iter_rows()) == expected


def test_the_number_of_39_digits_that_halves_would_let_through_is_refused() -> None:
    """Minus ten to the 38th splits into a high half within bounds and a low half of zero."""
    frame = pl.DataFrame([(0, -LARGEST), (0, -1)], schema={"group": pl.Int64(), "x": UNITS}, orient="row")

    assert frame.group_by("group").agg(*group_sum("x")).select(group_total("x")).item() is None


@given(st.lists(st.lists(st.integers(-(LARGEST // 100), LARGEST // 100), min_size=1, max_size=5), max_size=20))
def test_sums_of_what_lies_together_are_those_of_each_group(groups: list[list[int]]) -> None:
    """Whatever comes before a group; none of none."""
    numbers = pl.Series([number for group in groups for number in group], dtype=UNITS)
    lengths = pl.Series([len(group) for group in groups], dtype=pl.UInt32)

    assert adds_up(numbers)
    assert sums_of_runs(numbers, lengths).to_list() == [sum(group) for group in groups]
