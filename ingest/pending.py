"""The bound on what waits: bytes of requests that are not answered yet."""

from __future__ import annotations

from types import TracebackType

from ingest.problems import Busy

# What a request costs besides its body.
REQUEST_BYTES = 4 * 1024


class Pending:
    """Counts bytes that are held for requests in flight; over the bound, new ones are sent away with 429."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.held = 0

    def open(self) -> Hold:
        """Begin a request's hold; raises ``Busy`` when there is no room."""
        hold = Hold(self)
        hold.grow(REQUEST_BYTES)
        return hold


class Hold:
    """One request's share, given back when its ``with`` block ends."""

    __slots__ = ("held", "pending")

    def __init__(self, pending: Pending) -> None:
        self.pending = pending
        self.held = 0

    def grow(self, size: int) -> None:
        """Take ``size`` more bytes; raises ``Busy`` when the bound would be passed."""
        pending = self.pending
        if pending.held + size > pending.bytes_max:
            raise Busy("too_much_pending", "too many events wait for the log; try again in a moment")
        pending.held += size
        self.held += size

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Give it back."""
        self.pending.held -= self.held
        self.held = 0
