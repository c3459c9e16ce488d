"""How a cost grows with a size: the slope of its logarithm, and how that is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log
from statistics import linear_regression
from typing import Any

from benchmarks.result import Plot, Series, Table, number


@dataclass(frozen=True, slots=True)
class Growth:
    """What one unit of work costs at each size, in the order of the sizes, of which there are two or more."""

    what: str
    unit: str
    sizes: Sequence[int]
    costs: Sequence[float]

    @property
    def exponent(self) -> float:
        """The least-squares slope of log cost over log size.

        Of a cost a unit 0 says that it does not depend on the size, and 1 that it grows with it.
        """
        return slope(self.sizes, self.costs)

    @property
    def last_step(self) -> float:
        """The same between the two largest sizes: what a fixed cost hides from the whole."""
        return slope(self.sizes[-2:], self.costs[-2:])

    def to_json(self) -> dict[str, Any]:
        """As figures."""
        costs = {str(size): cost for size, cost in zip(self.sizes, self.costs, strict=True)}
        return {
            "unit": self.unit,
            "costs": costs,
            "exponent": round(self.exponent, 3),
            "last_step": round(self.last_step, 3),
        }


@dataclass(frozen=True, slots=True)
class Axis:
    """What is made larger, and everything that was measured of it."""

    name: str
    title: str
    growths: Sequence[Growth]

    def table(self) -> Table:
        """A row a cost, a column a size."""
        sizes = sorted({size for growth in self.growths for size in growth.sizes})
        rows = [
            (
                growth.what,
                growth.unit,
                *cells(growth, sizes),
                number(growth.exponent, 2),
                number(growth.last_step, 2),
            )
            for growth in self.growths
        ]
        columns = ("", "unit", *map(shortened, sizes), "exponent", "of the last step")
        return Table(f"By {self.title}", columns, rows)

    def plot(self) -> Plot:
        """Each cost in per cent of what it is at its smallest size."""
        series = [
            Series(
                growth.what,
                [float(size) for size in growth.sizes],
                [cost / growth.costs[0] * 100 for cost in growth.costs],
            )
            for growth in self.growths
        ]
        name, y = f"growth-{self.name}", "% of the cost at the smallest"
        return Plot(name, f"What one costs, by {self.title}", "lines", self.title, y, series, log=True, log_y=True)


def slope(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """Of log cost over log size, by least squares."""
    return linear_regression([log(size) for size in sizes], [log(cost) for cost in costs]).slope


def growths_of(rows: Sequence[dict[str, float]], units: dict[str, tuple[str, str]]) -> list[Growth]:
    """One growth for each of the names in ``units`` (what it is called, its unit); every row has its ``size``."""
    sizes = [int(row["size"]) for row in rows]
    return [Growth(what, unit, sizes, [row[name] for row in rows]) for name, (what, unit) in units.items()]


def cells(growth: Growth, sizes: Iterable[int]) -> Iterable[str]:
    """The cost at each size; nothing where it was not measured."""
    found = dict(zip(growth.sizes, growth.costs, strict=True))
    return [figure(found[size]) if size in found else "" for size in sizes]


def figure(cost: float) -> str:
    """With as many places as tell it apart."""
    return number(cost, 0 if cost >= 100 else 1 if cost >= 10 else 3)


def shortened(size: int) -> str:
    """1000000 as ``1 M``."""
    for unit, name in ((1_000_000_000, " G"), (1_000_000, " M"), (1_000, " k")):
        if size >= unit:
            return f"{size / unit:g}{name}"
    return str(size)
