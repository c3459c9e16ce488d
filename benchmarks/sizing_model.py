"""How many machines a rate takes: a pure function of the rate and of ``benchmarks.sizing_figures``.

Every formula is the one of ``docs/sizing.md``. What a part needs is the largest of what its processor, its memory, its
disk and its network ask for. ``bounds_of`` holds what comes out against what one of each thing can do today.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from benchmarks.sizing_figures import AS_MEASURED, Costs, Figures, Wanted

DAY_S = 86_400
PARTITIONS_LEAST, POSTGRES_COPIES = 4, 2
# What is left of memory and disk for everything else, and of a network for what comes back.
MEMORY_SHARE, DISK_SHARE, NETWORK_SHARE = 0.75, 0.75, 0.5
# Transactions that one server writes to disk in a second, inserts whose parts one server keeps merging, and partitions
# with their copies on one broker: assumed for ordinary hardware, not measured.
TRANSACTIONS_A_SECOND, INSERTS_A_SECOND, PARTITIONS_A_BROKER = 5_000, 100, 4_000
# The tokens that a table remembers (``non_replicated_deduplication_window``), and how long a worker may be gone.
TOKENS, GONE_S = 10_000, 300


@dataclass(frozen=True, slots=True)
class Need:
    """Machines of a part by each reason, of which the largest counts; ``processes`` where they are counted too."""

    part: str
    by: dict[str, int]
    processes: int = 0

    @property
    def machines(self) -> int:
        """As many as the hungriest reason asks for."""
        return max(self.by.values())

    @property
    def reason(self) -> str:
        """The hungriest reason."""
        return max(self.by, key=lambda name: self.by[name])


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes once everything is as old as it gets, with all copies; ``a_day`` is of one copy."""

    log_bytes: float
    store_bytes: float
    store_bytes_a_day: float
    key_file_bytes: float
    key_memory_bytes: float


@dataclass(frozen=True, slots=True)
class Sized:
    """What a rate comes to."""

    events_per_second: float
    keys: float
    partitions: int
    partitions_by: str
    events_a_message: float
    messages_per_second: float
    blocks_per_second: float
    events_a_block: float
    cores: dict[str, float]
    stored: Stored
    needs: tuple[Need, ...]

    @property
    def machines(self) -> int:
        """All of them."""
        return sum(need.machines for need in self.needs)


@dataclass(frozen=True, slots=True)
class Bound:
    """What one of a thing can do, and what is asked of it; it breaks where ``load`` is larger."""

    what: str
    load: float
    bound: float
    why: str

    @property
    def times(self) -> float:
        """By how much too much is asked; up to 1 it holds."""
        return self.load / self.bound


def size(events_per_minute: float, own: Figures = AS_MEASURED) -> Sized:
    """Work it out for a steady rate; raises ``ValueError`` for one that is not positive."""
    if not events_per_minute > 0:
        raise ValueError("a rate is more than nothing")
    costs, wanted = own.costs, own.wanted
    rate = events_per_minute / 60
    keys = rate * DAY_S * wanted.horizon_days
    by = partitions_by(rate, keys, costs, wanted)
    partitions = int(wanted.partitions) or max(by.values())
    gateways = ceil(rate * gateway_us(costs, wanted.events_a_request) / 1e6 / wanted.busy_share)
    events_a_message = max(1.0, rate * costs.gather_s / gateways / partitions)
    messages = rate / events_a_message
    blocks = max(min(partitions / costs.block_s, messages), rate / costs.block_events_max)
    cores = cores_of(rate, messages, blocks, costs, wanted)
    stored = Stored(
        log_bytes=rate * DAY_S * wanted.log_days * costs.log_bytes * wanted.log_copies,
        store_bytes=rate * DAY_S * wanted.kept_days * costs.store_bytes * wanted.store_copies,
        store_bytes_a_day=rate * DAY_S * costs.store_bytes,
        key_file_bytes=keys * costs.key_file_bytes,
        key_memory_bytes=keys * costs.key_memory_bytes,
    )
    processes = {"gateway": gateways, "worker": min(partitions, whole(cores["worker"] / wanted.busy_share))}
    return Sized(
        events_per_second=rate,
        keys=keys,
        partitions=partitions,
        partitions_by=max(by, key=lambda name: by[name]),
        events_a_message=events_a_message,
        messages_per_second=messages,
        blocks_per_second=blocks,
        events_a_block=rate / blocks,
        cores=cores,
        stored=stored,
        needs=tuple(
            Need(part, by, processes.get(part, 0))
            for part, by in machines_by(rate, partitions, cores, stored, own).items()
        ),
    )


def machines_by(
    rate: float, partitions: int, cores: dict[str, float], stored: Stored, own: Figures
) -> dict[str, dict[str, int]]:
    """Machines of each part by each reason."""
    machine, wanted = own.machine, own.wanted
    memory, disk = machine.memory_bytes * MEMORY_SHARE, machine.disk_bytes * DISK_SHARE
    processor = {part: whole(busy / wanted.busy_share / machine.cores) for part, busy in cores.items()}
    log_copies, copies = int(wanted.log_copies), int(wanted.store_copies)
    # What comes in; what goes out, to the other copies and to a worker, is as much and has the other direction.
    network = rate * own.costs.log_bytes * log_copies / machine.network_bytes / NETWORK_SHARE
    return {
        "gateway": {"processor": processor["gateway"]},
        "worker": {
            "processor": processor["worker"],
            "memory": whole(stored.key_memory_bytes / memory),
            "disk": whole(stored.key_file_bytes / disk),
        },
        "broker": {
            "copies": log_copies,
            "processor": processor["broker"],
            "disk": whole(stored.log_bytes / disk),
            "network": whole(network),
            "partitions": whole(partitions * log_copies / PARTITIONS_A_BROKER),
        },
        "clickhouse": {
            "processor": processor["clickhouse"] * copies,
            "disk": whole(stored.store_bytes / disk / copies) * copies,
        },
        "postgres": {"copies": POSTGRES_COPIES, "processor": processor["postgres"] * POSTGRES_COPIES},
    }


def whole(amount: float) -> int:
    """As whole things, at least one."""
    return max(1, ceil(amount))


def gateway_us(costs: Costs, events_a_request: float) -> float:
    """An event's own cost, and its share of the request's."""
    return costs.gateway_us + costs.request_us / events_a_request


def partition_rate(costs: Costs, wanted: Wanted) -> float:
    """Events a second of one partition, whose blocks are computed and inserted one after the other."""
    return wanted.busy_share / (costs.worker_us + costs.insert_us) * 1e6


def partitions_by(rate: float, keys: float, costs: Costs, wanted: Wanted) -> dict[str, int]:
    """Partitions by each reason."""
    return {
        "the default": PARTITIONS_LEAST,
        "rate": ceil(rate / partition_rate(costs, wanted)),
        "keys": ceil(keys / costs.key_file_max),
    }


def cores_of(rate: float, messages: float, blocks: float, costs: Costs, wanted: Wanted) -> dict[str, float]:
    """Cores that are busy all the time."""
    spent_us = {
        "gateway": rate * gateway_us(costs, wanted.events_a_request),
        "worker": rate * costs.worker_us + messages * costs.message_us + blocks * costs.worker_block_us,
        "broker": rate * costs.broker_us * wanted.log_copies,
        "clickhouse": rate * costs.clickhouse_us + blocks * costs.clickhouse_block_us,
        "postgres": blocks * costs.postgres_block_us,
    }
    return {part: us / 1e6 for part, us in spent_us.items()}


def bounds_of(sized: Sized, own: Figures = AS_MEASURED) -> list[Bound]:
    """What is asked of each thing of which there is one today, the worst first."""
    machine, wanted, blocks = own.machine, own.wanted, sized.blocks_per_second
    found = [
        Bound(
            "memory for keys, one worker machine",
            sized.stored.key_memory_bytes,
            machine.memory_bytes * MEMORY_SHARE,
            "the filter before the index lies in memory whole; more machines share it by partitions",
        ),
        Bound(
            "keys of a partition in one file",
            sized.keys / sized.partitions,
            own.costs.key_file_max * 2,
            "positions in a file have 32 bits; beyond, repeats would be missed in the stream",
        ),
        Bound(
            "ClickHouse's processor, one server",
            sized.cores["clickhouse"] / wanted.busy_share,
            machine.cores,
            "a worker knows one address and tables of one server; shards are not built",
        ),
        Bound(
            "ClickHouse's disk, one server",
            sized.stored.store_bytes / wanted.store_copies,
            machine.disk_bytes * DISK_SHARE,
            "every event is kept as evidence, and nothing deletes any",
        ),
        Bound(
            "inserts a second, one ClickHouse server",
            blocks * 3,
            INSERTS_A_SECOND,
            "three tables a block; small parts come faster than they are merged",
        ),
        Bound(
            "ClickHouse's memory of tokens",
            blocks * GONE_S,
            TOKENS,
            "a table remembers 10,000; a worker gone for five minutes must still find that of its open block",
        ),
        Bound(
            "Postgres' transactions a second",
            blocks * 2,
            TRANSACTIONS_A_SECOND,
            "intent and seal of every block, each under its partition's row and written to disk",
        ),
        Bound(
            "a partition's events a second",
            sized.events_per_second / sized.partitions,
            partition_rate(own.costs, replace(wanted, busy_share=1.0)),
            "its blocks are computed and inserted one after the other, by one worker",
        ),
    ]
    return sorted(found, key=lambda bound: -bound.times)
