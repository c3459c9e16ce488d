"""Corrections from the command line: sent through the public door, and followed until their fate is known."""
