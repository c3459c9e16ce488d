from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
# The demonstration has engines of its own, but its log is the kind that the tests run on.
LOG = "MILLRACE_LOG"
KEYS = [
    "sent",
    "accepted",
    "unique",
    "duplicates",
    "conflicts",
    "held",
    "rejected",
    "stored",
    "billed_events",
    "invoices",
    "total",
    "events_per_second",
    "seconds",
    "conservation",
]


def start_demo(home: Path, *options: str) -> subprocess.Popen[str]:
    """The command as ``make demo`` runs it, in a home of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_") or name == LOG}
    return subprocess.Popen(
        [sys.executable, "-m", "runtime", "demo", *options],
        cwd=ROOT,
        env=env | {"MILLRACE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def processes_of(home: Path) -> list[str]:
    """Command lines and folders of all processes that have to do with a home."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "environ"]):
        said = [*(process.info["cmdline"] or []), process.info["cwd"] or "", *(process.info["environ"] or {}).values()]
        if process.pid != os.getpid() and any(str(home) in text for text in said):
            found.append(" ".join(process.info["cmdline"] or []))
    return found


def test_the_demonstration_agrees_with_its_own_account_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Twenty thousand events: exit code 0, every number in the last line, no process, no data."""
    demo = start_demo(tmp_path / "home", "--events", "20000", "--seed", "7", "--merchants", "6", "--customers", "9")
    out, err = demo.communicate(timeout=150)
    assert demo.returncode == 0, err + out
    last = json.loads(out.splitlines()[-1])
    assert list(last) == KEYS
    assert last["conservation"] == "ok"
    assert last["sent"] == 20_000
    assert last["sent"] == sum(last[fate] for fate in ("stored", "duplicates", "conflicts", "held", "rejected"))
    assert last["unique"] == last["stored"] > last["billed_events"] > 0
    assert 0.01 < last["duplicates"] / last["sent"] < 0.03
    assert last["invoices"] == 54
    assert set(last["total"]) == {"EUR", "GBP", "JPY", "KWD", "USD"}
    assert "." not in last["total"]["JPY"]
    assert processes_of(tmp_path) == []
    assert not (tmp_path / "home" / "demo").exists()


def test_a_demonstration_that_is_told_to_stop_stops_all_that_it_started(tmp_path: Path) -> None:
    """SIGTERM in the middle of the stream; the next demonstration in the same home starts from nothing."""
    home = tmp_path / "home"
    demo = start_demo(home, "--events", "2000000", "--merchants", "6")
    deadline = time.monotonic() + 60
    while not (home / "demo" / "simulator.json").exists():
        assert demo.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    demo.send_signal(signal.SIGTERM)
    demo.communicate(timeout=60)
    assert demo.returncode == 128 + signal.SIGTERM
    assert processes_of(tmp_path) == []
