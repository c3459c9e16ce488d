"""Stops merges while others have taken from the reserve, and says so with the next step.

A merge under way knows nothing of a disk that fills up meanwhile. It is stopped within milliseconds, and its sources
stay what they were.
"""

from __future__ import annotations

import threading

from core.logs import get_logger
from runtime.embedded.clickhouse.connection import Engine
from runtime.embedded.clickhouse.errors import EngineError
from runtime.embedded.clickhouse.room import MIB, Room

# Others must take the whole reserve within this, and what a merge needs to stop, for a write to meet a full disk.
LOOK_EVERY_S = 0.02
# So that merges are not stopped and started for every file that comes and goes.
ROOM_AGAIN_BYTES = 16 * MIB


class RoomWatch:
    """Looks after the room from ``start`` to ``stop``, in a thread of its own."""

    def __init__(self, engine: Engine, room: Room) -> None:
        self._room = room
        self._connection = engine.open()
        self._stopped_merges = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="room", daemon=True)

    def start(self) -> None:
        """Look from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()
        self._connection.close()

    def look(self) -> None:
        """Stop or start merges when the room has changed so; raises ``EngineError``."""
        room, free = self._room, self._room.free_bytes()
        if not self._stopped_merges and free < room.reserve_bytes:
            self._connection.query("SYSTEM STOP MERGES", "Null")
            self._stopped_merges = True
            self._tell("disk_full", free)
        elif self._stopped_merges and free >= room.reserve_bytes + ROOM_AGAIN_BYTES:
            self._connection.query("SYSTEM START MERGES", "Null")
            self._stopped_merges = False
            self._tell("disk_has_room", free)

    def _run(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            try:
                self.look()
            except EngineError as error:
                # Tried again at the next look; inserts are refused meanwhile all the same.
                get_logger("clickhouse").warning("merges_not_switched", code=error.code, text=error.text)

    def _tell(self, event: str, free_bytes: int) -> None:
        log = get_logger("clickhouse").bind(free_bytes=free_bytes, reserve_bytes=self._room.reserve_bytes)
        if self._stopped_merges:
            log = log.bind(next_step=self._room.next_step)
        log.warning(event)
