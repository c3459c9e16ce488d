"""Awaiting what is mostly done at once, without a task for it."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from typing import Any


class Begun(Awaitable[Any]):
    """A coroutine whose first step is taken already; to be awaited for the rest, by one task.

    ``is_done`` says that there is no rest, and ``answer`` then what it returned.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._waits_for: Any = None
        self.answer: Any = None
        self.is_done = False
        try:
            self._waits_for = coroutine.send(None)
        except StopIteration as end:
            self.is_done, self.answer = True, end.value

    def __await__(self) -> Generator[Any, Any, Any]:
        while not self.is_done:
            try:
                try:
                    sent = yield self._waits_for
                except GeneratorExit:
                    self._coroutine.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - it is the coroutine's to handle
                    self._waits_for = self._coroutine.throw(error)
                else:
                    self._waits_for = self._coroutine.send(sent)
            except StopIteration as end:
                self.is_done, self.answer = True, end.value
        return self.answer
