"""Package: whole packages, begun or used up."""

from __future__ import annotations

from tests.rating.models.cases import check_table

PACKAGE = {"model": "package", "package_size": "10", "package_price": "2.5"}
UP = """
    quantity         | amount
    0                | 0
    0.000000000001   | 2.5
    10               | 2.5
    10.000000000001  | 5
    90071992547411   | 22517998136855      # beyond the precision of a float's division
    1000000000000000 | parked
    -9               | 0                   # a package that was only begun is not given back
    -25              | -5
"""
DOWN = """
    quantity | amount
    9.999999999999 | 0
    10       | 2.5
    29       | 5
    -9       | 0
    -25      | -5
"""
LEAST = """
    quantity | amount
    0        | 7.5
    30       | 7.5
    30.1     | 10
    -25      | 7.5
"""
FREE = """
    quantity | amount
    15       | 0
    15.1     | 2.5
    25       | 2.5
    25.1     | 5
"""


def test_a_package_begun_is_due() -> None:
    """At 0, the smallest quantity, a bound, just above it, huge and negative."""
    check_table(PACKAGE, UP)


def test_only_packages_used_up_are_due_when_rounded_down() -> None:
    """``package_rounding: down``."""
    check_table(PACKAGE | {"package_rounding": "down"}, DOWN)


def test_a_minimum_of_packages_is_due_whatever_was_used() -> None:
    """``minimum_packages``."""
    check_table(PACKAGE | {"minimum_packages": "3"}, LEAST)


def test_free_units_come_off_before_packages_are_counted() -> None:
    """``free_units``."""
    check_table(PACKAGE | {"free_units": "15"}, FREE)
