"""Parts are started in order, watched, started again, and ended in reverse order, none left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.errors import Refused
from runtime.embedded.endpoints import Endpoints, endpoints_path
from runtime.embedded.part import Restart
from runtime.embedded.ports import free_port
from runtime.embedded.supervisor import PartFailed, Supervisor
from runtime.embedded.watched import State
from tests.runtime.embedded.conftest import MakePart, alive

SERVE = "ready.touch()\ntime.sleep(600)"
QUICK = Restart(first_delay_s=0.01, delay_s_max=0.02, attempts_max=3)


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true in time."""
    clock = SystemClock()
    until = clock.steady_s() + seconds
    while clock.steady_s() < until:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_parts_start_in_order_and_end_in_reverse(tmp_path: Path, make_part: MakePart) -> None:
    """Each part finds those before it ready, and those it needs outlive it."""
    events: list[tuple[str, str]] = []
    with Supervisor(tmp_path, lambda kind, part, _detail: events.append((kind, part))) as supervisor:
        supervisor.start([make_part("first", SERVE), make_part("second", SERVE)])
        pids = [status.pid for status in supervisor.status()]
        assert all(alive(pid) for pid in pids)

    assert not any(alive(pid) for pid in pids)
    assert events == [
        *(("starting", "first"), ("ready", "first"), ("starting", "second"), ("ready", "second")),
        *(("stopping", "second"), ("stopped", "second"), ("stopping", "first"), ("stopped", "first")),
    ]


def test_parts_that_start_together_are_all_waited_for(tmp_path: Path, make_part: MakePart) -> None:
    """The second is started before the first is ready, and one that does not come up is told of all the same."""
    events: list[tuple[str, str]] = []
    slow = make_part("slow", f"time.sleep(1)\n{SERVE}")
    with Supervisor(tmp_path, lambda kind, part, _detail: events.append((kind, part))) as supervisor:
        supervisor.start([slow, make_part("quick", SERVE)], together=True)
        assert events[:2] == [("starting", "slow"), ("starting", "quick")]
        assert sorted(events[2:]) == [("ready", "quick"), ("ready", "slow")]
        with pytest.raises(PartFailed, match="broken exited with 3"):
            supervisor.start([make_part("broken", "sys.exit(3)"), make_part("other", SERVE)], together=True)


def test_a_part_that_does_not_come_up_is_named_with_the_end_of_its_log(tmp_path: Path, make_part: MakePart) -> None:
    """Whoever starts the stack sees the reason without looking for it."""
    with (
        Supervisor(tmp_path) as supervisor,
        pytest.raises(PartFailed, match=r"broken exited with 3(.|\n)*no such thing"),
    ):
        supervisor.start([make_part("broken", "print('no such thing'); sys.exit(3)")])


def test_a_part_that_never_gets_ready_is_given_up(tmp_path: Path, make_part: MakePart) -> None:
    """The wait has a bound, and the process does not outlive the failure."""
    part = make_part("slow", "print('still loading'); time.sleep(600)", ready_within_s=0.5)
    with Supervisor(tmp_path) as supervisor:
        with pytest.raises(PartFailed, match=r"slow was not ready within(.|\n)*still loading"):
            supervisor.start([part])
        pid = supervisor.status()[0].pid

    assert not alive(pid)


def test_a_taken_port_is_said_before_anything_starts(tmp_path: Path, make_part: MakePart) -> None:
    """Two stacks on one port would otherwise look like one that works."""
    from socket import create_server  # noqa: PLC0415

    port = free_port()
    with create_server(("127.0.0.1", port)), Supervisor(tmp_path) as supervisor:
        with pytest.raises(PartFailed, match=f"port {port} is taken"):
            supervisor.start([make_part("late", SERVE, port=port)])
        assert supervisor.status() == []


def test_a_part_that_dies_is_started_again(tmp_path: Path, make_part: MakePart) -> None:
    """With another process, and ready again."""
    with Supervisor(tmp_path) as supervisor:
        supervisor.start([make_part("worker", SERVE, restart=QUICK)])
        before = supervisor.status()[0]
        os.kill(before.pid, signal.SIGKILL)
        supervisor.wait(lambda: supervisor.status()[0].restarts == 1 and supervisor.status()[0].state is State.READY)
        after = supervisor.status()[0]

        assert after.pid != before.pid
        assert alive(after.pid)


def test_a_part_that_keeps_dying_ends_the_wait(tmp_path: Path, make_part: MakePart) -> None:
    """A supervisor that hides a broken part for ever helps nobody."""
    code = "ready.touch(); time.sleep(0.15); print('my last words'); sys.exit(7)"
    events: list[str] = []
    with Supervisor(tmp_path, lambda kind, _part, _detail: events.append(kind)) as supervisor:
        supervisor.start([make_part("sick", code, restart=QUICK)])
        with pytest.raises(PartFailed, match=r"sick exited with 7(.|\n)*my last words"):
            supervisor.wait(lambda: False)

    assert events.count("restarting") == QUICK.attempts_max
    assert "given_up" in events


def test_a_part_that_will_not_end_is_ended_by_force(tmp_path: Path, make_part: MakePart) -> None:
    """With everything that it started."""
    code = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "pathlib.Path('child').write_text(str(child.pid))\n" + SERVE
    )
    details: list[str] = []
    with Supervisor(
        tmp_path, lambda kind, _part, text: details.append(text) if kind == "stopped" else None
    ) as supervisor:
        supervisor.start([make_part("deaf", code, grace_s=0.3)])
        pids = [supervisor.status()[0].pid, int((tmp_path / "child").read_text())]

    assert details == ["by force, after its grace"]
    assert within(5, lambda: not any(alive(pid) for pid in pids))


def test_one_home_has_one_supervisor(tmp_path: Path) -> None:
    """The second one says who holds the home; when the first is gone, the next may have it."""
    with Supervisor(tmp_path), pytest.raises(Refused, match=f"in use by process {os.getpid()}"), Supervisor(tmp_path):
        pytest.fail("two supervisors in one home")
    with Supervisor(tmp_path) as third:
        assert third.status() == []


def test_addresses_are_published_while_it_runs(tmp_path: Path) -> None:
    """Readable by their owner alone, because one of them holds a password."""
    with Supervisor(tmp_path) as supervisor:
        supervisor.publish(Endpoints("127.0.0.1:1", "http://127.0.0.1:2/x", "postgresql://u:p@127.0.0.1:3/x"))
        path = endpoints_path(tmp_path)
        found = json.loads(path.read_text())
        assert path.stat().st_mode & 0o077 == 0

    assert found == {
        "kafka": "127.0.0.1:1",
        "clickhouse_url": "http://127.0.0.1:2/x",
        "postgres_url": "postgresql://u:p@127.0.0.1:3/x",
    }
    assert not path.exists()


def test_a_listener_that_fails_does_not_end_the_parts(tmp_path: Path, make_part: MakePart) -> None:
    """The fault is reported where the supervisor is waited for."""

    def listen(kind: str, _part: str, _detail: str) -> None:
        if kind == "ready":
            raise ValueError("cannot print")

    def start_and_wait() -> None:
        supervisor.start([make_part("fine", SERVE)])
        supervisor.wait(lambda: False)

    with Supervisor(tmp_path, listen) as supervisor, pytest.raises(PartFailed, match="cannot print"):
        start_and_wait()


KILLED = """
import pathlib, sys
from runtime.embedded.part import Part
from runtime.embedded.supervisor import Supervisor
home = pathlib.Path(sys.argv[1])
def part(name):
    code = f"import pathlib, time; pathlib.Path('{name}.up').touch(); time.sleep(600)"
    return Part(name, (sys.executable, "-c", code), ready=(home / f"{name}.up").exists)
with Supervisor(home) as supervisor:
    supervisor.start([part("one"), part("two")])
    print(*(status.pid for status in supervisor.status()), flush=True)
    supervisor.wait(lambda: False)
"""


def test_parts_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    """On Linux the system itself ends them at once; elsewhere the next supervisor does."""
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as killed:
        assert killed.stdout is not None
        pids = [int(text) for text in killed.stdout.readline().split()]
        killed.kill()
    if sys.platform != "linux":
        with Supervisor(tmp_path):
            pass

    assert len(pids) == 2
    assert within(5, lambda: not any(alive(pid) for pid in pids))


def test_ctrl_c_reaches_the_supervisor_alone(tmp_path: Path, make_part: MakePart) -> None:
    """Parts live in sessions of their own, so a terminal's signal cannot end them out of order."""
    with Supervisor(tmp_path) as supervisor:
        supervisor.start([make_part("apart", SERVE)])
        pid = supervisor.status()[0].pid

        assert os.getsid(pid) == pid
        assert os.getsid(pid) != os.getsid(0)
