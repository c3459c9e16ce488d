"""The gateway's own metrics, under the names that ``core.metrics`` explains."""

from __future__ import annotations

from collections import Counter as Count

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from core.metrics import MetricName
from ingest.verdict import Verdict

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class GatewayMetrics:
    """Counters in a registry of their own: two gateways in one process do not share them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        accepted: MetricName = "millrace_events_accepted_total"
        rejected: MetricName = "millrace_events_rejected_total"
        requests: MetricName = "millrace_requests_total"
        pending: MetricName = "millrace_pending_bytes"
        seconds: MetricName = "millrace_accept_seconds"
        journal: MetricName = "millrace_journal_bytes"
        self.accepted = Counter(accepted, "Events accepted, after the log confirmed them.", registry=self.registry)
        self.rejected = Counter(rejected, "Events refused, by code.", ["code"], registry=self.registry)
        self.requests = Counter(requests, "Requests, by status.", ["status"], registry=self.registry)
        self.pending = Gauge(pending, "Bytes that wait for the log.", registry=self.registry)
        self.seconds = Histogram(seconds, "From last byte to answer.", buckets=SECONDS, registry=self.registry)
        self.journal = Gauge(journal, "Journal bytes not yet sealed.", registry=self.registry)

    def count_verdict(self, verdict: Verdict) -> None:
        """Enter an answered request."""
        self.accepted.inc(verdict.accepted)
        for code, number in Count(one.problem.code for one in verdict.rejections).items():
            self.rejected.labels(code).inc(number)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
