"""Exactly once under a simulator: one seed decides who acts, what fails, who dies and what comes late."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.doors import FAULTS
from tests.simulation.simulate import simulate

ROOT = Path(__file__).parents[2]

QUICK, BATCH = 300, 50
SEEDS = 5_000

# What a few hundred stories must have in them, or their good ends prove little.
MUST_HAPPEN = {
    "an open block is done again": r"seal \d+:(\d+)\.\.(\d+)",
    "a block is given up": r"abandon \d+:\d+\.\.\d+",
    "a partition enters a new log": r"enter \d+ in",
    "the journal sends again": r"log takes .* again",
    "a worker that was overtaken stops": r"is no longer ours",
    "a late insert lands": r"late: insert",
    "a late seal lands": r"late: seal",
    "a message of unknown fate lands": r"late: produce",
    "a sleeper wakes up": r"wakes up",
    "the catalog changes": r"catalog \d+ is like",
    "everything dies with the log": r"the log is lost",
}


@pytest.mark.parametrize("first", range(0, QUICK, BATCH))
def test_every_story_ends_well(first: int) -> None:
    """Whatever goes wrong on the way, at rest every invariant holds, and each block done again is the same block."""
    outcomes = [simulate(seed) for seed in range(first, first + BATCH)]

    wrong = {outcome.seed: outcome.defects for outcome in outcomes if outcome.defects}
    assert wrong == {}, f"replay with: python -m tests.simulation.run --seed {min(wrong)}"


@pytest.mark.simulation
@pytest.mark.timeout(1200)
def test_thousands_of_stories_end_well() -> None:
    """The same with five thousand seeds, on all cores."""
    processes = os.cpu_count() or 1
    share = -(-SEEDS // processes)
    command = [sys.executable, "-m", "tests.simulation.run", "--count", str(share), "--first"]
    # Blocks of a few rows are no work for many threads.
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    running = [
        subprocess.Popen([*command, str(number * share)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        for number in range(processes)
    ]
    said = [process.communicate()[0] for process in running]

    assert [process.returncode for process in running] == [0] * processes, "\n".join(said)
    assert sum(int(count) for text in said for count in re.findall(r"^(\d+) seeds", text, re.MULTILINE)) >= SEEDS


def test_a_seed_tells_the_same_story_each_time() -> None:
    """A failure that could not be told again could not be mended."""
    for seed in range(12):
        assert simulate(seed, redo=False).trace == simulate(seed, redo=False).trace


def test_the_stories_have_all_kinds_of_trouble_in_them() -> None:
    """Every fault happens at a door, and every turn of the protocol is taken."""
    story = "\n".join(line for seed in range(250) for line in simulate(seed, redo=False).trace)

    assert [fault for fault in FAULTS if f"({fault})" not in story] == []
    assert [name for name, pattern in MUST_HAPPEN.items() if not re.search(pattern, story)] == []
