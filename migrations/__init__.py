"""Postgres schema revisions, driven from code."""
