"""The sections of the bench, in the order in which they run: each may lean on what those before it found."""

from __future__ import annotations

from collections.abc import Callable

import typer

from benchmarks import ceilings, dedupe_price, envelopes, growth, half_load, line, overload, replay_rate, soak
from benchmarks.baseline import measure as tutorial
from benchmarks.bench import Bench
from benchmarks.result import Result

SECTIONS: dict[str, Callable[[Bench], Result]] = {
    "line": line.measure,
    # Of what the line has just streamed, and no more.
    "replay": replay_rate.measure,
    "envelopes": envelopes.measure,
    "overload": overload.measure,
    "half_load": half_load.measure,
    "soak": soak.measure,
    "ceilings": ceilings.measure,
    "dedupe": dedupe_price.measure,
    # Takes over what has just been found of the dedupe index.
    "growth": growth.measure,
    "baseline": tutorial.measure,
}
# What takes minutes to say anything is left to the full run.
FULL_ONLY = ("soak", "growth", "baseline")
# These ask for a share of what the line can take.
NEED_LINE = ("overload", "half_load", "soak", "replay", "baseline", "ceilings")


def chosen(only: str, *, quick: bool) -> list[str]:
    """The sections to run, in their order; raises ``BadParameter`` for a name that is none."""
    asked = [name for name in only.split(",") if name]
    unknown = [name for name in asked if name not in SECTIONS]
    if unknown:
        raise typer.BadParameter(f"no such section: {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    if not asked:
        return [name for name in SECTIONS if not (quick and name in FULL_ONLY)]
    needed = {"line"} if any(name in NEED_LINE for name in asked) else set()
    return [name for name in SECTIONS if name in needed.union(asked)]
