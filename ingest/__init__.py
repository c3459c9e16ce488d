"""From a request to an acknowledged envelope on the log. Hands on ``ingest.event`` and ``ingest.codec`` only."""
