"""Troubles that chance alone would hardly ever put together: each waits at the workers' doors for its moment.

An ambush is told of every call before it is made, and may decide what happens to it. What others do in the meantime
it plans; the plan is carried out as soon as the caller has handed the turn back.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
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


def insert_lands_under_a_rebuild(world: World) -> Ambush:
    """A block's insert arrives when the block was given up and its rows were deleted, and before the keys are read."""
    call = yield None
    yield from until(call, Call.inserts_events)
    world.planned += [world.replace_log, world.start_worker]
    call = yield "dies, late"
    call = yield from until(call, lambda one: one.does("enter"))
    heir, _ = yield from until(call, lambda one: one.does("read keys"))
    world.planned += [*[world.land] * 3, *[world.watch_log] * 3, *[lambda: world.run_only(heir)] * 8]
    yield "others first"


def log_dies_under_its_number(world: World) -> Ambush:
    """Between a worker's look at the log and its number, the log is replaced, and another numbers the new one."""
    call = yield None
    victim, _ = yield from until(call, lambda one: one.does("register"))
    others = [lambda: world.run_all(but=victim)] * 4
    world.planned += [world.replace_log, world.start_worker, *others]
    world.planned += [lambda: world.rebalance(to=victim), *[lambda: world.run_only(victim)] * 4]
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
    world.planned += [lambda: world.run_only(heir)] * 8
    call = yield "others first"
    for _ in range(3):
        call = yield from until(call, lambda one: one.who == heir and one.does("look at the log"))
        call = yield "no answer, nothing done"


def call_takes_effect_under_the_heir(world: World) -> Ambush:
    """Whoever was taken for dead has its last call done after all, while its heir is at work."""
    late = world.chance.choice(("intend", "insert", "seal", "seal", "forget", "abandon", "enter"))
    moment = world.chance.choice(("claim", "read keys", "intend", "insert", "seal"))
    call = yield None
    victim, _ = yield from until(call, lambda one: one.does(late))
    world.planned += [world.start_worker]
    call = yield world.chance.choice(("dies, late", "sleeps before"))
    yield from until(call, lambda one: one.does(moment) and one.who != victim)
    world.planned += [world.land, world.wake_worker, lambda: world.run_only(victim)]
    yield "others first"


AMBUSHES: tuple[Callable[[World], Ambush], ...] = (
    insert_lands_under_a_rebuild,
    log_dies_under_its_number,
    other_messages_at_the_same_offsets,
    call_takes_effect_under_the_heir,
)
