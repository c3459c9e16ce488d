"""Answers to people and programs: what became of an event, what was used, and how fresh that is."""
