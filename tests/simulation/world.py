"""A whole deployment in one process, moved by one seed: who acts next, what fails, who dies, what comes late."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from core.clock import ManualClock
from ingest.sealed import SealedState
from tests.simulation.actions import ACTIONS, RARE_IN_AMBUSH
from tests.simulation.ambush import AMBUSHES, Ambush, Call
from tests.simulation.build import Build
from tests.simulation.clients import CATALOGS, make_clients
from tests.simulation.doors import FAULTS
from tests.simulation.gateway import Gateway, Kept
from tests.simulation.log import MemoryLog
from tests.simulation.witness import Witness, WitnessStore
from tests.simulation.worker import TOPIC, Worker
from tests.streams.builders import NOON

WORKERS_MAX = 3
GATEWAYS_MAX = 2
# How often others act between two calls of a worker.
OTHERS_SHARE = 0.25
# The share of worlds in which one of the ambushes waits.
AMBUSH_SHARE = 0.4


@dataclass
class Group:
    """Which worker has which partition, as the group's coordinator sees it."""

    generation: int = 0
    owners: dict[int, str] = field(default_factory=dict)


class World:
    """All parts of a deployment. Acts one step at a time; ``calm`` ends all trouble."""

    def __init__(self, seed: int, build: Build) -> None:
        self.chance = random.Random(seed)
        self.build = build
        self.clock = ManualClock(NOON)
        self.witness = Witness()
        self.calm = False
        self.embedded = self.chance.random() < 0.7
        self.rows_max = self.chance.choice((3, 6, 100))
        self.fault_share = self.chance.choice((0.0, 0.03, 0.08, 0.2))
        # Worlds differ in what goes wrong in them: some troubles only meet where others are rare.
        self.faults = self.chance.sample(FAULTS, self.chance.randint(1, len(FAULTS)))
        self.weights = {name: weight * self.chance.choice((0.3, 1, 1, 4)) for name, weight in ACTIONS.items()}
        self.clients = make_clients(self.chance)
        self.waiting = list(self.clients.requests)
        self.log = MemoryLog(self.chance.choice((1, 1, 2)))
        self.variants = [self.chance.randrange(len(CATALOGS))]
        self.ledger = build.ledger(self.clock, self.catalog_version)
        self.store = WitnessStore(self.witness)
        self.group = Group()
        self.workers: dict[str, Worker] = {}
        self.gateways: list[Gateway] = []
        self.left_journals: list[list[Kept]] = []
        self.late: list[tuple[str, Callable[[], object]]] = []
        self.born = 0
        # What is to happen as soon as whoever acts now has handed the turn back.
        self.planned: list[Callable[[], object]] = []
        self.ambush: Ambush | None = None
        self.ambush_name = ""
        if self.chance.random() < AMBUSH_SHARE:
            self.lie_in_wait()

    def lie_in_wait(self) -> None:
        """Prepare an ambush; most of them need a log that can be lost, and other troubles to be rare."""
        self.embedded = True
        self.fault_share = min(self.fault_share, 0.03)
        self.weights = ACTIONS | dict.fromkeys(RARE_IN_AMBUSH, 0.2)
        lay = self.chance.choice(AMBUSHES)
        self.ambush, self.ambush_name = lay(self), lay.__name__
        next(self.ambush)

    def catalog_version(self) -> int:
        """The newest."""
        return len(self.variants) - 1

    def draw(self, who: str, what: str) -> str:
        """What happens at a door."""
        chance = self.chance
        fate = self.fate_in_ambush(Call(who, what))
        if fate is None and not self.calm and chance.random() < self.fault_share:
            fate = chance.choice(self.faults)
        if fate is None:
            fate = "others first" if chance.random() < OTHERS_SHARE else "goes well"
        self.witness.note(f"{who}: {what}" + (f" ({fate})" if fate in FAULTS else ""))
        return fate

    def fate_in_ambush(self, call: Call) -> str | None:
        """What an ambush wants; None when it does not care."""
        if self.ambush is None or self.calm:
            return None
        try:
            return self.ambush.send(call)
        except StopIteration:
            self.witness.note(f"over: {self.ambush_name}")
            self.ambush = None
            return None

    def land_later(self, what: str, effect: Callable[[], object]) -> None:
        """Keep an effect for later."""
        self.late.append((what, effect))

    def sleep(self, who: str, *, long: bool) -> None:
        """Hand the turn back; after a long sleep's beginning the group goes on without the sleeper."""
        worker = self.workers[who]
        if long:
            worker.asleep = True
            if self.chance.random() < 0.8:
                self.rebalance()
        worker.strand.hand_back()

    def sealed(self) -> SealedState:
        """What the gateways read in the ledger."""
        rows = self.ledger.partitions.items()
        return SealedState({at: row.position.sequences.as_json() for (topic, at), row in rows if topic == TOPIC})

    # What can happen next.

    def step_worker(self) -> None:
        """Let one worker go on until it hands the turn back."""
        awake = [worker for worker in self.workers.values() if not worker.asleep]
        if awake:
            self.run_worker(self.chance.choice(awake))

    def run_worker(self, worker: Worker) -> None:
        """Resume a worker; bury it if that was its end."""
        worker.strand.resume()
        why = worker.ended()
        if why is not None:
            self.witness.note(f"{worker.name} is gone: {why}")
            del self.workers[worker.name]
            self.rebalance()

    def run_all(self, *, but: str) -> None:
        """Resume all who are awake, one after the other."""
        for worker in list(self.workers.values()):
            if worker.name != but and not worker.asleep:
                self.run_worker(worker)

    def run_only(self, name: str) -> None:
        """Resume one, if it still lives."""
        if name in self.workers and not self.workers[name].asleep:
            self.run_worker(self.workers[name])

    def youngest(self) -> str:
        """Who started last."""
        return next(reversed(self.workers), "")

    def behind(self, who: str) -> list[str]:
        """One who is awake and knows an older log than ``who``; nobody if there is none."""
        newest = self.workers[who].incarnation
        return [one.name for one in self.workers.values() if not one.asleep and 0 < one.incarnation < newest][:1]

    def wake_worker(self) -> None:
        """A sleeper goes on where it was, not knowing for how long it slept."""
        asleep = [worker for worker in self.workers.values() if worker.asleep]
        if asleep:
            worker = self.chance.choice(asleep)
            worker.asleep = False
            self.witness.note(f"{worker.name} wakes up")
            # It joins again once it has finished what it has in hand; others may be given its partitions meanwhile.
            if self.calm or self.chance.random() < 0.5:
                self.rebalance()

    def start_worker(self) -> None:
        """A new process joins."""
        if len(self.workers) < WORKERS_MAX:
            self.born += 1
            name = f"worker {self.born}"
            self.workers[name] = Worker(name, self)
            self.witness.note(f"{name} starts")
            self.rebalance()

    def kill_worker(self) -> None:
        """SIGKILL between two calls."""
        if self.workers:
            self.bury(self.chance.choice(list(self.workers.values())))

    def bury(self, worker: Worker) -> None:
        """Kill one."""
        worker.strand.kill()
        del self.workers[worker.name]
        self.witness.note(f"{worker.name} is killed")
        self.rebalance()

    def rebalance(self, to: str | None = None) -> None:
        """Share the partitions anew among those who seem alive, or give all of them ``to`` one."""
        members = [worker.name for worker in self.workers.values() if not worker.asleep and to in {None, worker.name}]
        self.group.generation += 1
        self.group.owners = {at: self.chance.choice(members) for at in range(self.log.partitions)} if members else {}
        self.witness.note(f"rebalance: {self.group.owners}")

    def step_gateway(self) -> None:
        """A gateway takes a request, or does a bit for one that it has."""
        if not self.gateways:
            self.start_gateway()
        gateway = self.chance.choice(self.gateways)
        if gateway.parcels and self.chance.random() < 0.7:
            gateway.step(self.witness.note)
        elif self.waiting:
            gateway.take(self.waiting.pop(self.chance.randrange(len(self.waiting))), self.clock.now())
        else:
            self.ask_again()

    def ask_again(self) -> None:
        """Clients without an answer repeat their requests."""
        under_way = {id(parcel.request) for gateway in self.gateways for parcel in gateway.parcels}
        self.waiting = [r for r in self.clients.requests if not r.acknowledged and id(r) not in under_way]

    def watch_log(self) -> None:
        """A gateway looks after its journal."""
        if self.gateways:
            gateway = self.chance.choice(self.gateways)
            if self.left_journals and self.chance.random() < 0.5:
                gateway.adopt(self.left_journals.pop(self.chance.randrange(len(self.left_journals))))
            gateway.watch(self.sealed(), self.witness.note)

    def start_gateway(self) -> None:
        """A new gateway process, with a journal of its own."""
        if len(self.gateways) < GATEWAYS_MAX:
            self.born += 1
            self.gateways.append(Gateway(UUID(int=self.born), self.log, self.chance, self.embedded, self.land_later))

    def kill_gateway(self) -> None:
        """Its journal stays."""
        if self.gateways:
            gateway = self.gateways.pop(self.chance.randrange(len(self.gateways)))
            self.left_journals.append(gateway.journal)
            self.witness.note(f"gateway {gateway.producer.int} is killed")

    def lose_log(self) -> None:
        """The broker of one machine dies and comes back empty; perhaps everything else dies with it."""
        if self.embedded:
            self.replace_log()
            self.log.answers = self.chance.random() < 0.7
            kind = self.chance.random()
            if kind < 0.3:
                self.power_cut()
            elif kind < 0.5:
                self.kill_gateway()

    def replace_log(self) -> None:
        """An empty log takes the place of the one that was."""
        self.log.lose()
        self.log.answers = True
        self.witness.note(f"the log is lost; {self.log.topic_id} begins")

    def power_cut(self) -> None:
        """Every process dies at once."""
        for worker in list(self.workers.values()):
            self.bury(worker)
        while self.gateways:
            self.kill_gateway()

    def toggle_log(self) -> None:
        """The broker cannot be reached for a while, or can be again."""
        self.log.answers = not self.log.answers
        self.witness.note("the log answers" if self.log.answers else "the log does not answer")

    def write_rubbish(self) -> None:
        """Somebody else writes to the topic."""
        if self.log.answers:
            self.log.append(self.chance.randrange(self.log.partitions), b"rubbish", [])

    def change_catalog(self) -> None:
        """A new version."""
        self.variants.append(self.chance.randrange(len(CATALOGS)))
        self.witness.note(f"catalog {self.catalog_version()} is like {self.variants[-1]}")

    def land(self) -> None:
        """Something that nobody waits for any more takes effect."""
        if self.late:
            what, effect = self.late.pop(self.chance.randrange(len(self.late)))
            self.witness.note(f"late: {what}")
            try:
                effect()
            except Exception as error:  # noqa: BLE001 - nobody is there to hear it
                self.witness.note(f"late: {type(error).__name__}: {error}")

    def jump_clock(self) -> None:
        """Hours pass, or the wall clock is set back a little."""
        if self.chance.random() < 0.5:
            self.clock.advance(hours=self.chance.randint(1, 5))
        else:
            self.clock.instant -= (self.clock.instant - NOON) / 2
        self.witness.note(f"the clock jumps to {self.clock.instant}")
