"""Exactly once under a simulator: one seed decides who acts, what fails, who dies and what comes late."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.simulation.ambush import AMBUSHES
from tests.simulation.doors import FAULTS
from tests.simulation.simulate import Outcome, simulate

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
    "a worker reads what is sealed": r"reads from \d+, though",
    "the clock jumps": r"the clock jumps to",
    "a correction restates windows": r"read what counts at [1-9]",
    "a sleeper wakes up": r"wakes up",
    "the catalog changes": r"catalog \d+ is like",
    "everything dies with the log": r"the log is lost",
}


@cache
def told(seed: int) -> Outcome:
    """A story, for all tests that ask for it."""
    return simulate(seed)


@pytest.mark.parametrize("first", range(0, QUICK, BATCH))
def test_every_story_ends_well(first: int) -> None:
    """Whatever goes wrong on the way, at rest every invariant holds, and each block done again is the same block."""
    outcomes = [told(seed) for seed in range(first, first + BATCH)]

    wrong = {outcome.seed: outcome.defects for outcome in outcomes if outcome.defects}
    assert wrong == {}, f"replay with: python -m tests.simulation.run --seed {min(wrong)}"


@pytest.mark.simulation
@pytest.mark.timeout(1200)
def test_thousands_of_stories_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    """The same with five thousand seeds, on all cores; says how fast it was."""
    command = [sys.executable, "-m", "tests.simulation.run", "--count", str(SEEDS)]

    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)

    with capsys.disabled():
        sys.stdout.write(f"\n{ended.stdout}")
    assert ended.returncode == 0, ended.stdout
    assert f"{SEEDS} seeds, 0 wrong" in ended.stdout


def test_a_seed_tells_the_same_story_each_time() -> None:
    """A failure that could not be told again could not be mended."""
    for seed in range(12):
        assert simulate(seed).trace == told(seed).trace


def test_the_stories_have_all_kinds_of_trouble_in_them() -> None:
    """Every fault happens at a door, every turn of the protocol is taken, and every ambush comes to its end."""
    story = "\n".join(line for seed in range(QUICK) for line in told(seed).trace)

    assert [fault for fault in FAULTS if f"({fault})" not in story] == []
    assert [name for name, pattern in MUST_HAPPEN.items() if not re.search(pattern, story)] == []
    assert [ambush for ambush in AMBUSHES if f"over: {ambush.__name__}" not in story] == []
