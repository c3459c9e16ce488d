"""Plays seeds by hand: ``python -m tests.simulation.run --seed 42`` prints one story step by step."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from time import perf_counter

from tests.simulation.build import Build
from tests.simulation.mutations import MUTATIONS
from tests.simulation.simulate import Outcome, silence, simulate

# Doing every block once more costs as much as the story itself.
REDO_EVERY = 5


def main() -> int:
    """Play the seeds asked for; the exit code says whether all were right."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", type=int, help="play this seed and print its story")
    arguments.add_argument("--first", type=int, default=0, help="the first of many seeds")
    arguments.add_argument("--count", type=int, default=1000, help="how many seeds")
    arguments.add_argument("--mutation", choices=sorted(MUTATIONS), help="with this part wrong on purpose")
    arguments.add_argument("--until-wrong", action="store_true", help="stop at the first seed that is wrong")
    asked = arguments.parse_args()
    build = MUTATIONS[asked.mutation] if asked.mutation else None
    with silence():
        if asked.seed is not None:
            outcome = simulate(asked.seed, build)
            say(*outcome.trace)
            say(*(f"DEFECT {defect}" for defect in outcome.defects))
            return bool(outcome.defects)
        began_s = perf_counter()
        seeds = range(asked.first, asked.first + asked.count)
        outcomes = list(play(seeds, build, until_wrong=asked.until_wrong))
    say(*(line for outcome in outcomes if outcome.defects for line in summary(outcome)))
    wrong = sum(1 for outcome in outcomes if outcome.defects)
    rate = len(outcomes) / (perf_counter() - began_s)
    left = sum(1 for outcome in outcomes if outcome.orphans)
    say(f"{len(outcomes)} seeds, {wrong} wrong, {left} with rows left over until the next claim, {rate:.0f} a second")
    return bool(wrong)


def play(seeds: Iterable[int], build: Build | None, *, until_wrong: bool) -> Iterator[Outcome]:
    """Play many seeds; with a wrong build it is not worth while to do its blocks once more."""
    for seed in seeds:
        outcome = simulate(seed, build, redo=build is None and seed % REDO_EVERY == 0)
        # Thousands of stories together take more memory than their ends are worth.
        yield replace(outcome, trace=())
        if until_wrong and outcome.defects:
            return


def summary(outcome: Outcome) -> list[str]:
    """One wrong seed in few lines."""
    return [f"seed {outcome.seed}: {outcome.defects[0][:300]}"]


def say(*lines: str) -> None:
    """Write lines."""
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
