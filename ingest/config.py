"""What a gateway is configured with and what it is handed; only ``runtime`` fills these in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.clock import Clock
from core.limits import PARTITIONS_DEFAULT
from ingest.authorize import FindKey
from ingest.backfill import Backfill
from ingest.needs import DoorCatalog
from ingest.sealed import SealedState


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """One gateway process. ``journal_dir`` is given when the log itself does not survive a kill."""

    kafka: str
    topic: str
    partitions: int = PARTITIONS_DEFAULT
    replication: int = 1
    journal_dir: Path | None = None
    linger_ms: int = 3
    pending_bytes_max: int = 64 * 1024 * 1024
    journal_bytes_max: int = 8 * 1024 * 1024 * 1024
    body_time_limit_s: float = 30.0
    delivery_timeout_ms: int = 10_000
    # How long a request waits for its confirmation at most.
    answer_time_limit_s: float = 15.0
    # Once a parcel has waited this long, new requests are sent away at once.
    stall_s: float = 6.0
    watch_interval_s: float = 0.5
    sealed_interval_s: float = 1.0
    # Whether plain requests are judged by compiled code once that is loaded; the answers are the same.
    fast_lane: bool = True


@dataclass(frozen=True, slots=True)
class GatewayParts:
    """What the gateway asks others for. ``find_key`` and ``sealed`` block, and raise ``Transient``."""

    clock: Clock
    find_key: FindKey
    # The newest catalog, or None until it is loaded.
    catalog: Callable[[], DoorCatalog | None]
    # What is sealed of a topic; only asked when there is a journal.
    sealed: Callable[[str], SealedState]
    # A merchant's backfill by its id; blocks, and raises ``Transient``.
    find_backfill: Callable[[str, str], Backfill | None] = lambda _merchant_id, _backfill_id: None
