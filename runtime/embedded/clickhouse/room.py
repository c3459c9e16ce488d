"""Room on the engine's disk, of which a reserve is never given to writes.

The engine takes no notice of a write that the system refuses: a file that was cut short by a full disk counts as whole,
in inserts and in merges, and the merge's sources are gone soon after. So it must never come to a full disk while it
writes. Three things see to that together:

1. the engine itself keeps the reserve free (``keep_free_space_bytes``): it begins no insert and no merge without room;
2. the front refuses writes as long as less than the reserve is free, whoever took it;
3. when others take from the reserve, merges under way are stopped (``watch_room``); inserts under way end within it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from runtime.embedded.clickhouse.errors import NOT_ENOUGH_SPACE, refusal
from runtime.embedded.clickhouse.statement import Statement, tokens

MIB = 1024 * 1024
# Statements that write much. What frees room (DROP, TRUNCATE) and what merely asks must go on.
WRITING = frozenset({"INSERT", "OPTIMIZE", "ALTER", "UPDATE", "DELETE"})
CONFIGURATION = """<clickhouse>
    <storage_configuration>
        <disks><default><keep_free_space_bytes>{reserve_bytes}</keep_free_space_bytes></default></disks>
    </storage_configuration>
</clickhouse>
"""


def free_bytes_below(folder: Path) -> int:
    """What a process like ours may still write there."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


class Room:
    """The disk below ``folder``, with a reserve; 0 keeps none."""

    def __init__(self, folder: Path, reserve_bytes: int, free_bytes: Callable[[Path], int] = free_bytes_below) -> None:
        self.folder = folder
        self.reserve_bytes = reserve_bytes
        self._free_bytes = free_bytes

    def free_bytes(self) -> int:
        """How much is free just now, the reserve included."""
        return self._free_bytes(self.folder)

    def check(self) -> None:
        """Raise ``EngineError`` when less than the reserve is free: nothing may be written then."""
        free = self.free_bytes()
        if free < self.reserve_bytes:
            raise refusal(
                NOT_ENOUGH_SPACE,
                f"The disk is full: {free // MIB} MiB are free, {self.reserve_bytes // MIB} MiB must stay so."
                f" Next step: {self.next_step}",
            )

    def check_for(self, statement: Statement) -> None:
        """As ``check``, for a statement that may be harmless."""
        if writes_much(statement.head):
            self.check()

    @property
    def next_step(self) -> str:
        """What a person should do about a full disk."""
        return f"free disk space under {self.folder}; what waits goes on by itself"

    def write_configuration(self) -> dict[str, str]:
        """The engine's options that make it keep the reserve; their file lies beside its folder."""
        if not self.reserve_bytes:
            return {}
        path = self.folder.with_name(f"{self.folder.name}.xml")
        text = CONFIGURATION.format(reserve_bytes=self.reserve_bytes)
        # On a full disk it could not be written anew.
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return {"config-file": str(path)}


def writes_much(sql: str) -> bool:
    """Whether a statement may write more than a few lines; dropping parts of a table frees room."""
    words = [token.upper for token in tokens(sql) if token.is_word and not token.depth]
    return bool(words) and words[0] in WRITING and not (words[0] == "ALTER" and "DROP" in words)
