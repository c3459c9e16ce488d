"""The troubled part of a story."""

from __future__ import annotations

from tests.simulation.world import World


def stir(world: World, steps: int) -> None:
    """Let things happen, as chance and whoever lies in wait want it."""
    for name in world.chance.choices(list(world.weights), list(world.weights.values()), k=steps):
        world.clock.advance(milliseconds=world.chance.randint(0, 40))
        getattr(world, name)()
        while world.planned:
            world.planned.pop(0)()
