"""The whole fault matrix as a list: what is struck and how, what must hold, and where that is shown.

Rows that strike at a running stack are carried out by `rows.py` under the same number. Others are shown by tests
that use the real engines and die at named steps; a row may have both.
"""

from __future__ import annotations

from dataclasses import dataclass

CLOSE = "tests/runtime/test_close_faults.py"
DRIVER = "tests/streams/test_driver.py"
ROOM = "tests/runtime/embedded/clickhouse/test_watch_room.py"


@dataclass(frozen=True)
class MatrixRow:
    """One row. ``tests`` are tests of other folders that show it; ``left_out`` says what is not shown, and why."""

    number: str
    target: str
    method: str
    holds: str
    tests: tuple[str, ...] = ()
    left_out: str = ""


MATRIX = (
    MatrixRow("1", "gateway", "SIGKILL when a body was read, before it is produced", "no 2xx was seen; retry: once"),
    MatrixRow("2", "gateway", "SIGKILL when the log has answered, before it is heard", "retry: one copy, no 2xx lost"),
    MatrixRow("3", "gateway", "SIGKILL when the log has confirmed, before the answer", "retry: one copy, no 2xx lost"),
    MatrixRow(
        "4",
        "gateway",
        "SIGTERM under load",
        "ends with 0; no 2xx lost",
        ("tests/ingest/test_gateway_process.py::test_sigterm_answers_what_is_in_flight",),
    ),
    MatrixRow(
        "5",
        "gateway to broker",
        "TCP proxy: cut 8 s, answers 5 s late for 6 s, half-open 17 s",
        "202, 207, 429, 503 only; memory below 400 MB; same process afterwards",
    ),
    MatrixRow(
        "6",
        "broker",
        "SIGKILL at random (embedded: comes back empty)",
        "nothing lost; offsets never committed beyond what is sealed",
        ("tests/ingest/test_broker_loss.py::test_acknowledged_events_survive_a_broker_that_forgets",),
    ),
    MatrixRow("7", "broker", "SIGSTOP for one and a half sessions", "workers come back; nothing doubled"),
    MatrixRow(
        "8",
        "disk of the log",
        "embedded: the journal's files may not grow; Apache: the broker's",
        "refused, not lost; goes on by itself",
    ),
    MatrixRow("9", "worker", "SIGKILL between intent and insert", "same offsets again, same tokens: once"),
    MatrixRow("10", "worker", "SIGKILL after events, after windows, before the seal", "the second insert adds nothing"),
    MatrixRow("11", "worker", "SIGKILL after seal, after acknowledgement", "what is sealed is skipped"),
    MatrixRow("12", "worker", "SIGTERM while ClickHouse stands still", "leaves in time; committed <= sealed"),
    MatrixRow(
        "13",
        "worker",
        "an exception before, between and after the inserts",
        "exits with 70 and acknowledges nothing",
        (f"{DRIVER}::test_an_error_that_nobody_thought_of_ends_the_process_and_loses_nothing",),
    ),
    MatrixRow(
        "14",
        "worker",
        "SIGSTOP within a block until another has done it again, then SIGCONT",
        "same tokens: once; the one that slept is fenced and exits",
        (f"{DRIVER}::test_a_frozen_worker_wakes_up_and_finds_itself_replaced",),
    ),
    MatrixRow("15", "workers", "two join, one leaves, one is killed, three times", "nothing doubled or lost"),
    MatrixRow(
        "16",
        "worker",
        "one bad event, unreadable messages, nothing but poison",
        "set aside with place and reason; poison stops the worker before anything is drained",
        (
            "tests/streams/test_dead_letter.py::test_poison_of_everybody_stops_the_worker",
            "tests/streams/test_dead_letter.py::test_a_log_of_poison_is_not_drained_and_can_be_let_pass",
            "tests/streams/test_decode.py::test_unreadable_messages_cost_no_others",
            "tests/streams/test_decode.py::test_a_long_run_of_unreadable_messages_stops_us",
            "tests/streams/test_ledger.py::test_dead_letters_are_kept_with_the_seal",
        ),
    ),
    MatrixRow("17", "ClickHouse", "SIGKILL 0 to 25 ms into an insert", "outcome unknown, done again: once"),
    MatrixRow(
        "18",
        "ClickHouse",
        "the whole log again, with all tokens forgotten",
        "known as redelivered; the exact close finds none",
        ("tests/rating/test_recount.py::test_a_block_stored_twice_is_billed_once_and_says_so",),
    ),
    MatrixRow(
        "19",
        "ClickHouse",
        "others fill its disk to the last byte while events come",
        "the log keeps them; no part is cut short; goes on by itself",
        (
            f"{ROOM}::test_an_insert_without_room_is_refused_and_stored_when_there_is_room",
            f"{ROOM}::test_a_merge_under_way_is_stopped_before_the_disk_is_full",
        ),
    ),
    MatrixRow(
        "20",
        "ClickHouse",
        "tables emptied: windows, the events of a partition, all; `millrace audit --repair`",
        "equal rows, from events and log",
        ("tests/runtime/audit/test_run.py::test_everything_comes_back_from_the_log_in_one_repair",),
    ),
    MatrixRow(
        "21",
        "dedupe index",
        "key files deleted, one byte changed in each, an old copy put back",
        "read again; no copy is billed",
        (
            "tests/streams/test_key_files_harm.py::test_a_damaged_segment_costs_time_only",
            "tests/streams/test_key_files_harm.py::test_a_damaged_manifest_costs_time_only",
        ),
    ),
    MatrixRow(
        "22",
        "Postgres",
        "SIGKILL before any commit of a close",
        "no half invoice; resumed with the same cut-off",
        (
            f"{CLOSE}::test_books_killed_before_any_commit_leave_no_half_invoice",
            "tests/runtime/test_close.py::test_a_close_killed_at_any_step_is_completed_by_the_next",
        ),
    ),
    MatrixRow("23", "Postgres", "", "", left_out="webhooks are not there yet; that each invoice is told once is I5"),
    MatrixRow(
        "24",
        "Postgres",
        "price changed during a close, between crash and end; plan edited after it",
        "version, amounts and hashes unchanged",
        (
            f"{CLOSE}::test_a_price_changed_during_a_close_is_not_seen_by_it",
            f"{CLOSE}::test_a_price_changed_between_a_crash_and_its_end_is_not_seen_either",
            f"{CLOSE}::test_a_plan_edited_after_the_close_changes_no_invoice",
        ),
    ),
    MatrixRow(
        "25",
        "close",
        "SIGKILL at random (three seeds); two processes at once",
        "one wins; the same lines and hashes",
        (
            f"{CLOSE}::test_a_close_killed_at_a_random_instant_comes_to_the_same_lines",
            f"{CLOSE}::test_of_two_processes_that_close_at_once_each_invoice_comes_from_one",
        ),
    ),
    MatrixRow(
        "26",
        "close",
        "late events, retractions and amendments after it, copies of billed ones",
        "invoices stay as they are; late usage is told, the difference is on the next invoice, once",
        (
            f"{CLOSE}::test_late_usage_leaves_the_invoice_as_it_is_and_is_told",
            "tests/runtime/test_close.py::test_closing_again_leaves_the_same_invoice",
            "tests/runtime/corrections/test_late.py::test_late_retracted_and_amended_usage_goes_on_the_next_invoice",
            "tests/rating/test_adjust.py::test_closing_again_posts_nothing_and_later_usage_waits_for_the_month_after",
            "tests/rating/test_adjust.py::test_a_close_cut_short_posts_its_adjustments_once_with_its_own_cutoff",
        ),
    ),
    MatrixRow(
        "27",
        "clock",
        "clients' times beyond the limits; months across zones and clock changes; closes too early",
        "refused by policy; no month closes early or twice",
        (
            "tests/ingest/test_validate.py::test_a_bad_event_is_refused_with_its_reason_and_its_neighbours_are_not",
            "tests/core/test_period.py::test_periods_tile_time_in_every_zone",
            "tests/rating/test_period_close.py::test_a_period_that_has_not_ended_waits",
            "tests/rating/test_period_close.py::test_zones_are_closed_as_their_months_end",
            "tests/rating/test_freeze.py::test_without_open_blocks_the_cutoff_is_now_by_the_clock_of_the_books",
        ),
        left_out="setting the machine's own clock; jumps of it are part of the simulation (`make test-simulation`)",
    ),
    MatrixRow("28", "webhook target", "", "", left_out="webhooks are not there yet"),
    MatrixRow(
        "29",
        "schema",
        "messages of another form in the topic",
        "set aside, never raised",
        ("tests/streams/test_decode.py::test_no_bytes_raise",),
        left_out="an old gateway with a new worker: a worker reads both versions of the envelope"
        " (`tests/ingest/test_columns.py`), but no old release is run",
    ),
    MatrixRow(
        "30", "everything", "SIGKILL to all processes at once, then `millrace up`", "I1 to I9",
        left_out="restarts in another order than the supervisor's",
    ),
    MatrixRow(
        "31", "backup", "", "",
        left_out="books restored from an older backup: what ClickHouse has beyond them is known to nobody then",
    ),
    MatrixRow("worker", "worker", "SIGKILL at random", "I1 to I9"),
    MatrixRow("books", "Postgres", "SIGKILL while blocks are announced and sealed", "I1 to I9"),
    MatrixRow("month", "everything above", "the month is closed after all rows", "I1 to I9, every line and invoice"),
)  # fmt: skip
