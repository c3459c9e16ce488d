"""Events, windows, charge lines and invoices against each other, in decimals."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text

from clickhouse.client import UsageStore
from runtime.audit.finding import Finding, Part
from runtime.audit.scope import Scope
from runtime.conservation.charges import ChargeFault, charge_faults, invoice_faults, late_events
from runtime.conservation.windows import MeterFault, window_faults

FINDINGS_MAX = 200
EVENT_TYPE = text("SELECT event_type FROM meters WHERE meter_id = :meter_id ORDER BY from_version DESC LIMIT 1")
BEHIND = """
    SELECT event_id FROM usage_counted
    WHERE merchant_id = {merchant_id:String} AND customer_id = {customer_id:String} AND type = {type:String}
        AND occurred_at >= {start:DateTime64(6, 'UTC')} AND occurred_at < {end:DateTime64(6, 'UTC')}
    ORDER BY occurred_at, key LIMIT 10
"""
OF_METER = """
    SELECT event_id FROM usage_counted
    WHERE merchant_id = {merchant_id:String} AND type = {type:String}
    ORDER BY occurred_at, key LIMIT 10
"""


def check_usage(connection: Connection, store: UsageStore, scope: Scope) -> Part:
    """Events = windows, windows = charge lines, charge lines = invoices; all of them, wherever the scope starts.

    ``late_events`` counts what came, went or changed after the cut-off of a period already billed: carried over, not
    lost.
    """
    window_events, meter_faults = window_faults(connection, store, scope.cutoff)
    findings = list(meters_differ(store, meter_faults[:FINDINGS_MAX]))
    findings += charges_differ(connection, store, charge_faults(connection, store)[:FINDINGS_MAX])
    findings += [Finding("invoices_differ", said, {}) for said in invoice_faults(connection)]
    late = late_events(connection, store, scope.cutoff)
    return Part(findings, {"window_events": window_events, "late_events": late})


def meters_differ(store: UsageStore, faults: list[MeterFault]) -> Iterator[Finding]:
    """Meters whose windows are not what the events say."""
    for fault in faults:
        meter = fault.meter
        bound = {"merchant_id": meter.merchant_id, "type": meter.event_type}
        behind = tuple(store.query_frame(OF_METER, bound)["event_id"].to_list())
        place = {"meter_id": meter.meter_id, "meter": meter.code}
        yield Finding("meter_differs", str(fault), place, behind, meter.merchant_id)


def charges_differ(connection: Connection, store: UsageStore, faults: list[ChargeFault]) -> Iterator[Finding]:
    """Charge lines that are not what the windows say."""
    for fault in faults:
        bound = {
            "merchant_id": fault.merchant_id,
            "customer_id": fault.customer_id,
            "type": connection.execute(EVENT_TYPE, {"meter_id": fault.meter_id}).scalar_one(),
            "start": fault.start,
            "end": fault.end,
        }
        behind = tuple(store.query_frame(BEHIND, bound)["event_id"].to_list())
        place = {
            "customer_id": fault.customer_id,
            "meter_id": fault.meter_id,
            "period_start": fault.start.isoformat(),
            "charged": str(fault.charged),
            "found": str(fault.found),
        }
        yield Finding("charge_differs", str(fault), place, behind, fault.merchant_id)
