"""One body to the door until it is answered: retries with the same ids, and tells apart what may have been stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from core.clock import Clock
from core.errors import Refused, Transient
from runtime.traffic.connection import Answer, Connection

RETRIED = frozenset({408, 429, 500, 502, 503, 504})
# Only this answer says for certain that nothing was kept.
NOTHING_KEPT = 429
WAIT_FIRST_S = 0.05
WAIT_MAX_S = 2.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The door's answer to a body: how many it accepted, and for each refused index the code and the reason."""

    accepted: int
    refused: dict[int, tuple[str, str]]


async def deliver(
    connection: Connection,
    headers: bytes,
    body: bytes,
    *,
    clock: Clock,
    give_up_at_s: float,
    on_retry: Callable[[bool], None],
) -> Verdict:
    """Post a body until the door answers it.

    ``on_retry`` is called before each further try with whether the last one may have been stored. Raises ``Transient``
    when ``give_up_at_s`` (steady) passes, ``Refused`` when the request as a whole is wrong.
    """
    wait_s = WAIT_FIRST_S
    while True:
        try:
            answer = await connection.post(headers, body)
        except OSError as error:
            problem, maybe_stored, asked_s = f"{type(error).__name__}: {error}", True, 0.0
        else:
            if answer.status not in RETRIED:
                return read_verdict(answer)
            problem, maybe_stored = f"status {answer.status}", answer.status != NOTHING_KEPT
            asked_s = _retry_after_s(answer)
        pause_s = max(wait_s, asked_s)
        if clock.steady_s() + pause_s > give_up_at_s:
            raise Transient(f"the gateway gave no answer in time; the last try ended with {problem}")
        await asyncio.sleep(pause_s)
        on_retry(maybe_stored)
        wait_s = min(wait_s * 2, WAIT_MAX_S)


def read_verdict(answer: Answer) -> Verdict:
    """Read 202, 207 or 422 with verdicts; raises ``Refused`` for anything else."""
    try:
        content = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        content = {"detail": answer.body[:200].decode(errors="replace")}
    if isinstance(content, dict) and isinstance(content.get("rejected"), list) and "accepted" in content:
        refused = {entry["index"]: (entry["code"], entry["message"]) for entry in content["rejected"]}
        return Verdict(int(content["accepted"]), refused)
    detail = content.get("detail") or content.get("title") if isinstance(content, dict) else None
    raise Refused("request_refused", f"the gateway answered {answer.status}: {detail}", status=answer.status)


def _retry_after_s(answer: Answer) -> float:
    text = answer.headers.get(b"retry-after", b"")
    return min(float(text), 30.0) if text.isdigit() else 0.0
