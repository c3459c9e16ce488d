"""The fast lane: compiled kernels for the plainest requests. Everything else is judged by ``ingest.validate``."""
