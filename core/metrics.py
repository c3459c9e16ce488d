"""Every metric by name, with its kind, its meaning, and what to do when it rises."""

from __future__ import annotations

from typing import Literal

MetricName = Literal[
    # Counter. Events the gateway answered as accepted, after the log confirmed them.
    "millrace_events_accepted_total",
    # Counter. Events the gateway refused, by code. A jump after a client's release means that it sends something new.
    "millrace_events_rejected_total",
    # Counter. Requests by status. 429 and 503 rising together mean that the log is slow or gone.
    "millrace_requests_total",
    # Gauge. Bytes that wait for the log's confirmation. Near its bound the gateway answers 429.
    "millrace_pending_bytes",
    # Histogram. Seconds from a request's last byte to its durable answer.
    "millrace_accept_seconds",
    # Gauge. Journal bytes not yet sealed. Rising without end means that the worker stands still.
    "millrace_journal_bytes",
    # Counter. Blocks sealed by the worker. Standing still while the gateway accepts means lag: read the worker's log.
    "millrace_blocks_sealed_total",
    # Counter. Events by fate. A rising `held` means that a meter or a customer is missing from the catalog.
    "millrace_events_fate_total",
]
