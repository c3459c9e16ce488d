"""From the log to ClickHouse, exactly once: a pure core, the block ledger, and the driver that feeds them."""
