"""One worker process: the product's claims, desk and sink, fed by a consumer that behaves like Kafka's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import MillraceError, Transient
from streams.claim import Claims, LogSeen
from streams.compiled import Compiled
from streams.decode import Message
from streams.desk import Desk, Record
from streams.retry import Retry, RetryPolicy
from streams.sink import Parts
from tests.simulation.clients import laid_out
from tests.simulation.doors import Door, LedgerDoor, StoreDoor
from tests.simulation.strand import Killed, Strand

if TYPE_CHECKING:
    from tests.simulation.world import World

TOPIC = "usage"


class Worker:
    """Lives until it is killed, stops by itself, or finds the log made anew."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.asleep = False
        self._world = world
        self.incarnation = 0
        self._generation = -1
        self._desk: Desk | None = None
        self._offsets: dict[int, int] = {}
        self._fetched: dict[int, list[Record]] = {}
        self._door = Door(name, world)
        self.strand = Strand(self._life)

    def ended(self) -> str | None:
        """Why it is no more; None while it lives. What is not ours to raise is a defect."""
        error = self.strand.error
        if not self.strand.ended:
            return None
        if error is not None and not isinstance(error, MillraceError | Killed):
            self._world.witness.defect(f"crash: {self.name} fell over {type(error).__name__}: {error}")
        return f"{type(error).__name__}: {error}" if error else "left"

    @property
    def joined(self) -> bool:
        """Whether it has claimed what the group gave it last."""
        return self._generation == self._world.group.generation

    def _life(self) -> None:
        world = self._world
        retry = Retry(RetryPolicy(), world.clock, self._wait)
        ledger, store = world.build.doors(
            LedgerDoor(self._door, world.ledger, world.witness, self._at_hand), StoreDoor(self._door, world.store)
        )
        parts = Parts(ledger, store, self._catalog, retry)
        found = world.build.find(retry, ledger, TOPIC, world.log.partitions, self._look)
        self.incarnation = found.incarnation
        claims = Claims(
            parts,
            LogSeen(TOPIC, self.incarnation),
            owner=self.name,
            clock=world.clock,
            log_unchanged=lambda: self._surely_unchanged(retry, found.topic_id),
            rows_max=world.rows_max,
        )
        self._desk = world.build.desk(claims.claim, self._acknowledge)
        while True:
            world.sleep(self.name, long=False)
            self._join(self._desk)
            for receipt in self._desk.work(self._take()):
                self._acknowledge(receipt)
            if world.chance.random() < 0.3 and not self._log_unchanged(found.topic_id):
                return

    def _join(self, desk: Desk) -> None:
        """After a rebalance: claim, and forget what was fetched before."""
        group = self._world.group
        if self._generation != group.generation:
            generation = group.generation
            mine = {partition for partition, name in group.owners.items() if name == self.name}
            self._offsets = {at: self._begin(offset) for at, offset in desk.assign(mine).items()}
            self._generation = generation
            self._fetched = {partition: [] for partition in mine}

    def _begin(self, offset: int) -> int:
        """Mostly what the ledger says; a client that knows only its own commits begins earlier."""
        chance = self._world.chance
        begin = chance.randint(0, offset) if chance.random() < 0.1 else offset
        if begin < offset:
            self._world.witness.note(f"{self.name} reads from {begin}, though {offset} comes next")
        return begin

    def _take(self) -> list[Record]:
        """Fetch a little, and hand over some of what was fetched by now."""
        world, taken = self._world, []
        for partition, held in self._fetched.items():
            found = world.log.read(
                partition, self._offsets[partition], 99 if world.calm else world.chance.randint(0, 4)
            )
            if found:
                self._offsets[partition] = found[-1].offset + 1
            held.extend(found)
            count = len(held) if world.calm else world.chance.randint(0, len(held))
            taken += held[:count]
            del held[:count]
        return taken

    def _acknowledge(self, receipt: object) -> None:
        """Tell the group how far we are."""
        assert isinstance(receipt, tuple)
        partition, offset = receipt
        world = self._world
        world.witness.acknowledged(world.ledger, TOPIC, self.incarnation, partition, offset)

    def _look(self) -> str:
        return self._door.call("look at the log", self._world.log.look)

    def _surely_unchanged(self, retry: Retry, topic_id: str) -> bool:
        if self._world.build.unanswered is None:
            return retry("looking at the log", self._look) == topic_id
        return self._log_unchanged(topic_id)

    def _log_unchanged(self, topic_id: str) -> bool:
        """The driver's watch: nobody can tell means unchanged."""
        try:
            return self._look() == topic_id
        except Transient:
            return True

    def _catalog(self, version: int) -> Compiled:
        world = self._world
        asked = world.build.version(version, world.catalog_version())
        return self._door.call(f"read catalog {asked}", lambda: laid_out(world.variants[asked]))

    def _at_hand(self, partition: int) -> tuple[Message, ...]:
        """What the desk has of a partition, for the record."""
        places = {} if self._desk is None else self._desk._places
        return tuple(places[partition].waiting) if partition in places else ()

    def _wait(self, wait_s: float) -> None:
        self._world.clock.advance(seconds=wait_s)
        self._world.sleep(self.name, long=False)
