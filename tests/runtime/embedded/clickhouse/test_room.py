"""The reserve on the engine's disk: what is refused without it, and what never is."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.embedded.clickhouse.errors import EngineError
from runtime.embedded.clickhouse.room import MIB, Room, free_bytes_below, writes_much
from runtime.embedded.clickhouse.statement import read_statement


def room_with(free_bytes: int, folder: Path = Path("/data/clickhouse")) -> Room:
    """A room of which so much is free, with a reserve of 256 MiB."""
    return Room(folder, 256 * MIB, lambda _folder: free_bytes)


def test_without_the_reserve_a_write_is_refused_with_the_next_step() -> None:
    """The number is one after which clients try again; the text says how much is missing, and where."""
    room_with(256 * MIB).check()
    with pytest.raises(EngineError) as refused:
        room_with(256 * MIB - 1).check()

    assert refused.value.code == 243
    assert "255 MiB are free, 256 MiB must stay so" in refused.value.text
    assert "free disk space under /data/clickhouse" in refused.value.text
    assert refused.value.text.endswith("(NOT_ENOUGH_SPACE)")


def test_free_bytes_are_those_of_the_filesystem(tmp_path: Path) -> None:
    """A file that takes room is seen at once; others may write at the same time."""
    before = free_bytes_below(tmp_path)
    with (tmp_path / "ballast").open("wb") as file:
        file.write(b"x" * 64 * MIB)
        file.flush()
        assert before - free_bytes_below(tmp_path) > 0
    assert Room(tmp_path, 0).free_bytes() > 0


@pytest.mark.parametrize(
    ("sql", "refused"),
    [
        ("INSERT INTO t SELECT 1", True),
        ("/* why */ OPTIMIZE TABLE t FINAL", True),
        ("ALTER TABLE t UPDATE a = 1 WHERE b", True),
        ("alter table t delete where a = 1", True),
        ("DELETE FROM t WHERE a", True),
        ("ALTER TABLE t DROP PARTITION 202601", False),
        ("DROP TABLE t SYNC", False),
        ("TRUNCATE TABLE t", False),
        ("CREATE DATABASE IF NOT EXISTS d", False),
        ("SYSTEM STOP MERGES", False),
        ("SHOW TABLES", False),
    ],
)
def test_what_frees_room_is_not_refused(sql: str, refused: bool) -> None:
    """Somebody must be able to make room again."""
    assert writes_much(sql) is refused
    if refused:
        with pytest.raises(EngineError):
            room_with(0).check_for(read_statement(sql))
    else:
        room_with(0).check_for(read_statement(sql))


def test_the_engine_is_told_of_the_reserve(tmp_path: Path) -> None:
    """By a file beside its folder, which is left alone when it is right: a full disk could not take it."""
    room = Room(tmp_path / "clickhouse", 3 * MIB)
    told = room.write_configuration()

    written = Path(told["config-file"])
    assert written.parent == tmp_path
    assert "<keep_free_space_bytes>3145728</keep_free_space_bytes>" in written.read_text(encoding="utf-8")
    written.chmod(0o400)
    before = written.stat().st_mtime_ns
    assert room.write_configuration() == told
    assert written.stat().st_mtime_ns == before
    assert Room(tmp_path / "clickhouse", 0).write_configuration() == {}
