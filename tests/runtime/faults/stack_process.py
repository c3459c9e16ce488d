"""A whole stack in a process of its own, as `millrace up` starts it, to be killed in parts or as a whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.processes import family
from runtime.embedded.ports import free_ports
from runtime.embedded.probes import http_answers
from runtime.settings import LogKind, Settings, load_settings

ROOT = Path(__file__).parents[3]
POLL_S = 0.05


class StackProcess:
    """``millrace up`` on free ports below ``home``; started again on the same data after it was killed.

    The log is the one that MILLRACE_LOG names, as for `millrace up` itself; ``log`` overrides it. ``within`` is a
    command that runs the stack in surroundings of its own, ``module`` another module than Millrace's to be run with
    `up`, ``more`` are further settings.
    """

    def __init__(
        self,
        home: Path,
        log: LogKind | None = None,
        within: Sequence[str] = (),
        module: str = "runtime",
        more: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.module = module
        kafka, clickhouse, postgres, self.gateway_port, api = free_ports(5)
        own = {
            "MILLRACE_HOME": str(home),
            "MILLRACE_KAFKA_PORT": str(kafka),
            "MILLRACE_CLICKHOUSE_PORT": str(clickhouse),
            "MILLRACE_POSTGRES_PORT": str(postgres),
            "MILLRACE_GATEWAY_PORT": str(self.gateway_port),
            "MILLRACE_API_PORT": str(api),
            "MILLRACE_LOG": log or os.environ.get("MILLRACE_LOG", "embedded"),
        }
        self.within = tuple(within)
        # The fault suite always kills its own engines, whatever the other tests run on.
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")} | own
        self.env |= more or {}
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self, within_s: float = 60) -> None:
        """Start and wait until the gateway takes events."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.starts += 1
        with (self.home / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.within, sys.executable, "-m", self.module, "up"], cwd=ROOT, env=self.env, stdout=log, stderr=log
            )
        process = self.process
        wait_until(
            lambda: process.poll() is not None or self.serves(),
            within_s,
            lambda: f"the stack does not serve:\n{self.log_tail()}",
        )
        assert process.poll() is None, self.log_tail()

    def serves(self) -> bool:
        """Whether the endpoints are known and the gateway is ready."""
        with suppress(OSError):
            return (self.home / "run" / "endpoints.json").exists() and http_answers(self.gateway_port, "/readyz")
        return False

    def settings(self) -> Settings:
        """Where its parts are."""
        return load_settings(self.env)

    def pid_of(self, part: str) -> int:
        """The process of one part, from the supervisor's own note."""
        return pid_noted(self.home, part)

    def kill(self, part: str) -> None:
        """End one part and all it started by SIGKILL; the supervisor starts it again."""
        for process in family(self.pid_of(part)):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def kill_everything(self) -> None:
        """End the supervisor and every part at once by SIGKILL, as a power cut would."""
        assert self.process is not None
        everyone = family(self.process.pid)
        for process in everyone:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP)
        for process in everyone:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(everyone, timeout=10)
        self.process.wait(10)

    def end(self, part: str, how: signal.Signals = signal.SIGKILL, within_s: float = 30) -> None:
        """End one part, and return when the supervisor has started it again."""
        before = self.running(part, within_s)
        if how == signal.SIGKILL:
            self.kill(part)
        else:
            os.kill(before, how)
        self.started_again(part, before, within_s)

    def running(self, part: str, within_s: float = 30) -> int:
        """The process of a part; waits for it when the part is just being started again."""
        wait_until(lambda: self._pid(part) is not None, within_s, lambda: f"{part} does not run:\n{self.log_tail()}")
        return self.pid_of(part)

    def started_again(self, part: str, before: int, within_s: float = 30) -> None:
        """Wait until a part runs in another process than ``before``."""
        wait_until(
            lambda: self._pid(part) not in (None, before),
            within_s,
            lambda: f"{part} was not started again:\n{self.log_tail()}",
        )

    def _pid(self, part: str) -> int | None:
        with suppress(FileNotFoundError):
            return self.pid_of(part)
        return None

    def ends_of(self, part: str) -> list[str]:
        """How the supervisor saw this part end, each time."""
        lines = (self.home / "up.log").read_text(errors="replace").splitlines()
        return [" ".join(line.split()[2:]) for line in lines if line.split()[:2] == ["died", part]]

    def deaths_of(self, part: str) -> int:
        """How often the supervisor saw this part die by a signal."""
        return sum(1 for how in self.ends_of(part) if "signal 9" in how)

    def stop(self) -> None:
        """End it as Ctrl-C does, and see that no process stays behind."""
        if self.process is None or self.process.poll() is not None:
            return
        everyone = family(self.process.pid)
        self.process.terminate()
        self.process.wait(60)
        _, alive = psutil.wait_procs(everyone, timeout=5)
        assert alive == [], f"left behind: {alive}"

    def log_tail(self) -> str:
        """The end of what `millrace up` and its parts printed."""
        texts = [self.home / "up.log", *sorted((self.home / "logs").glob("*.log"))]
        return "\n".join(
            f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in texts if path.exists()
        )


def pid_noted(home: Path, part: str) -> int:
    """The process of one part of the stack in ``home``."""
    pid: int = json.loads((home / "run" / f"{part}.pid").read_text())["pid"]
    return pid


def wait_until(condition: Callable[[], bool], within_s: float, otherwise: Callable[[], str]) -> None:
    """Poll until the condition holds; fail with a text that helps."""
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, otherwise()
        time.sleep(POLL_S)
