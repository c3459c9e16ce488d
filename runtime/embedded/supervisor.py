"""Starts parts in order, watches them, starts again what dies, and ends them all in reverse order.

One thread of its own starts every process, because Linux ends a part together with the thread that started it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal

from core.clock import Clock, SystemClock
from core.errors import MillraceError
from runtime.embedded.endpoints import Endpoints, remove_endpoints, write_endpoints
from runtime.embedded.home_lock import home_lock
from runtime.embedded.leftovers import end_leftovers, forget, remember
from runtime.embedded.part import Part
from runtime.embedded.probes import port_is_taken
from runtime.embedded.process import log_path, spawn, stop, tail
from runtime.embedded.watched import PartStatus, State, Watched

EventKind = Literal["leftover", "starting", "ready", "died", "restarting", "given_up", "stopping", "stopped"]
OnEvent = Callable[[EventKind, str, str], None]

TICK_S = 0.05


class PartFailed(MillraceError):
    """A part did not come up, or died too often; the text says which, why, and how its log ends."""


def ignore_event(kind: EventKind, part: str, detail: str) -> None:
    """The default listener."""


class Supervisor:
    """Use as a context manager; ``start`` may be called several times, each adding parts after those before.

    ``on_event(kind, part, detail)`` is called from the supervisor's thread and must not block.
    """

    def __init__(self, home: Path, on_event: OnEvent = ignore_event, clock: Clock | None = None) -> None:
        self.home = home.resolve()
        self._on_event = on_event
        self._clock = clock or SystemClock()
        self._watched: list[Watched] = []
        self._jobs: queue.SimpleQueue[tuple[Callable[[], None], Future[None]]] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._failure: PartFailed | None = None
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._exits = ExitStack()

    def __enter__(self) -> Supervisor:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._exits.enter_context(home_lock(self.home))
        for name in end_leftovers(self.home):
            self._on_event("leftover", name, "ended a process left behind")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(
        self, parts: Sequence[Part], *, together: bool = False, cancelled: Callable[[], bool] = lambda: False
    ) -> None:
        """Start the parts one after the other, each when the one before it is ready; or all ``together``.

        Raises ``PartFailed``. Returns early once ``cancelled()``, so that Ctrl-C need not wait for a slow part.
        """
        for part in parts:
            if cancelled():
                return
            if part.port is not None and port_is_taken(part.port):
                raise PartFailed(f"{part.name}: port {part.port} is taken by another program")
            part.prepare()
            self._in_thread(partial(self._add, part))
            if not together:
                self._wait_ready(part, cancelled)
        for part in parts if together else ():
            self._wait_ready(part, cancelled)

    def check(self) -> None:
        """Raise ``PartFailed`` when a part died more often than its policy allows."""
        if self._failure is not None:
            raise self._failure

    def wait(self, until: Callable[[], bool]) -> None:
        """Sleep until ``until()``; raises ``PartFailed`` when a part is given up."""
        while not until():
            self.check()
            self._closing.wait(TICK_S)

    def status(self) -> list[PartStatus]:
        """Every part with its state and process."""
        return [PartStatus(w.part.name, w.state, w.process.pid, w.restarts) for w in self._watched]

    def publish(self, endpoints: Endpoints) -> None:
        """Write where the engines are found; taken back by ``stop``."""
        write_endpoints(self.home, endpoints)
        self._exits.callback(remove_endpoints, self.home)

    def stop(self) -> None:
        """End all parts in reverse order, let go of the home. May be called twice."""
        if self._thread.is_alive():
            self._in_thread(self._stop_all)
            self._closing.set()
            self._thread.join()
        self._exits.close()

    def _in_thread(self, job: Callable[[], None]) -> None:
        done: Future[None] = Future()
        self._jobs.put((job, done))
        done.result()

    def _run(self) -> None:
        while not self._closing.is_set():
            with suppress(queue.Empty):
                job, done = self._jobs.get(timeout=TICK_S)
                try:
                    done.set_result(job())
                except Exception as error:  # noqa: BLE001 - handed to the thread that asked
                    done.set_exception(error)
            for watched in self._watched:
                try:
                    self._look_at(watched)
                except Exception as error:  # noqa: BLE001 - a listener's fault must not end the parts with this thread
                    self._failure = PartFailed(f"watching {watched.part.name} failed: {error!r}")

    def _add(self, part: Part) -> None:
        self._on_event("starting", part.name, "")
        watched = Watched(part, spawn(part, self.home), since_s=self._clock.steady_s())
        remember(self.home, part.name, watched.process.pid)
        self._watched.append(watched)

    def _wait_ready(self, part: Part, cancelled: Callable[[], bool]) -> None:
        watched = next(w for w in self._watched if w.part.name == part.name)
        until = self._clock.steady_s() + part.ready_within_s
        while watched.state is not State.READY and not cancelled():
            self.check()
            if self._clock.steady_s() > until:
                end = tail(log_path(self.home, part.name))
                raise PartFailed(f"{part.name} was not ready within {part.ready_within_s:.0f} s\n{end}")
            self._closing.wait(TICK_S / 2)

    def _look_at(self, watched: Watched) -> None:
        if watched.state is State.WAITING:
            self._start_again_when_due(watched)
        elif watched.state is not State.GIVEN_UP and watched.process.poll() is not None:
            self._take_note_of_death(watched)
        elif watched.state is State.STARTING and self._answers(watched.part):
            watched.state, watched.since_s, watched.ready_once = State.READY, self._clock.steady_s(), True
            self._on_event("ready", watched.part.name, f"pid {watched.process.pid}")

    def _answers(self, part: Part) -> bool:
        try:
            return part.ready()
        except OSError:
            return False

    def _take_note_of_death(self, watched: Watched) -> None:
        part, now = watched.part, self._clock.steady_s()
        how = exit_text(watched.process.returncode)
        # Whatever the part had started goes with it.
        stop(watched.process, part)
        forget(self.home, part.name)
        self._on_event("died", part.name, how)
        if watched.state is State.READY and now - watched.since_s > part.restart.steady_s:
            watched.attempts = 0
        watched.attempts += 1
        if not watched.ready_once or watched.attempts > part.restart.attempts_max:
            watched.state = State.GIVEN_UP
            end = tail(log_path(self.home, part.name))
            self._failure = PartFailed(f"{part.name} {how}, for the last time\n{end}")
            self._on_event("given_up", part.name, how)
        else:
            watched.state, watched.since_s = State.WAITING, now

    def _start_again_when_due(self, watched: Watched) -> None:
        part, now = watched.part, self._clock.steady_s()
        if now - watched.since_s < part.restart.delay_s(watched.attempts):
            return
        self._on_event("restarting", part.name, f"attempt {watched.attempts}")
        watched.since_s = now
        try:
            part.prepare()
            watched.process = spawn(part, self.home)
        except OSError as error:
            watched.attempts += 1
            self._on_event("died", part.name, str(error))
            return
        watched.state, watched.restarts = State.STARTING, watched.restarts + 1
        remember(self.home, part.name, watched.process.pid)

    def _stop_all(self) -> None:
        for watched in reversed(self._watched):
            if watched.state in (State.WAITING, State.GIVEN_UP):
                continue
            self._on_event("stopping", watched.part.name, "")
            went = stop(watched.process, watched.part)
            forget(self.home, watched.part.name)
            self._on_event("stopped", watched.part.name, "" if went else "by force, after its grace")
        self._watched.clear()


def exit_text(code: int | None) -> str:
    """How a process ended, in words."""
    if code is None:
        return "runs"
    return f"was ended by signal {-code}" if code < 0 else f"exited with {code}"
