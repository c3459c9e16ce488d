"""Drawings as SVG files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.result import Plot

SIZE_INCHES = (7.2, 3.4)
# Told apart by everyone, on white and on dark.
COLOURS = ("#2a78b5", "#d97706", "#4d9a5b", "#b5484d", "#7d6bb0")
# Text stays text, and the same drawing is the same bytes.
STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "millrace", "font.size": 9}


def draw(plot: Plot, folder: Path) -> Path:
    """Write a drawing into a folder; returns its path."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(plot.title, loc="left")
        axes.set_xlabel(plot.x)
        axes.set_ylabel(plot.y)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, axis="y", alpha=0.25)
        (draw_bars if plot.kind == "bars" else draw_lines)(axes, plot)
        path = folder / f"{plot.name}.svg"
        figure.savefig(path, metadata={"Date": None})
    return path


def draw_bars(axes: Axes, plot: Plot) -> None:
    """Bars side by side, named below, with their values on top."""
    width = 0.8 / len(plot.series)
    for number, series in enumerate(plot.series):
        places = [x + (number - (len(plot.series) - 1) / 2) * width for x in series.xs]
        bars = axes.bar(places, series.ys, width, color=COLOURS[number], label=series.name)
        axes.bar_label(bars, fmt="{:,.4g}", padding=2)
    axes.set_xticks(range(len(plot.labels)), plot.labels)
    if plot.log:
        axes.set_yscale("log")
    if len(plot.series) > 1:
        axes.legend(frameon=False)


def draw_lines(axes: Axes, plot: Plot) -> None:
    """Lines; some of them may have an axis of their own on the right."""
    right = axes.twinx() if any(series.axis for series in plot.series) else None
    handles = []
    for number, series in enumerate(plot.series):
        where = right if series.axis and right is not None else axes
        style = "--" if series.axis else "-"
        handles += where.plot(series.xs, series.ys, style, color=COLOURS[number], label=series.name)
    if plot.log:
        axes.set_xscale("log")
    for side in (axes, right):
        if side is not None:
            if plot.log_y:
                side.set_yscale("log")
            else:
                side.set_ylim(bottom=0)
            side.yaxis.set_major_formatter("{x:,.0f}")
    if right is not None:
        right.set_ylabel(plot.y_right)
        right.spines["top"].set_visible(False)
    axes.legend(handles=handles, frameon=False, loc="best")
