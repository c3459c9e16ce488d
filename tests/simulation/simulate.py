"""One seed, from the first request to the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from tests.simulation.build import Build
from tests.simulation.judge import judge, orphans
from tests.simulation.settle import claim_once_more, settle
from tests.simulation.stir import stir
from tests.simulation.world import World


@dataclass(frozen=True)
class Outcome:
    """What a seed came to. ``orphans`` were left between the last late insert and the next claim."""

    seed: int
    defects: tuple[str, ...]
    trace: tuple[str, ...]
    orphans: int


def simulate(seed: int, build: Build | None = None, *, redo: bool = True) -> Outcome:
    """Play one seed. The same seed and build give the same trace."""
    world = World(seed, build or Build())
    witness = world.witness
    try:
        stir(world, world.chance.randint(40, 160))
        rested = settle(world)
        left = len(orphans(world))
        rested = rested and claim_once_more(world)
        if rested:
            judge(world, redo=redo)
        else:
            witness.defect("I8: the world does not come to rest")
    finally:
        for worker in world.workers.values():
            worker.strand.kill()
    return Outcome(seed, tuple(witness.defects), tuple(witness.trace), left)


@contextmanager
def silence() -> Iterator[None]:
    """Keep the product's log lines, of which trouble makes many, to ourselves."""
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[])
    try:
        yield
    finally:
        structlog.configure(**before)
