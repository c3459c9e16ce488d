"""Questions that are asked while others of their kind are being answered wait, and are then answered as one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from threading import Event, Lock
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

Kind = TypeVar("Kind", bound=Hashable)
Item = TypeVar("Item", bound=Hashable)
Answer = TypeVar("Answer")


class _Turn:
    """Held by the batch of a kind that is being answered."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.last_items = 0


class _Batch(Generic[Item, Answer]):
    """Items that go together; the thread that brought the first one asks for all."""

    def __init__(self, turn: _Turn) -> None:
        self.turn = turn
        self.items: dict[Item, None] = {}
        self.done = Event()
        self.answers: Mapping[Item, Answer] = {}


class Gathering(Generic[Kind, Item, Answer]):
    """Shared by threads. ``answer_all`` is given a kind and its items, each once, and answers every one of them.

    An answer is worked out after it was asked for, never before, so that whatever was true then is in it. After a batch
    of several the next one waits for ``linger_s``: those who were just answered come again a moment after the one who
    waited alone meanwhile, and would else take turns with it.
    """

    def __init__(
        self,
        answer_all: Callable[[Kind, Sequence[Item]], Mapping[Item, Answer]],
        *,
        items_max: int,
        linger_s: float = 0.0,
    ) -> None:
        self._answer_all = answer_all
        self._items_max = items_max
        self._linger_s = linger_s
        self._lock = Lock()
        self._waiting: dict[Kind, _Batch[Item, Answer]] = {}
        self._turns: WeakValueDictionary[Kind, _Turn] = WeakValueDictionary()

    def ask(self, kind: Kind, item: Item) -> Answer:
        """The answer for one item; raises what ``answer_all`` raises."""
        batch, leads = self._join(kind, item)
        if leads:
            self._lead(kind, batch)
        else:
            batch.done.wait()
        # Where the batch failed, each asks for itself: what failed it may have been another's item.
        return batch.answers[item] if item in batch.answers else self._answer_all(kind, [item])[item]

    def _join(self, kind: Kind, item: Item) -> tuple[_Batch[Item, Answer], bool]:
        with self._lock:
            batch = self._waiting.get(kind)
            leads = batch is None or len(batch.items) >= self._items_max
            if batch is None or leads:
                turn = self._turns.get(kind) or _Turn()
                self._turns[kind] = turn
                batch = self._waiting[kind] = _Batch(turn)
            batch.items[item] = None
            return batch, leads

    def _lead(self, kind: Kind, batch: _Batch[Item, Answer]) -> None:
        with batch.turn.lock:
            if self._linger_s and batch.turn.last_items > 1:
                Event().wait(self._linger_s)
            with self._lock:
                # From here on nobody joins: who comes later must not be told what was read before.
                if self._waiting.get(kind) is batch:
                    del self._waiting[kind]
            batch.turn.last_items = len(batch.items)
            try:
                batch.answers = self._answer_all(kind, list(batch.items))
            finally:
                batch.done.set()
