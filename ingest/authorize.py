"""Whose events these are: keys looked up in the books, and remembered for a short while."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from core.clock import Clock
from core.errors import Refused, Transient
from ingest.problems import Unavailable

KEY_SHAPE = re.compile(r"bb_[A-Za-z0-9_-]{8,128}", re.ASCII)
SCOPES = frozenset({"merchant", "ingest"})

# A revoked key works for this long at most.
REMEMBER_S = 30.0
# From this age on a known key is looked up again in the background, so that nobody waits for it.
REFRESH_S = 20.0
KNOWN_MAX = 10_000
UNKNOWN_MAX = 10_000
LOOKUPS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a valid key speaks for."""

    merchant_id: str
    scope: str


def key_name(key: str) -> bytes:
    """The name under which a key is remembered."""
    return hashlib.sha256(key.encode()).digest()


FindKey = Callable[[str], Identity | None]


@dataclass(frozen=True, slots=True)
class Remembered:
    """The outcome of a look-up and when it was made."""

    identity: Identity | None
    looked_up_s: float


class Authorizer:
    """Turns keys into identities. ``find_key`` may block and is called in a thread; it raises ``Transient``."""

    def __init__(self, find_key: FindKey, clock: Clock) -> None:
        self.find_key = find_key
        self.clock = clock
        # Kept apart, so that a flood of made-up keys cannot push the real ones out.
        self.known: OrderedDict[bytes, Remembered] = OrderedDict()
        self.unknown: OrderedDict[bytes, Remembered] = OrderedDict()
        self.lookups: dict[bytes, asyncio.Task[Identity | None]] = {}
        self.turns = asyncio.Semaphore(LOOKUPS_AT_ONCE)

    def recall(self, name: bytes) -> Identity | None:
        """Whom the key of this name speaks for, if it may send events and nothing has to be asked yet."""
        remembered = self.known.get(name)
        if remembered is None or self.clock.steady_s() - remembered.looked_up_s >= REFRESH_S:
            return None
        identity = remembered.identity
        return identity if identity and identity.scope in SCOPES else None

    async def identify(self, key: str) -> Identity:
        """The identity behind ``key``; raises ``Refused`` 401 or 403, or ``Unavailable`` when the books are gone."""
        if not KEY_SHAPE.fullmatch(key):
            raise unauthorized()
        name = key_name(key)
        remembered = self.known.get(name) or self.unknown.get(name)
        age_s = self.clock.steady_s() - remembered.looked_up_s if remembered else REMEMBER_S
        if remembered is None or age_s >= REMEMBER_S:
            identity = await self.look_up(name, key)
        else:
            identity = remembered.identity
            if identity and age_s >= REFRESH_S:
                self.begin_look_up(name, key)
        if identity is None:
            raise unauthorized()
        if identity.scope not in SCOPES:
            raise Refused("scope_missing", "this key may not send events", 403)
        return identity

    async def look_up(self, name: bytes, key: str) -> Identity | None:
        """Ask the books; requests with the same key ask once."""
        try:
            return await asyncio.shield(self.begin_look_up(name, key))
        except Transient as error:
            raise Unavailable("books_unavailable", "keys cannot be checked at the moment") from error

    def begin_look_up(self, name: bytes, key: str) -> asyncio.Task[Identity | None]:
        """Start asking the books, unless that is under way."""
        if name not in self.lookups:
            task = asyncio.ensure_future(self.ask(name, key))
            self.lookups[name] = task
            task.add_done_callback(lambda done: self.end_look_up(name, done))
        return self.lookups[name]

    def end_look_up(self, name: bytes, task: asyncio.Task[Identity | None]) -> None:
        """Forget a look-up; looking at its error keeps asyncio from reporting one that nobody waited for."""
        self.lookups.pop(name, None)
        if not task.cancelled():
            task.exception()

    async def ask(self, name: bytes, key: str) -> Identity | None:
        """One look-up in a thread, and its outcome remembered."""
        async with self.turns:
            identity = await asyncio.to_thread(self.find_key, key)
        remembered = Remembered(identity, self.clock.steady_s())
        self.known.pop(name, None)
        self.unknown.pop(name, None)
        if identity is None:
            keep(self.unknown, name, remembered, UNKNOWN_MAX)
        else:
            keep(self.known, name, remembered, KNOWN_MAX)
        return identity


def keep(memory: OrderedDict[bytes, Remembered], name: bytes, remembered: Remembered, size_max: int) -> None:
    """Remember, forgetting the oldest when there are too many."""
    memory[name] = remembered
    if len(memory) > size_max:
        memory.popitem(last=False)


def unauthorized() -> Refused:
    """One message for every reason, so that nothing is learnt from it."""
    return Refused("unauthorized", "a valid API key is needed: Authorization: Bearer bb_…", 401)
