"""Sessions: a connection kept between requests under a name that the client chose."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.clock import Clock
from runtime.embedded.clickhouse.connection import Connection
from runtime.embedded.clickhouse.errors import SESSION_IS_LOCKED, SESSION_NOT_FOUND, refusal
from runtime.embedded.clickhouse.request import TIMEOUT_S
from runtime.embedded.clickhouse.settled import InForce


@dataclass
class Session:
    """One kept connection; ``busy`` while a request uses it."""

    connection: Connection
    idle_until_s: float
    timeout_s: int = TIMEOUT_S
    busy: bool = False
    in_force: InForce = field(default_factory=InForce)


class Sessions:
    """All sessions of the process. Used from the event loop alone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: dict[str, Session] = {}

    def knows(self, name: str) -> bool:
        """Whether the session exists and has not rested too long."""
        self.drop_idle()
        return name in self._sessions

    def add(self, name: str, connection: Connection) -> bool:
        """Make the session unless it exists; whether it did not."""
        if name in self._sessions:
            return False
        self._sessions[name] = Session(connection, self._clock.steady_s() + TIMEOUT_S)
        return True

    def take(self, name: str, timeout_s: int) -> Session:
        """The session, for this request alone.

        Raises ``EngineError`` when it does not exist, or when another request uses it.
        """
        self.drop_idle()
        session = self._sessions.get(name)
        if session is None:
            raise refusal(SESSION_NOT_FOUND, f"Session {shown(name)} not found")
        if session.busy:
            raise refusal(SESSION_IS_LOCKED, f"Session {shown(name)} is locked by a concurrent client")
        session.busy, session.timeout_s = True, timeout_s
        return session

    def give_back(self, name: str, *, close: bool) -> None:
        """End the request's use of a session; ``close`` ends the session too."""
        session = self._sessions[name]
        session.busy = False
        session.idle_until_s = self._clock.steady_s() + session.timeout_s
        if close:
            self._sessions.pop(name).connection.close()

    def drop_idle(self) -> None:
        """End sessions that nobody used for their time."""
        now = self._clock.steady_s()
        for name in [n for n, s in self._sessions.items() if not s.busy and s.idle_until_s < now]:
            self._sessions.pop(name).connection.close()

    def close_all(self) -> None:
        """End every session; the server stops."""
        for session in self._sessions.values():
            session.connection.close()
        self._sessions.clear()


def shown(name: str) -> str:
    """The client's own name for its session."""
    return name.partition("/")[2]
