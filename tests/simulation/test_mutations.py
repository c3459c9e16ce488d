"""The simulator on trial: a protocol that is wrong on purpose must not get past it."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.simulate import Outcome, simulate

ROOT = Path(__file__).parents[2]

# As many as must end well with the right protocol; the rarest mistake shows in one story of a hundred.
SEEDS_MAX = 5_000

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(900)]


@cache
def first_wrong(name: str) -> Outcome | None:
    """The first seed that tells on a mutation."""
    outcomes = (simulate(seed, MUTATIONS[name], redo=False) for seed in range(SEEDS_MAX))
    return next((outcome for outcome in outcomes if outcome.defects), None)


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_wrong_protocol_is_caught(name: str) -> None:
    """A story breaks an invariant that the right protocol keeps in the same story."""
    caught = first_wrong(name)

    assert caught is not None, f"none of {SEEDS_MAX} seeds tells"
    assert simulate(caught.seed, redo=False).defects == ()


def test_an_early_acknowledgement_is_named() -> None:
    """What the simulator says points at the step that is wrong."""
    caught = first_wrong("acknowledge before seal")

    assert caught is not None
    assert "is acknowledged and not sealed" in caught.defects[0]


def test_a_wrong_seed_is_printed_and_can_be_played_again() -> None:
    """The command says which seed was wrong and how; playing it alone says the same."""
    wrong = ["--mutation", "windows under a fresh token"]

    found = play(*wrong, "--count", "100", "--until-wrong")
    told = re.search(r"^seed (\d+): (.*)$", found.stdout, re.MULTILINE)
    assert told is not None, found.stdout
    again = play(*wrong, "--seed", told[1])

    assert (found.returncode, again.returncode) == (1, 1)
    assert f"DEFECT {told[2]}" in again.stdout


def play(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The simulator's command."""
    command = [sys.executable, "-m", "tests.simulation.run", *arguments]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
