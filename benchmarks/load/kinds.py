"""Which places in the pool are what: plain, late, a repeat of this turn, of hours ago, a conflict, held or invalid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.load.plan import TURN_REQUESTS, LoadPlan
from runtime.traffic.draws import bits, draw
from runtime.traffic.events import HELD, REFUSED_AT_DOOR, REJECTED_ANYWHERE, Kind, kinds_of
from runtime.traffic.plan import LATE_HOURS

# Places (request, event) within a stripe, as numpy picks them.
Places = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
INVALID = (*REFUSED_AT_DOOR, *REJECTED_ANYWHERE)
# A repeat of hours ago, told from one of this turn: a number beyond the simulator's own kinds.
FAR = 32


@dataclass(frozen=True, slots=True)
class Marks:
    """What is written over in a stripe. ``late`` by hours; ``near_roots`` are what ``near`` repeat, in order."""

    late: dict[int, Places]
    bad_time: Places
    near: Places
    near_roots: Places
    far: Places
    conflicts: Places


@dataclass(frozen=True, slots=True)
class Kinds:
    """``said`` is how each event is written, ``all`` what it is; both by request and place.

    ``near_roots`` gives for each request which requests hold what its near repeats repeat, and how many.
    """

    said: npt.NDArray[np.uint8]
    all: npt.NDArray[np.uint8]
    stripes: list[Marks]
    near_roots: list[dict[int, int]]


def kinds_of_pool(plan: LoadPlan) -> Kinds:
    """Draw them. A repeat for which its turn has nothing left to repeat is a plain event."""
    shape = (plan.pool_requests, plan.request_events)
    ordinals = np.arange(plan.pool_events, dtype=np.int64)
    kinds = kinds_of(plan.traffic(plan.pool_events), ordinals)
    is_far = bits(draw(plan.seed, 12, ordinals), 0, 1) == 1
    kinds[(kinds == Kind.REPEAT) & is_far] = FAR
    kinds = kinds.reshape(shape)
    roots = choose_near_roots(kinds)
    said = kinds.copy()
    # These are written as plain events; what makes them copies is written over them every round.
    said[np.isin(kinds, (Kind.REPEAT, FAR, Kind.CONFLICT))] = Kind.PLAIN
    hours = 1 + bits(draw(plan.seed, 13, ordinals), 0, 16).reshape(shape) % LATE_HOURS
    stripes = [
        marks_of(kinds, hours, roots, first, first + plan.stripe_requests)
        for first in range(0, plan.pool_requests, plan.stripe_requests)
    ]
    counted: list[dict[int, int]] = [{} for _ in range(plan.pool_requests)]
    for (request, _event), (root, _at) in roots.items():
        counted[request][root] = counted[request].get(root, 0) + 1
    return Kinds(said, kinds, stripes, counted)


def choose_near_roots(kinds: npt.NDArray[np.uint8]) -> dict[tuple[int, int], tuple[int, int]]:
    """For each near repeat a plain event that no other repeats: of the request before in its turn, or of its own."""
    roots: dict[tuple[int, int], tuple[int, int]] = {}
    taken: set[tuple[int, int]] = set()
    for request, event in zip(*np.nonzero(kinds == Kind.REPEAT), strict=True):
        place = (int(request), int(event))
        before = place[0] - 1 if place[0] % TURN_REQUESTS else place[0]
        found = next(
            (
                (before, at)
                for at in candidates(place, before, kinds.shape[1])
                if kinds[before, at] == Kind.PLAIN and (before, at) not in taken
            ),
            None,
        )
        if found is None:
            kinds[place] = Kind.PLAIN
            continue
        taken.add(found)
        roots[place] = found
    return roots


def candidates(place: tuple[int, int], request: int, events: int) -> list[int]:
    """Where to look for something to repeat: the same place in another request, or what stands before in this one."""
    if request != place[0]:
        return [(place[1] + step) % events for step in range(min(events, 40))]
    return list(range(place[1] - 1, max(-1, place[1] - 40), -1))


def marks_of(
    kinds: npt.NDArray[np.uint8],
    hours: npt.NDArray[np.int64],
    roots: dict[tuple[int, int], tuple[int, int]],
    first: int,
    last: int,
) -> Marks:
    """The marks of requests ``first`` up to ``last``."""
    some = kinds[first:last]
    late = some == Kind.LATE
    near = [(place, root) for place, root in roots.items() if first <= place[0] < last]
    return Marks(
        late={hour: places(late & (hours[first:last] == hour)) for hour in range(1, LATE_HOURS + 1)},
        bad_time=places(some == Kind.BAD_TIME),
        near=listed([(place[0] - first, place[1]) for place, _ in near]),
        near_roots=listed([(root[0] - first, root[1]) for _, root in near]),
        far=places(some == FAR),
        conflicts=places(some == Kind.CONFLICT),
    )


def places(flags: npt.NDArray[np.bool_]) -> Places:
    """Where flags are set."""
    rows, columns = np.nonzero(flags)
    return rows, columns


def listed(pairs: list[tuple[int, int]]) -> Places:
    """Pairs as two columns."""
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def is_held(kinds: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Events of which neither customer nor meter is known."""
    return np.isin(kinds, HELD)


def is_invalid(kinds: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Events that no engine may count."""
    return np.isin(kinds, INVALID)
