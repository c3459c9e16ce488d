"""Seeded, realistic traffic with an account of its own: what was sent, and what a correct engine must bill for it."""
