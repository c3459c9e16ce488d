"""``python -m benchmarks.sizing --events-per-minute 1M,100M,10G``: machines, partitions and disk for a steady rate.

The formulae are in ``docs/sizing.md``; every figure in them can be replaced: ``--set clickhouse_us=3.5``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.draw import draw
from benchmarks.report import table_text
from benchmarks.result import Plot, Series, Table
from benchmarks.sizing_figures import AS_MEASURED, Costs, Figures, Machine, Wanted, figures_of
from benchmarks.sizing_model import DAY_S, Sized, bounds_of, size

UNITS = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
BREAKS_SHOWN = 4
# What docs/sizing.md shows, under which figures of one's own.
PAGE_RATES = (1e6, 1e8, 1e10)
PAGE_SIZES = {"as-it-is": (), "a-day": ("horizon_days=1", "kept_days=35")}


def main(
    *,
    events_per_minute: Annotated[str, typer.Option(help="Steady rates, such as 1M,100M,10G.")] = "1M,100M,10G",
    set_: Annotated[list[str] | None, typer.Option("--set", help="A figure of one's own: name=value.")] = None,
    figures: Annotated[bool, typer.Option("--figures", help="Show what it goes by, too.")] = False,
    page: Annotated[Path | None, typer.Option(help="Write tables and drawing into this page instead.")] = None,
) -> None:
    """Print what each rate takes, and what breaks."""
    if page is not None:
        page.write_text(page_text(page.read_text(encoding="utf-8")), encoding="utf-8")
        draw(machines_plot(), page.parent / "sizing")
        return
    try:
        own = with_own(AS_MEASURED, set_ or [])
        rates = [read_amount(rate) for rate in events_per_minute.split(",")]
        sizes = [size(rate, own) for rate in rates]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if figures:
        print(figures_text(own) + "\n")
    print(text_of(rates, sizes, own))


def page_text(text: str) -> str:
    """A page with the tables between its marks made anew; raises ``ValueError`` when it has not all marks."""
    tables = {"figures": figures_text(AS_MEASURED)}
    for name, given in PAGE_SIZES.items():
        own = with_own(AS_MEASURED, given)
        tables[name] = text_of(PAGE_RATES, [size(rate, own) for rate in PAGE_RATES], own)
    for name, table in tables.items():
        begin, end = f"<!-- {name}: begin, written by benchmarks.sizing -->", f"<!-- {name}: end -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{table}\n{end}{rest.split(end)[1]}"
    return text


def machines_plot() -> Plot:
    """Machines of each part over the rate, copies being known for a day."""
    own = with_own(AS_MEASURED, PAGE_SIZES["a-day"])
    rates = [10 ** (5 + step / 4) for step in range(21)]
    sizes = [size(rate, own) for rate in rates]
    series = [
        Series(need.part, rates, [float(one.needs[place].machines) for one in sizes])
        for place, need in enumerate(sizes[0].needs)
    ]
    title = "Machines of each part; copies known for a day, events kept for 35"
    return Plot("machines", title, "lines", "events a minute", "machines", series, log=True, log_y=True)


def text_of(rates: Sequence[float], sizes: Sequence[Sized], own: Figures) -> str:
    """Both tables in Markdown."""
    heads = tuple(f"{amount(rate)} a minute" for rate in rates)
    needs = table_text(Table("What it takes", ("", *heads), rows_of(sizes)))
    rows = [row for rate, sized in zip(rates, sizes, strict=True) for row in breaks_of(rate, sized, own)]
    return (
        f"{needs}\n\n{table_text(Table('What breaks first', ('events a minute', 'what', 'asked ÷ can', 'why'), rows))}"
    )


def rows_of(sizes: Sequence[Sized]) -> list[tuple[str, ...]]:
    """One column a rate."""
    said: list[tuple[str, list[str]]] = [
        ("events a second", [amount(one.events_per_second) for one in sizes]),
        ("keys to know", [amount(one.keys) for one in sizes]),
        ("partitions (asked for by)", [f"{amount(one.partitions)} ({one.partitions_by})" for one in sizes]),
        ("events a message", [amount(one.events_a_message) for one in sizes]),
        ("blocks a second", [amount(one.blocks_per_second) for one in sizes]),
        ("blocks written into the ledger a day", [amount(one.blocks_per_second * DAY_S) for one in sizes]),
        ("events a block", [amount(one.events_a_block) for one in sizes]),
    ]
    for place, need in enumerate(sizes[0].needs):
        own = [one.needs[place] for one in sizes]
        said.append((f"{need.part}: cores busy", [amount(one.cores[need.part]) for one in sizes]))
        if need.processes:
            said.append((f"{need.part}: processes", [amount(each.processes) for each in own]))
        said.append((f"{need.part}: machines (by)", [f"{amount(each.machines)} ({each.reason})" for each in own]))
    said += [
        ("machines in all", [amount(one.machines) for one in sizes]),
        ("log on disk", [f"{amount(one.stored.log_bytes)}B" for one in sizes]),
        ("ClickHouse grows a day, one copy", [f"{amount(one.stored.store_bytes_a_day)}B" for one in sizes]),
        ("ClickHouse on disk", [f"{amount(one.stored.store_bytes)}B" for one in sizes]),
        ("key files", [f"{amount(one.stored.key_file_bytes)}B" for one in sizes]),
        ("memory for keys", [f"{amount(one.stored.key_memory_bytes)}B" for one in sizes]),
    ]
    return [(name, *cells) for name, cells in said]


def breaks_of(rate: float, sized: Sized, own: Figures) -> list[tuple[str, ...]]:
    """The worst bounds that do not hold; or that all of them hold, and which is nearest."""
    bounds = bounds_of(sized, own)
    broken = [bound for bound in bounds if bound.times > 1][:BREAKS_SHOWN]
    if not broken:
        return [(amount(rate), f"nothing; nearest is: {bounds[0].what}", amount(bounds[0].times), bounds[0].why)]
    return [(amount(rate), bound.what, amount(bound.times), bound.why) for bound in broken]


def figures_text(own: Figures) -> str:
    """What it goes by, with where it is from."""
    rows = [
        (f"`{name}`", f"{value:,g}" if value < 1e6 else amount(value), unit, source)
        for of in (own.costs, own.machine, own.wanted)
        for name, value, unit, source in figures_of(of)
    ]
    return table_text(Table("What it goes by", ("name", "value", "unit", "from"), rows))


def with_own(figures: Figures, given: Sequence[str]) -> Figures:
    """Some figures replaced by ``name=value``; raises ``ValueError`` for a name that is none."""
    for one in given:
        name, _, value = one.partition("=")
        place = next((part.name for part in fields(figures) if name in names_of(getattr(figures, part.name))), None)
        if place is None:
            raise ValueError(f"there is no figure {name!r}; --figures shows all")
        part: Any = getattr(figures, place)
        changed: dict[str, Any] = {place: replace(part, **{name: read_amount(value)})}
        figures = replace(figures, **changed)
    return figures


def names_of(of: Costs | Machine | Wanted) -> set[str]:
    """What can be replaced."""
    return {name for name, *_ in figures_of(of)}


def read_amount(text: str) -> float:
    """``1.5M`` as a number; raises ``ValueError``."""
    factor = UNITS.get(text[-1:], 1.0)
    return float(text[:-1] if factor > 1 else text) * factor


def amount(value: float) -> str:
    """Three digits and a unit; below a thousand as it is."""
    for name, factor in reversed(UNITS.items()):
        if value >= factor * 0.9995:
            return f"{value / factor:.3g} {name}"
    return f"{value:.3g}"


if __name__ == "__main__":
    typer.run(main)
