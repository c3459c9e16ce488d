"""Measurements, each a small script; ratios within one run, because machines are noisy."""
