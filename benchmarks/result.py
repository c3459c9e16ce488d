"""What a section of the bench comes to: figures for programs, tables, plots and bars for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Bar:
    """A number that was promised, and what was found; ``wanted`` is a least or a largest value."""

    what: str
    found: float
    wanted: float
    kind: Literal["at least", "at most"]

    @property
    def holds(self) -> bool:
        """Whether the promise is kept."""
        return self.found >= self.wanted if self.kind == "at least" else self.found <= self.wanted


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as text, ready to be shown."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Series:
    """Points of a line, or the parts of a bar. ``axis`` 1 is the right one."""

    name: str
    xs: list[float]
    ys: list[float]
    axis: int = 0


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing: lines over ``xs``, or bars named by ``labels``.

    ``log`` is of what spans decades: the ``xs`` of lines, the values of bars; ``log_y`` of the values of lines.
    """

    name: str
    title: str
    kind: Literal["lines", "bars"]
    x: str
    y: str
    series: list[Series]
    labels: list[str] = field(default_factory=list)
    y_right: str = ""
    log: bool = False
    log_y: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """One section. ``notes`` say in sentences how it was measured and what it does not show."""

    name: str
    title: str
    figures: dict[str, Any]
    tables: list[Table] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Figures and bars; drawings and tables can be made from them again."""
        bars = [asdict(bar) | {"holds": bar.holds} for bar in self.bars]
        return {"section": self.name, "figures": self.figures, "bars": bars}


@dataclass(frozen=True, slots=True)
class Failed:
    """A section that broke off."""

    name: str
    why: str
    log: str

    def to_json(self) -> dict[str, Any]:
        """What to know about it."""
        return {"section": self.name, "failed": self.why, "logs": self.log}


def number(value: float, places: int = 0) -> str:
    """A number as people read it."""
    return f"{value:,.{places}f}"
