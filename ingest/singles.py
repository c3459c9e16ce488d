"""Requests of one event that come in the same moment are judged together, as the lines of one body."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from core.errors import Refused
from ingest.accept import judge_at_once
from ingest.decode import SMALL_BODY_BYTES
from ingest.event import partition_of
from ingest.exchange import Exchange
from ingest.gateway import Gateway
from ingest.problems import Busy, answer_busy, answer_error, answer_json
from ingest.request import Head
from ingest.verdict import Rejection, Verdict

SINGLE_BYTES_MAX = 4 * 1024
# All that a group holds is judged at a stretch.
GROUP_MAX = 1_000
GROUP_BYTES_MAX = SMALL_BODY_BYTES
# Between two events of an array. That it stands in a text, or in properties of properties, costs time only.
TakeAlone = Callable[[Exchange, bytes], None]
AnswerVerdict = Callable[[Exchange, Verdict, Exception | None], None]
BETWEEN = re.compile(rb"\}\s*,\s*\{")
ACCEPTED = answer_json(202, {"accepted": 1, "rejected": []})
ACCEPTED_LINES = b"content-type: %s\r\ncontent-length: %d\r\n" % (ACCEPTED.content_type, len(ACCEPTED.body))


@dataclass(slots=True)
class Group:
    """Requests of one merchant: each with its line, and with its body as it was sent."""

    members: list[tuple[Exchange, bytes, bytes]] = field(default_factory=list)
    size: int = 0

    def add(self, exchange: Exchange, line: bytes, body: bytes) -> None:
        """One more."""
        self.members.append((exchange, line, body))
        self.size += len(line) + 1

    @property
    def full(self) -> bool:
        """Whether it had better be judged now."""
        return len(self.members) >= GROUP_MAX or self.size > GROUP_BYTES_MAX - SINGLE_BYTES_MAX


def line_of(head: Head, body: bytes) -> bytes | None:
    """The one event of a body, as a line among others; ``None`` when it may hold more, or goes over several lines.

    Whether it is an event, and only one, shows when it is judged. An array of one is what is in it.
    """
    if len(body) > SINGLE_BYTES_MAX:
        return None
    line = body
    if head.layout == "lines":
        line = body.removesuffix(b"\n")
    elif body.startswith(b"[") and body.endswith(b"]"):
        line = body[1:-1]
        if BETWEEN.search(line):
            return None
    return line if line.startswith(b"{") and line.endswith(b"}") and b"\n" not in line else None


class Singles:
    """Gathers until the coalescer packs; a group that is not judged as a whole goes one by one."""

    def __init__(self, gateway: Gateway, take_alone: TakeAlone, answer: AnswerVerdict) -> None:
        self.gateway = gateway
        self.take_alone = take_alone
        self.answer = answer
        self.groups: dict[tuple[str, bool], Group] = {}

    def add(self, exchange: Exchange, line: bytes, body: bytes) -> None:
        """Take a request; it is judged when events are packed the next time."""
        try:
            coalescer = self.gateway.admit()
        except Busy as busy:
            exchange.answer(answer_busy(busy))
            return
        name = exchange.merchant_id, exchange.head.cloud_only
        group = self.groups.get(name)
        if group is None:
            group = self.groups[name] = Group()
        group.add(exchange, line, body)
        coalescer.hold_back(self.judge, full=group.full)

    def judge(self) -> None:
        """Judge all that was gathered, and hand the good events on."""
        groups, self.groups = self.groups, {}
        for (merchant_id, cloud_only), group in groups.items():
            # Of those whose senders have gone meanwhile, too: that is no different once a body is whole.
            members = group.members
            lines = [line for _exchange, line, _body in members]
            verdict = self.judge_lines(lines, merchant_id, cloud_only=cloud_only) if len(lines) > 1 else None
            if verdict is None:
                for exchange, _line, body in members:
                    self.take_alone(exchange, body)
            else:
                self.settle([(exchange, len(body)) for exchange, _line, body in members], verdict)

    def judge_lines(self, lines: list[bytes], merchant_id: str, *, cloud_only: bool) -> Verdict | None:
        """One verdict, in which the index of an event is that of its request; ``None`` when there is no such."""
        head = Head(layout="lines", cloud_only=cloud_only, encoding="identity", backfill=False)
        try:
            verdict = judge_at_once(self.gateway, b"\n".join(lines), head, merchant_id)
        except Refused:
            return None
        # No line is blank and no event ends within one, so that as many events as lines are one event a line.
        if verdict is None or verdict.accepted + len(verdict.rejections) != len(lines):
            return None
        return verdict

    def settle(self, members: list[tuple[Exchange, int]], verdict: Verdict) -> None:
        """Answer those that were refused, and the others (with the size of each) once their events are safe."""
        coalescer = self.gateway.coalescer
        assert coalescer, "it calls this"
        rejected = {one.index: one for one in verdict.rejections}
        generated = dict(verdict.generated)
        tellings: list[Callable[[Exception | None], None]] = []
        size = 0
        for place, (exchange, body_size) in enumerate(members):
            if place in rejected:
                self.refuse(exchange, rejected[place])
            else:
                size += body_size
                tellings.append(partial(self.tell, exchange, generated.get(place)))
        homes = [partition_of(key, coalescer.partitions) for part in verdict.kept for key in part.keys]
        coalescer.submit_each(verdict.kept, size, list(zip(homes, tellings, strict=True)))

    def refuse(self, exchange: Exchange, rejection: Rejection) -> None:
        """Answer a request whose event was refused."""
        self.answer(exchange, Verdict(rejections=[replace(rejection, index=0)]), None)

    def tell(self, exchange: Exchange, generated: str | None, error: Exception | None) -> None:
        """Answer a request whose event was accepted, once it is known whether it is safe."""
        gateway = self.gateway
        if error:
            exchange.answer(answer_error(error))
            return
        gateway.metrics.count_accepted(1, gateway.parts.clock.steady_s() - exchange.begun_s)
        if generated is None:
            exchange.answer_written(202, ACCEPTED_LINES, ACCEPTED.body)
            return
        made = [{"index": 0, "id": generated}]
        exchange.answer(answer_json(202, {"accepted": 1, "rejected": [], "generated": made, "retry_safe": False}))
