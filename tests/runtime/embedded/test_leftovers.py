"""What a killed supervisor left behind is ended at the next start, and nothing else is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import psutil

from runtime.embedded.leftovers import end_leftovers, forget, note_path, remember
from runtime.embedded.supervisor import Supervisor
from tests.runtime.embedded.conftest import alive


def sleeper() -> subprocess.Popen[bytes]:
    """A process that leads a group of its own, as parts do."""
    return subprocess.Popen(["sleep", "600"], start_new_session=True)


def test_a_noted_process_is_ended_at_the_next_start(tmp_path: Path) -> None:
    """The new supervisor says which one it was."""
    with sleeper() as process:
        remember(tmp_path, "broker", process.pid)
        events: list[tuple[str, str]] = []
        with Supervisor(tmp_path, lambda kind, part, _detail: events.append((kind, part))):
            assert not alive(process.pid)

    assert events == [("leftover", "broker")]
    assert not note_path(tmp_path, "broker").exists()


def test_a_process_that_only_has_the_number_is_left_alone(tmp_path: Path) -> None:
    """Numbers are used again; the start time tells."""
    with sleeper() as process:
        note = note_path(tmp_path, "broker")
        note.parent.mkdir()
        started = psutil.Process(process.pid).create_time() - 3600
        note.write_text(json.dumps({"pid": process.pid, "started": started}))

        assert end_leftovers(tmp_path) == []
        assert alive(process.pid)
        process.kill()


def test_notes_of_dead_processes_and_broken_notes_are_removed(tmp_path: Path) -> None:
    """Whatever a crash wrote must not stop the next start."""
    with sleeper() as process:
        remember(tmp_path, "gone", process.pid)
        process.kill()
    note_path(tmp_path, "broken").write_text("{")
    remember(tmp_path, "never", 2**22 + 1)

    assert end_leftovers(tmp_path) == []
    assert list((tmp_path / "run").glob("*.pid")) == []


def test_a_part_that_ended_well_leaves_no_note(tmp_path: Path) -> None:
    """Forgetting twice is no error."""
    with sleeper() as process:
        remember(tmp_path, "broker", process.pid)
        forget(tmp_path, "broker")
        forget(tmp_path, "broker")
        process.kill()

    assert not note_path(tmp_path, "broker").exists()
