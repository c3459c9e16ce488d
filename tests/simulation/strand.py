"""Threads that take turns: one runs only while it is resumed, so that a seed alone decides who does what when."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Killed(BaseException):
    """What stands for SIGKILL: nothing of the product's catches it."""


class Strand:
    """Runs ``body`` in steps. Whoever resumes it stands still until it hands the turn back or ends."""

    def __init__(self, body: Callable[[], None]) -> None:
        self._body = body
        self._turn = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._dying = False
        self.ended = False
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def resume(self) -> None:
        """Let it run to its next ``hand_back``, or to its end."""
        if not self.ended:
            self._turn.release()
            self._back.acquire()

    def hand_back(self) -> None:
        """Called inside: let the rest of the world go on. Raises ``Killed`` if it was killed meanwhile."""
        self._back.release()
        self._turn.acquire()
        if self._dying:
            raise Killed

    def kill(self) -> None:
        """End it where it stands."""
        self._dying = True
        self.resume()
        assert self.ended, "nothing may catch the end"

    def _run(self) -> None:
        self._turn.acquire()
        try:
            if not self._dying:
                self._body()
        except BaseException as error:  # noqa: BLE001 - whoever resumed looks at it
            self.error = error
        self.ended = True
        self._back.release()
