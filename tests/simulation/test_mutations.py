"""The simulator on trial: a protocol that is wrong on purpose must not get past it."""

from __future__ import annotations

import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.simulate import Outcome, simulate

SEEDS_MAX = 500

pytestmark = pytest.mark.simulation


def first_wrong(name: str) -> Outcome | None:
    """The first seed that tells on a mutation."""
    outcomes = (simulate(seed, MUTATIONS[name], redo=False) for seed in range(SEEDS_MAX))
    return next((outcome for outcome in outcomes if outcome.defects), None)


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_wrong_protocol_is_caught(name: str) -> None:
    """Some seed of the first few hundred breaks an invariant."""
    caught = first_wrong(name)

    assert caught is not None
    assert caught.seed < SEEDS_MAX


def test_an_early_acknowledgement_is_named() -> None:
    """What the simulator says points at the step that is wrong."""
    caught = first_wrong("acknowledge before seal")

    assert caught is not None
    assert "is acknowledged and not sealed" in caught.defects[0]
