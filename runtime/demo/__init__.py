"""The demonstration: the whole line on a stack of its own, checked against the simulator's own account."""
