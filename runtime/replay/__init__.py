"""Windows made again from the stored events, block by block, into the very bytes that were sealed."""
