"""What can happen in a world, and how often each is tried against the others."""

from __future__ import annotations

ACTIONS: dict[str, float] = {
    "step_worker": 60,
    "step_gateway": 30,
    "watch_log": 6,
    "start_worker": 8,
    "wake_worker": 8,
    "rebalance": 2,
    "kill_worker": 1,
    "start_gateway": 2,
    "kill_gateway": 1,
    "lose_log": 2,
    "power_cut": 1,
    "toggle_log": 1,
    "write_rubbish": 1,
    "change_catalog": 2,
    "land": 3,
    "jump_clock": 1,
}

# What would disturb whoever lies in wait for one particular trouble.
RARE_IN_AMBUSH = ("kill_worker", "kill_gateway", "lose_log", "power_cut", "toggle_log")
