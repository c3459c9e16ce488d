"""Dead letters after the fact: looked at, mended and sent again, or discarded with a reason."""
