"""Troubles that chance alone would hardly ever put together: each waits at the workers' doors for its moment.

An ambush is told of every call before it is made, and may decide what happens to it. What others do in the meantime
it plans; the plan is carried out as soon as the caller has handed the turn back.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.simulation.world import World


class Call(NamedTuple):
    """A worker about to go through a door."""

    who: str
    what: str

    def inserts_events(self) -> bool:
        """Whether the evidence of a block is about to be written."""
        some_rows = self.does("insert") and not self.does("insert 0 ")
        return some_rows and not self.what.endswith((":windows", ":uniques"))

    def inserts_events_at_the_start(self) -> bool:
        """The same for a block that begins at offset 0 of its log."""
        return self.inserts_events() and self.what.split(":")[-2] == "0"

    def does(self, what: str) -> bool:
        """Whether the call begins so."""
        return self.what.startswith(what)


# Takes calls, gives fates; None leaves a call to chance.
Ambush = Generator[str | None, Call, None]


def until(call: Call, comes: Callable[[Call], bool]) -> Generator[str | None, Call, Call]:
    """Let calls pass; returns the one that was waited for, which then is still to be answered."""
    while not comes(call):
        call = yield None
    return call


def insert_lands_under_a_reader(world: World) -> Ambush:
    """A block's insert arrives when the block was given up and its rows were deleted, just before others are read.

    Those are the keys of a new owner, or what a correction wants to know of its events.
    """
    read = "read rows of" if world.clients.correct() else "read keys"
    call = yield None
    yield from until(call, Call.inserts_events)
    world.planned += [world.replace_log, world.start_worker]
    call = yield "dies, late"
    call = yield from until(call, lambda one: one.does("enter"))
    if read == "read rows of":
        # Corrections are most curious about events that have not come again yet.
        world.planned += [*[world.step_gateway] * 4, world.watch_log]
    call = yield None
    heir, _ = yield from until(call, lambda one: one.does(read))
    world.planned += [*[world.land] * 3, *[world.watch_log] * 3, *[partial(world.run_only, heir)] * 8]
    yield "others first"


def log_dies_under_its_number(world: World) -> Ambush:
    """Between a worker's look at the log and its number, the log is replaced, and another numbers the new one."""
    call = yield None
    victim, _ = yield from until(call, lambda one: one.does("register"))
    others = [partial(world.run_all, but=victim)] * 4
    world.planned += [world.replace_log, world.start_worker, *others]
    world.planned += [partial(world.rebalance, victim), *[partial(world.run_only, victim)] * 4]
    yield "others first"


def other_messages_at_the_same_offsets(world: World) -> Ambush:
    """While an open block is taken over its log is replaced, and the new one does not say so when it is asked."""
    call = yield None
    died, _ = yield from until(call, Call.inserts_events)
    world.planned += [world.start_worker]
    call = yield "dies after"
    call = yield from until(call, lambda one: one.does("read keys") and one.who != died)
    heir = call.who
    # Whatever clients send now comes before what the journals send again.
    world.planned += [world.replace_log, *[world.step_gateway] * 3, *[world.watch_log] * 3]
    world.planned += [partial(world.run_only, heir)] * 8
    call = yield "others first"
    for _ in range(3):
        call = yield from until(call, lambda one: one.who == heir and one.does("look at the log"))
        call = yield "no answer, nothing done"


def old_worker_takes_over_while_a_block_is_given_up(world: World) -> Ambush:
    """Between giving a block up and entering the new log, a partition goes back to a worker that knows the old one."""
    call = yield None
    yield from until(call, lambda one: one.does("claim"))
    world.planned += [world.start_worker, *[lambda: world.run_only(world.youngest())] * 5]
    call = yield "others first"
    yield from until(call, Call.inserts_events_at_the_start)
    world.planned += [world.replace_log, world.start_worker, lambda: world.rebalance(to=world.youngest())]
    world.planned += [lambda: world.run_only(world.youngest())] * 12
    call = yield "dies after"
    call = yield from until(call, lambda one: one.does("enter"))
    for bystander in world.behind(call.who):
        takes_over: list[Callable[[], object]] = [*[world.watch_log] * 3, partial(world.rebalance, bystander)]
        world.planned[:0] = [*takes_over, *[partial(world.run_only, bystander)] * 12]
    yield "others first"


def call_takes_effect_under_the_heir(world: World) -> Ambush:
    """Whoever was taken for dead has its last call done after all, while its heir is at work."""
    late = world.chance.choice(("intend", "insert", "seal", "seal", "forget", "abandon", "enter"))
    moment = world.chance.choice(("claim", "read keys", "intend", "insert", "seal"))
    call = yield None
    victim, _ = yield from until(call, lambda one: one.does(late))
    world.planned += [world.start_worker]
    call = yield world.chance.choice(("dies, late", "sleeps before"))
    yield from until(call, lambda one: one.does(moment) and one.who != victim)
    world.planned += [world.land, world.wake_worker, partial(world.run_only, victim)]
    yield "others first"


AMBUSHES: tuple[Callable[[World], Ambush], ...] = (
    insert_lands_under_a_reader,
    log_dies_under_its_number,
    other_messages_at_the_same_offsets,
    old_worker_takes_over_while_a_block_is_given_up,
    call_takes_effect_under_the_heir,
)
