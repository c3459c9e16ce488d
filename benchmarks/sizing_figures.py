"""What sizing goes by: costs, each saying whether it was measured, derived or assumed, and a machine to count in."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


def given(value: float, unit: str, source: str) -> Any:
    """A figure that can be replaced by one's own, with where it is from."""
    return field(default=value, metadata={"unit": unit, "source": source})


@dataclass(frozen=True, slots=True)
class Costs:
    """Of the parts. CPU is user and system time of one core."""

    gateway_us: float = given(2.37, "CPU-µs an event", "measured: the line, 2.5 at 500 events a request, less the next")
    request_us: float = given(65.0, "CPU-µs a request", "measured: one event a request costs 68 (decision 0016)")
    worker_us: float = given(
        1.65, "CPU-µs an event", "measured: the line, 2.1 in blocks of some 20,000, less the block's share"
    )
    message_us: float = given(
        55.0, "CPU-µs a message, worker", "derived: Faust moves 12,000 a second, since then a third less"
    )
    worker_block_us: float = given(
        9_000.0, "CPU-µs a block, worker", "measured: blocks of 125 and 1,000 events, once, busy machine"
    )
    clickhouse_us: float = given(3.05, "CPU-µs an event", "measured: the line, 5.0 with merges, less the block's share")
    clickhouse_block_us: float = given(
        39_000.0, "CPU-µs a block, three inserts", "measured: blocks of 125 and 1,000 events, once, busy machine"
    )
    insert_us: float = given(
        3.0, "µs an event that an insert takes", "measured: inserts without merges (decision 0015)"
    )
    broker_us: float = given(
        1.0, "CPU-µs an event and copy", "measured: the line, embedded broker, one copy; others assumed alike"
    )
    postgres_block_us: float = given(
        1_400.0, "CPU-µs a block", "derived: the line, 0.07 an event in blocks of some 20,000"
    )
    log_bytes: float = given(60.0, "bytes an event on the log", "measured: decision 0024")
    store_bytes: float = given(98.0, "bytes an event in ClickHouse", "measured: events 64, windows 34 (decision 0015)")
    key_memory_bytes: float = given(
        12.0, "bytes a key in the worker's memory", "derived: filter of 4 to 6, twice while it grows"
    )
    key_file_bytes: float = given(
        56.0, "bytes a key in the worker's files", "derived: 28, twice while files are merged"
    )
    gather_s: float = given(0.02, "s that a busy gateway gathers", "a setting: `BUSY_LINGER_S`")
    block_s: float = given(
        0.4, "s from block to block of a busy partition", "derived: 0.3 s of gathering, and the stores"
    )
    block_events_max: float = given(100_000, "events a block at most", "a limit: `BLOCK_EVENTS_MAX`")
    key_file_max: float = given(2**31, "keys a partition", "half of what positions of 32 bits in a file can tell apart")


@dataclass(frozen=True, slots=True)
class Machine:
    """What is counted in, of all kinds alike."""

    cores: float = given(16, "cores", "a choice")
    memory_bytes: float = given(64e9, "bytes of memory, three quarters of them used", "a choice")
    disk_bytes: float = given(8e12, "bytes of disk, three quarters of them used", "a choice")
    network_bytes: float = given(1.25e9, "bytes a second of network, half of them used", "a choice")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for."""

    busy_share: float = given(0.5, "of a core's time planned for, so that peaks of twice the rate fit", "a choice")
    events_a_request: float = given(500, "events a request", "as in the bench")
    horizon_days: float = given(35, "days in which a copy is recognised", "a limit: `DEDUPE_HORIZON_DAYS`")
    log_days: float = given(7, "days that the log keeps", "advice of `deploy/README.md`")
    kept_days: float = given(400, "days that ClickHouse keeps events", "a choice: nothing deletes them")
    log_copies: float = given(3, "copies of the log", "advice of `docs/kafka.md`")
    store_copies: float = given(2, "copies of ClickHouse", "a choice")
    partitions: float = given(0, "partitions; 0: as many as are needed", "a choice")


@dataclass(frozen=True, slots=True)
class Figures:
    """All that sizing goes by."""

    costs: Costs = field(default_factory=Costs)
    machine: Machine = field(default_factory=Machine)
    wanted: Wanted = field(default_factory=Wanted)


AS_MEASURED = Figures()


def figures_of(of: Costs | Machine | Wanted) -> list[tuple[str, float, str, str]]:
    """Name, value, unit and source of each."""
    return [(one.name, getattr(of, one.name), one.metadata["unit"], one.metadata["source"]) for one in fields(of)]
