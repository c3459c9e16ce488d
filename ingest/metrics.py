"""The gateway's own metrics, under the names that ``core.metrics`` explains."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from core.metrics import MetricName
from ingest.verdict import Rejection, Verdict

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
BOUNDS = (*(str(bound) for bound in SECONDS), "+Inf")


class GatewayMetrics(Collector):
    """Plain numbers in a registry of their own: two gateways in one process do not share them.

    They are written on the loop only, and so need no locks, which would cost more than all that is counted.
    """

    def __init__(self, pending_bytes: Callable[[], int]) -> None:
        self.pending_bytes = pending_bytes
        self.accepted = 0
        self.rejected: Counter[str] = Counter()
        self.requests: Counter[int] = Counter()
        self.journal_bytes = 0
        self.within = [0] * len(BOUNDS)
        self.seconds = 0.0
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def count_request(self, status: int) -> None:
        """Enter an answer."""
        self.requests[status] += 1

    def count_verdict(self, verdict: Verdict, took_s: float) -> None:
        """Enter an answered request, and how long it took from its last byte to its answer."""
        self.count_accepted(verdict.accepted, took_s)
        if verdict.rejections:
            self.count_rejected(verdict.rejections)

    def count_rejected(self, rejections: Sequence[Rejection]) -> None:
        """Enter what was refused."""
        self.rejected.update(one.problem.code for one in rejections)

    def count_accepted(self, events: int, took_s: float) -> None:
        """``count_verdict`` where nothing was refused."""
        self.accepted += events
        self.within[bisect_left(SECONDS, took_s)] += 1
        self.seconds += took_s

    def note_journal_bytes(self, size: int) -> None:
        """What the journal holds now."""
        self.journal_bytes = size

    def collect(self) -> Iterator[Metric]:
        """Prometheus asks, in a thread: whatever may grow is copied in one go."""
        accepted: MetricName = "millrace_events_accepted_total"
        rejected: MetricName = "millrace_events_rejected_total"
        requests: MetricName = "millrace_requests_total"
        pending: MetricName = "millrace_pending_bytes"
        seconds: MetricName = "millrace_accept_seconds"
        journal: MetricName = "millrace_journal_bytes"
        yield CounterMetricFamily(accepted, "Events accepted, after the log confirmed them.", self.accepted)
        by_code = CounterMetricFamily(rejected, "Events refused, by code.", labels=["code"])
        for code, number in self.rejected.copy().items():
            by_code.add_metric([code], number)
        yield by_code
        by_status = CounterMetricFamily(requests, "Requests, by status.", labels=["status"])
        for status, number in self.requests.copy().items():
            by_status.add_metric([str(status)], number)
        yield by_status
        yield GaugeMetricFamily(pending, "Bytes that wait for the log.", self.pending_bytes())
        buckets = list(zip(BOUNDS, accumulate(self.within), strict=True))
        yield HistogramMetricFamily(seconds, "From last byte to answer.", buckets=buckets, sum_value=self.seconds)
        yield GaugeMetricFamily(journal, "Journal bytes not yet sealed.", self.journal_bytes)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
