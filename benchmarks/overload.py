"""Twice the load that the line can take, from senders that do not wait: is what it does take still as much?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.bench import Bench
from benchmarks.line import REQUEST_EVENTS
from benchmarks.load.schedule import RunSpec
from benchmarks.result import Bar, Result, Table, number

TIMES = 2.0
# More bytes under way than the gateway is willing to hold.
CONNECTIONS = 1_200
POOL_REQUESTS = 2_048


def measure(bench: Bench) -> Result:
    """Open loop at twice what came through end to end; what was sent away is not sent again.

    What a closed loop gets accepted for a while is more than the line can take: the log fills up meanwhile.
    """
    scene, seconds = bench.scene(), bench.options.seconds(20, 7)
    line = bench.line()
    rate = TIMES * line["events_per_second"]
    with scene.load(request_events=REQUEST_EVENTS, pool_requests=POOL_REQUESTS) as load:
        scene.say(f"offering {rate:,.0f} events a second for {seconds:g} s")
        with scene.watching() as watch:
            run = load.run(RunSpec(mode="open", seconds=seconds, rate=rate, connections=CONNECTIONS, shed=True))
            ended_s = load.drained()
        verdict = load.verify()
    statuses = {int(status): count for status, count in run["statuses"].items()}
    answers, took_s = max(sum(statuses.values()), 1), run["ended_s"] - run["begun_s"]
    goodput = run["accepted"] / took_s
    figures = {
        "offered_per_second": round(rate),
        "accepted_per_second": round(goodput),
        "goodput": round(goodput / line["events_per_second"], 3),
        "events_per_second": round(run["accepted"] / (ended_s - run["begun_s"])),
        "end_to_end": round(run["accepted"] / (ended_s - run["begun_s"]) / line["events_per_second"], 3),
        "statuses": run["statuses"],
        "unsent_requests": run["unsent_requests"],
        "share_429": round(statuses.get(429, 0) / answers, 4),
        "share_503": round(statuses.get(503, 0) / answers, 4),
        "other_5xx": sum(count for status, count in statuses.items() if status >= 500 and status != 503),
        "lost_connections": statuses.get(0, 0),
        "without_retry_after": run["without_retry_after"],
        "answer_ms": run["latency_ms"],
        "memory_mb_max": watch.memory_max(),
        "accounted": str(verdict),
    }
    server_errors = sum(count for status, count in statuses.items() if status >= 500)
    return Result(
        name="overload",
        title="Twice the load it can take",
        figures=figures,
        tables=[Table("Overload", ("", ""), lines(figures, rate))],
        bars=[
            Bar("accepted at twice the load ÷ at saturation", figures["goodput"], 0.9, "at least"),
            Bar("end to end at twice the load ÷ at saturation", figures["end_to_end"], 0.9, "at least"),
            Bar("answers of 5xx at twice the load", server_errors, 0, "at most"),
            Bar("acknowledged events accounted for (1 is all)", 1 if verdict.ok else 0, 1, "at least"),
        ],
        notes=[
            (
                f"{CONNECTIONS} connections with {REQUEST_EVENTS} events a request; a request that is sent away, "
                "or finds no connection within a second, is dropped by its sender."
            ),
            str(verdict),
        ],
    )


def lines(figures: Mapping[str, Any], rate: float) -> list[tuple[str, str]]:
    """The figures in words."""
    return [
        ("offered, events a second", number(rate)),
        ("accepted, events a second", number(figures["accepted_per_second"])),
        ("end to end, events a second", number(figures["events_per_second"])),
        ("answered 429", f"{figures['share_429']:.1%}"),
        ("answered 503", f"{figures['share_503']:.1%}"),
        ("other 5xx", number(figures["other_5xx"])),
        ("connections lost", number(figures["lost_connections"])),
        ("sent away without Retry-After", number(figures["without_retry_after"])),
        ("found no connection in time, requests", number(figures["unsent_requests"])),
        ("answer p50 / p99, ms", f"{figures['answer_ms']['p50']:,.0f} / {figures['answer_ms']['p99']:,.0f}"),
        ("gateway's memory at most, MB", number(figures["memory_mb_max"]["gateway"])),
    ]
