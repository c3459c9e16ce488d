"""The end of all trouble: everything that can still happen happens, until nothing is left to do (I8)."""

from __future__ import annotations

from tests.simulation.worker import TOPIC
from tests.simulation.world import World

# A round lets every part act once. A calm world of this size needs a dozen.
ROUNDS_MAX = 120


def settle(world: World) -> bool:
    """Let the world come to rest; says whether it did."""
    world.calm = True
    world.log.answers = True
    if not world.gateways:
        world.start_gateway()
    world.rebalance()
    for _ in range(ROUNDS_MAX):
        world.land()
        world.wake_worker()
        serve(world)
        if not world.workers:
            world.start_worker()
        for worker in list(world.workers.values()):
            if not worker.asleep and worker.name in world.workers:
                world.run_worker(worker)
        world.clock.advance(milliseconds=10)
        if at_rest(world):
            return True
    return False


def serve(world: World) -> None:
    """Clients ask again, gateways answer and look after their journals."""
    gateway = world.gateways[0]
    world.ask_again()
    while world.waiting:
        gateway.take(world.waiting.pop(), world.clock.now())
    for one in world.gateways:
        while one.parcels:
            one.step(world.witness.note)
        one.watch(world.sealed(), world.witness.note)
    while world.left_journals:
        gateway.adopt(world.left_journals.pop())


def at_rest(world: World) -> bool:
    """All requests are answered, all messages sealed, all journals empty, and all workers have claimed."""
    if world.late or world.left_journals or not all(worker.joined for worker in world.workers.values()):
        return False
    if not all(request.acknowledged for request in world.clients.requests):
        return False
    if any(gateway.journal or gateway.parcels for gateway in world.gateways):
        return False
    return all(sealed_to_the_end(world, partition) for partition in range(world.log.partitions))


def sealed_to_the_end(world: World, partition: int) -> bool:
    """Whether the ledger has everything that the log has."""
    row = world.ledger.partitions.get((TOPIC, partition))
    if row is None:
        return world.log.end(partition) == 0
    position = row.position
    incarnation = world.ledger.register(TOPIC, world.log.topic_id, world.log.partitions)
    # Nobody needs to enter a new life of the log before something is in it.
    end = world.log.end(partition)
    if position.incarnation != incarnation:
        return end == 0 and position.intent is None
    return position.intent is None and position.next_offset == end


def claim_once_more(world: World) -> bool:
    """Whatever is still about, a fresh worker takes every partition over, and the world comes to rest again."""
    for worker in list(world.workers.values()):
        world.bury(worker)
    world.start_worker()
    return settle(world)
