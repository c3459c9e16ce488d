"""Errors, sorted by who must act.

    MillraceError
    ├── Transient      retry, with a bound: an outside part was slow or gone
    ├── BadEvent       set aside: this record can never succeed
    ├── Refused        tell the caller: the request is wrong (4xx)
    │   └── Conflict   tell the caller: right in form, but clashes with what exists (409)
    └── Stop           end the process: going on could lose or double something

A bug of our own stays an ``AssertionError`` and ends the process too.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as make_field


class MillraceError(Exception):
    """Base of every error that Millrace raises on purpose."""


class Transient(MillraceError):
    """An outside part did not answer; the same call may succeed later."""


class Stop(MillraceError):
    """Nothing may go on: another owner holds the work, or the stores disagree."""


@dataclass(eq=False)
class BadEvent(MillraceError):
    """A record that can never be counted; it is kept aside with its reason, and the field at fault when one is."""

    code: str
    message: str
    field: str | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a request: where, which rule, and what to do."""

    code: str
    message: str
    field: str | None = None
    index: int | None = None


@dataclass(eq=False)
class Refused(MillraceError):
    """The caller's request is wrong; nothing was changed.

    ``status`` is the HTTP status; ``problems`` lists every fault found, so that a caller mends them in one go.
    """

    code: str
    message: str
    status: int = 422
    problems: tuple[Problem, ...] = make_field(default_factory=tuple)

    def __str__(self) -> str:
        details = "".join(f"\n  {p.field or p.index}: {p.message} ({p.code})" for p in self.problems)
        return f"{self.message} ({self.code}){details}"


@dataclass(eq=False)
class Conflict(Refused):
    """The request clashes with what exists, such as a price that was already billed."""

    status: int = 409
