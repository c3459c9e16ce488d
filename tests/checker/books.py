"""I4, I5 and I6: nothing changes when it is done again, invoices are unique, the ledger has no hole."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import KafkaException, TopicPartition

from tests.checker.result import InvariantResult
from tests.checker.stores import Stores, open_consumer

ROOT = Path(__file__).parents[2]

ROWS_TWICE = """
    SELECT toInt64(count()) - toInt64(uniqExact(incarnation, partition, kafka_offset, position)), toInt64(count())
    FROM usage_events
"""
WINDOWS_TWICE = """
    SELECT toInt64(count()) - toInt64(uniqExact(
        incarnation, partition, block_first, merchant_id, customer_id, meter_id, window_start, group_key)),
        toInt64(count())
    FROM usage_windows
"""
BILLS = """
    SELECT md5(coalesce(string_agg(t, E'\n' ORDER BY t), '')) FROM (
        SELECT i::text AS t FROM invoices AS i UNION ALL SELECT l::text FROM invoice_lines AS l
        UNION ALL SELECT c::text FROM charge_lines AS c UNION ALL SELECT o::text FROM outbox AS o
        UNION ALL SELECT a::text FROM charge_adjustments AS a UNION ALL SELECT e::text FROM credit_entries AS e
    ) AS bills
"""
HASHED = """
    SELECT c.merchant_id, c.subscription_id, c.customer_id, c.meter_id, c.meter, c.aggregation, c.price_id, c.model,
        c.currency, (extract(epoch FROM c.period_start) * 1000000)::bigint::text,
        (extract(epoch FROM c.period_end) * 1000000)::bigint::text, c.quantity::text, p.price, c.tiers, c.input_hash
    FROM charge_lines AS c LEFT JOIN charge_prices AS p USING (run_id, price_number) WHERE c.parked_reason IS NULL
    UNION ALL
    SELECT a.merchant_id, a.subscription_id, a.customer_id, a.meter_id, a.meter, a.aggregation, a.price_id, a.model,
        a.currency, (extract(epoch FROM a.for_start) * 1000000)::bigint::text,
        (extract(epoch FROM a.for_end) * 1000000)::bigint::text, a.new_quantity::text, a.price, a.tiers,
        a.input_hash
    FROM charge_adjustments AS a
"""


def repeatable(stores: Stores, period: str, *, close_again: bool) -> InvariantResult:
    """I4: no row came twice of any block, each charge has the hash of its inputs, and closing again changes nothing."""
    faults = []
    (events_twice, events), (windows_twice, windows) = (
        [int(number) for number in stores.usage(statement)[0]] for statement in (ROWS_TWICE, WINDOWS_TWICE)
    )
    if events_twice or windows_twice:
        faults.append(f"{events_twice} events and {windows_twice} windows lie there twice: a block was written twice")
    lines = stores.sql(HASHED)
    wrong = [row for row in lines if row[-1] not in input_hashes(row[:-1])]
    faults += [f"the charge of {row[2]} for {row[4]} has another hash than its inputs" for row in wrong]
    closed = bool(lines) and close_again
    if closed:
        before = stores.sql(BILLS)[0][0]
        said = run_close(stores, period)
        if said:
            faults.append(f"closing {period} again failed: {said}")
        if stores.sql(BILLS)[0][0] != before:
            faults.append(f"closing {period} again changed the bills")
    figures: dict[str, int | str] = {
        "event rows": events,
        "window rows": windows,
        "hashes": len(lines),
        "closed again": "yes" if closed else "no",
    }
    return InvariantResult("I4", "doing it again changes nothing", figures, tuple(faults))


def input_hashes(row: tuple[Any, ...]) -> tuple[str, str]:
    """The hashes of a charge line's inputs by the documented rules: those of today, and those of before."""
    merchant_id, subscription_id, customer_id, *meter_to_end, quantity, price_json, tiers = row
    price = orjson.dumps(price_json, option=orjson.OPT_SORT_KEYS).decode()
    detail = [tier["group"] for tier in tiers if tier.get("label") == "inputs"]
    shared = sha256_of("millrace-rating-2", merchant_id, *meter_to_end, price)
    whose = [merchant_id, subscription_id, customer_id]
    return (
        sha256_of(shared, subscription_id, customer_id, quantity, *detail),
        sha256_of("millrace-rating-1", *whose, *meter_to_end, quantity, price, *detail),
    )


def sha256_of(*fields: str) -> str:
    """The hash of fields, joined as documented."""
    return sha256("\x1f".join(fields).encode()).hexdigest()


def run_close(stores: Stores, period: str) -> str:
    """Close a month through the command line; what it said if it failed."""
    settings = stores.settings
    env = os.environ | {
        "MILLRACE_HOME": str(settings.home),
        "MILLRACE_KAFKA": settings.kafka,
        "MILLRACE_CLICKHOUSE_URL": settings.clickhouse_url,
        "MILLRACE_POSTGRES_URL": settings.postgres_url,
        "MILLRACE_TOPIC": settings.topic,
    }
    command = [sys.executable, "-m", "runtime", "close", "--period", period]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=600)
    return "" if done.returncode == 0 else (done.stderr or done.stdout)[-500:]


def invoices_unique(stores: Stores) -> InvariantResult:
    """I5: one invoice a period and version, numbers without twin or gap, each told once, each adding up."""
    faults = [
        f"subscription {row[0]} has {row[2]} invoices for the period from {row[1]}"
        for row in stores.sql(
            "SELECT subscription_id, period_start, count(*) FROM invoices"
            " GROUP BY subscription_id, period_start, version HAVING count(*) > 1"
        )
    ]
    numbers: dict[str, list[int]] = defaultdict(list)
    for merchant_id, number in stores.sql("SELECT merchant_id, number FROM invoices WHERE number IS NOT NULL"):
        numbers[merchant_id].append(int(number.rpartition("-")[2]))
    for merchant_id, found in numbers.items():
        if sorted(found) != list(range(1, len(found) + 1)):
            faults.append(f"the invoice numbers of {merchant_id} have a gap or a twin")
    faults += [
        f"invoice {row[0]} was told {row[1]} times"
        for row in stores.sql(
            "SELECT i.number, count(o.event_key) FROM invoices AS i LEFT JOIN outbox AS o"
            " ON o.type = 'invoice.finalized' AND o.payload ->> 'invoice_id' = i.invoice_id"
            " WHERE i.state = 'finalized' GROUP BY i.invoice_id, i.number HAVING count(o.event_key) <> 1"
        )
    ]
    faults += [
        f"invoice {row[0]} says {row[1]}, its lines and its credit add up to {row[2]}"
        for row in stores.sql(
            "SELECT i.invoice_id, i.total_minor, i.credit_minor + coalesce(sum(l.amount_minor), 0) FROM invoices AS i"
            " LEFT JOIN invoice_lines AS l USING (invoice_id) GROUP BY i.invoice_id, i.total_minor, i.credit_minor"
            " HAVING i.total_minor <> i.credit_minor + coalesce(sum(l.amount_minor), 0)"
        )
    ]
    figures: dict[str, int | str] = {"invoices": sum(map(len, numbers.values())), "merchants": len(numbers)}
    return InvariantResult("I5", "one invoice a period, numbers without gap", figures, tuple(faults))


def ledger_contiguous(stores: Stores) -> InvariantResult:
    """I6: blocks without a hole from offset 0 to the partition's place, and nothing committed beyond it."""
    topic = stores.settings.topic
    ends: dict[tuple[int, int], int] = {}
    faults = []
    blocks = stores.sql(
        "SELECT incarnation, partition, first_offset, last_offset FROM stream_blocks"
        " WHERE topic = %(topic)s AND state = 'sealed' ORDER BY 1, 2, 3",
        topic=topic,
    )
    for incarnation, partition, first, last in blocks:
        place = (incarnation, partition)
        if first != ends.get(place, 0):
            faults.append(
                f"incarnation {incarnation}, partition {partition}: {ends.get(place, 0)} is followed by {first}"
            )
        ends[place] = last + 1
    places = stores.sql(
        "SELECT partition, incarnation, next_offset FROM stream_partitions WHERE topic = %(topic)s", topic=topic
    )
    for partition, incarnation, next_offset in places:
        if next_offset != ends.get((incarnation, partition), 0):
            faults.append(f"partition {partition} stands at {next_offset}, and not where its last block ends")
    committed, beyond = committed_beyond(stores, {row[0]: row[2] for row in places})
    figures: dict[str, int | str] = {"blocks": len(blocks), "partitions": len(places), "committed": committed}
    return InvariantResult("I6", "the ledger is contiguous, committed <= sealed", figures, (*faults, *beyond))


def committed_beyond(stores: Stores, sealed: dict[int, int]) -> tuple[str, list[str]]:
    """What the workers' group committed to Kafka, and where that is more than what is sealed."""
    topic = stores.settings.topic
    if not sealed:
        return "nothing", []
    with open_consumer(stores.settings, f"{topic}.streams") as consumer:
        try:
            found = consumer.committed([TopicPartition(topic, partition) for partition in sealed], timeout=10)
        except KafkaException as error:
            return f"not told: {error.args[0].str()}", []
    offsets = {place.partition: place.offset for place in found if place.offset >= 0}
    beyond = [
        f"partition {partition}: {offset} is committed, {sealed[partition]} is sealed"
        for partition, offset in offsets.items()
        if offset > sealed[partition]
    ]
    return f"{sum(offsets.values())} of {sum(sealed.values())}", beyond
