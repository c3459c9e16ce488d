"""Numbered changes of the usage store, each forward and backward."""
