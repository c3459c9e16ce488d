"""``POST /v1/prices/simulate``: what a price would charge, answered as ``millrace rate`` answers it."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from core.errors import Refused
from core.limits import BODY_BYTES_MAX
from rating.preview import simulate_json


async def limited_body(request: Request) -> bytes:
    """The request's body; raises ``Refused`` 413 before more than that is kept."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Refused("body_too_large", f"a body has at most {BODY_BYTES_MAX} bytes", status=413)
    return bytes(body)


def simulated(body: bytes) -> dict[str, Any]:
    """The answer to a case, or to ``{"cases": [...]}``; raises ``Refused`` with every fault by its path."""
    return simulate_json(body)
