"""Questions of many threads that become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from core.gather import Gathering


class Slow:
    """Answers with the double of a number, once it is let."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[int]]] = []
        self.begun = Event()
        self.may_end = Event()

    def __call__(self, kind: str, items: Sequence[int]) -> Mapping[int, int]:
        """Note what was asked together."""
        self.asked.append((kind, list(items)))
        self.begun.set()
        assert self.may_end.wait(10)
        if 13 in items:
            raise ValueError("13 is refused")
        return {item: 2 * item for item in items}


def waiting(gathering: Gathering[str, int, int], kind: str, count: int) -> bool:
    """Whether so many items have come together, within ten seconds."""
    for _ in range(1_000):
        batch = gathering._waiting.get(kind)
        if batch is not None and len(batch.items) == count:
            return True
        Event().wait(0.01)
    return False


def test_who_asks_meanwhile_is_answered_together_and_later() -> None:
    """Never with an answer that was begun before; each item once; another kind does not wait."""
    slow = Slow()
    gathering = Gathering(slow, items_max=10)
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(gathering.ask, "a", 1)
        assert slow.begun.wait(10)
        others = [threads.submit(gathering.ask, "a", item) for item in (1, 2, 3, 3)]
        assert waiting(gathering, "a", 3)
        slow.begun.clear()
        other_kind = threads.submit(gathering.ask, "b", 7)
        assert slow.begun.wait(10)
        slow.may_end.set()
        assert [one.result() for one in (first, *others, other_kind)] == [2, 2, 4, 6, 6, 14]

    assert [(kind, sorted(items)) for kind, items in slow.asked] == [("a", [1]), ("b", [7]), ("a", [1, 2, 3])]


def test_a_full_batch_is_joined_by_nobody() -> None:
    """The next one goes after it."""
    slow = Slow()
    gathering = Gathering(slow, items_max=2)
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(gathering.ask, "a", item) for item in range(6)]
        slow.may_end.set()
        assert [one.result() for one in asked] == [0, 2, 4, 6, 8, 10]

    assert all(len(items) <= 2 for _, items in slow.asked)


def test_one_bad_item_fails_nobody_else() -> None:
    """Those who were asked for with it are asked for again, each alone."""
    slow = Slow()
    gathering = Gathering(slow, items_max=10)
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(gathering.ask, "a", 1)
        assert slow.begun.wait(10)
        bad = threads.submit(gathering.ask, "a", 13)
        assert waiting(gathering, "a", 1)
        good = threads.submit(gathering.ask, "a", 2)
        assert waiting(gathering, "a", 2)
        slow.may_end.set()
        assert (first.result(), good.result()) == (2, 4)
        with pytest.raises(ValueError, match="refused"):
            bad.result()


def test_after_several_the_next_waits_for_those_who_come_again() -> None:
    """One who waited alone meanwhile is asked together with them."""
    asked: list[list[int]] = []
    may_go = {1: Event(), 2: Event()}
    begun = {1: Event(), 2: Event()}

    def answer_all(_kind: str, items: Sequence[int]) -> Mapping[int, int]:
        asked.append(sorted(items))
        number = min(items)
        if number in may_go:
            begun[number].set()
            assert may_go[number].wait(10)
        return dict.fromkeys(items, 0)

    gathering = Gathering(answer_all, items_max=10, linger_s=1.0)
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(gathering.ask, "a", 1)
        assert begun[1].wait(10)
        several = [threads.submit(gathering.ask, "a", item) for item in (2, 3)]
        assert waiting(gathering, "a", 2)
        may_go[1].set()
        first.result()
        assert begun[2].wait(10)
        alone = threads.submit(gathering.ask, "a", 4)
        assert waiting(gathering, "a", 1)
        may_go[2].set()
        again = [threads.submit(gathering.ask, "a", 5 + one.result()) for one in several]
        assert [one.result() for one in (alone, *again)] == [0, 0, 0]

    assert asked == [[1], [2, 3], [4, 5]]
