"""Plays seeds by hand: ``python -m tests.simulation.run --seed 42`` prints one story step by step."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from time import perf_counter

from tests.simulation.mutations import MUTATIONS
from tests.simulation.simulate import Outcome, silence, simulate

# Doing every block once more costs as much as the story itself.
REDO_EVERY = 5
# So many seeds go to a process at once: few enough that all processes end together.
AT_ONCE = 20


def main() -> int:
    """Play the seeds asked for; the exit code says whether all were right."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", type=int, help="play this seed and print its story")
    arguments.add_argument("--first", type=int, default=0, help="the first of many seeds")
    arguments.add_argument("--count", type=int, default=1000, help="how many seeds")
    arguments.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many work on them")
    arguments.add_argument("--mutation", choices=sorted(MUTATIONS), help="with this part wrong on purpose")
    arguments.add_argument("--until-wrong", action="store_true", help="stop at the first seed that is wrong")
    arguments.add_argument("--table", action="store_true", help="the first seed that tells on each mutation")
    asked = arguments.parse_args()
    if asked.seed is not None:
        return tell(asked.seed, asked.mutation)
    seeds = range(asked.first, asked.first + asked.count)
    if asked.table:
        for line in table(seeds, asked.processes):
            say(line)
        return 0
    began_s = perf_counter()
    played = wrong = left = 0
    for outcome in play(seeds, asked.mutation, asked.processes):
        played, wrong, left = played + 1, wrong + bool(outcome.defects), left + bool(outcome.orphans)
        if outcome.defects:
            say(*summary(outcome, asked.mutation))
        if outcome.defects and asked.until_wrong:
            break
    rate = played / (perf_counter() - began_s)
    say(f"{played} seeds, {wrong} wrong, {left} with rows left over until the next claim, {rate:.0f} a second")
    return bool(wrong)


def tell(seed: int, mutation: str | None) -> int:
    """Print one story."""
    with silence():
        outcome = simulate(seed, MUTATIONS.get(mutation or ""))
    say(*outcome.trace)
    return bool(outcome.defects)


def play(seeds: range, mutation: str | None, processes: int) -> Iterator[Outcome]:
    """The outcomes of many seeds, in order."""
    shares = [seeds[start : start + AT_ONCE] for start in range(0, len(seeds), AT_ONCE)]
    # Blocks of a few rows are no work for many threads.
    os.environ["POLARS_MAX_THREADS"] = "1"
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))
    try:
        for outcomes in pool.map(partial(play_share, mutation=mutation), shares):
            yield from outcomes
    finally:
        pool.shutdown(cancel_futures=True)


def play_share(seeds: Sequence[int], mutation: str | None) -> list[Outcome]:
    """Some seeds in this process; with a wrong build it is not worth while to do its blocks once more."""
    build = MUTATIONS.get(mutation or "")
    with silence():
        outcomes = [simulate(seed, build, redo=build is None and seed % REDO_EVERY == 0) for seed in seeds]
    # Thousands of stories together take more memory than their ends are worth.
    return [replace(outcome, trace=()) for outcome in outcomes]


def table(seeds: range, processes: int) -> Iterator[str]:
    """One line a mutation, as the documentation has it."""
    yield "| wrong on purpose | first seed that tells | what it says first |"
    yield "|---|---|---|"
    for name in MUTATIONS:
        told = next((outcome for outcome in play(seeds, name, processes) if outcome.defects), None)
        first, says = ("none", "") if told is None else (str(told.seed), told.defects[0].split(":")[0])
        yield f"| {name} | {first} | {says} |"


def summary(outcome: Outcome, mutation: str | None) -> list[str]:
    """One wrong seed in few lines."""
    wrong = f" --mutation {shlex.quote(mutation)}" if mutation else ""
    replay = f"    replay: python -m tests.simulation.run --seed {outcome.seed}{wrong}"
    return [f"seed {outcome.seed}: {outcome.defects[0][:300]}", replay]


def say(*lines: str) -> None:
    """Write lines at once, so that whoever waits sees them."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
