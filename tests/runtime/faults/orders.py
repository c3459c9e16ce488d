"""Orders to a process under test: end, fail or stand still when you come to this moment.

An order is a file below the stack's home. Only processes started by `struck_up` look for one; the product knows
nothing of it.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import orjson

How = Literal["kill", "raise", "stop", "kill_store"]


@dataclass(frozen=True, slots=True)
class Order:
    """What to do when ``moment`` comes for the ``count``-th time; ``delay_ms`` is for what happens meanwhile."""

    moment: str
    count: int = 1
    how: How = "kill"
    delay_ms: float = 0.0


def order_path(home: Path, part: str) -> Path:
    """Where the order to a part lies."""
    return home / "orders" / part


def give(home: Path, part: str, order: Order) -> None:
    """Give an order; whoever has this part's name and comes to the moment first obeys."""
    path = order_path(home, part)
    path.parent.mkdir(exist_ok=True)
    for done in path.parent.glob(f"{part}.done.*"):
        done.unlink()
    draft = path.with_name(f"{part}.draft")
    draft.write_bytes(orjson.dumps(asdict(order)))
    draft.replace(path)


def obeyed_by(home: Path, part: str) -> int | None:
    """The process that obeyed, or None so far."""
    found = list((home / "orders").glob(f"{part}.done.*"))
    return int(found[0].suffix[1:]) if found else None


class Orders:
    """The side of the process that obeys."""

    def __init__(self, home: Path, part: str) -> None:
        self._path = order_path(home, part)
        self._known = b""
        self._left = 0

    def due(self, moment: str) -> Order | None:
        """The order to be carried out now; each is given to one process once."""
        try:
            said = self._path.read_bytes()
        except FileNotFoundError:
            return None
        order = Order(**orjson.loads(said))
        if said != self._known:
            self._known, self._left = said, order.count
        if moment != order.moment:
            return None
        self._left -= 1
        if self._left > 0:
            return None
        self._known = b""
        try:
            self._path.rename(self._path.with_name(f"{self._path.name}.done.{os.getpid()}"))
        except FileNotFoundError:
            return None
        return order
