"""Processes, wiring, schedule and command line: where everything is put together and started."""
