"""A load generator that is nearly free: bodies made before, ids and times patched in, an account of every answer."""
